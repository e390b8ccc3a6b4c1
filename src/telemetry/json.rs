//! One JSON object a line, with the fields of all open spans at its top level.
//!
//! `tracing_subscriber`'s own JSON keeps them in a nested list, where no log search finds a request by its id.

use std::fmt;
use std::io::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The layer; `writer` makes a writer for each line.
pub struct JsonLines<W> {
    writer: W,
    now: fn() -> DateTime<Utc>,
}

impl<W> JsonLines<W> {
    pub fn new(writer: W) -> Self {
        Self { writer, now: crate::clock::wall }
    }
}

/// A span's fields, kept with the span.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id) {
            let mut fields = Map::new();
            attributes.record(&mut Collect(&mut fields));
            span.extensions_mut().insert(SpanFields(fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        if let Some(span) = ctx.span(id)
            && let Some(SpanFields(fields)) = span.extensions_mut().get_mut()
        {
            values.record(&mut Collect(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Map::new();
        if let Some(scope) = ctx.event_scope(event) {
            for span in scope.from_root() {
                if let Some(SpanFields(fields)) = span.extensions().get() {
                    line.extend(fields.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
            }
        }
        event.record(&mut Collect(&mut line));
        let time = (self.now)().to_rfc3339_opts(SecondsFormat::Micros, true);
        line.insert("time".to_owned(), time.into());
        line.insert("level".to_owned(), metadata.level().as_str().to_lowercase().into());
        line.insert("target".to_owned(), metadata.target().into());
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        // A log that cannot be written has nowhere to say so.
        let _ = self.writer.make_writer_for(metadata).write_all(&bytes);
    }
}

/// Puts fields into a map; `message` is the event's own text.
struct Collect<'a>(&'a mut Map<String, Value>);

impl Collect<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Collect<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        self.put(field, text.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no other holder panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(act: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let layer = JsonLines::new({
            let lines = lines.clone();
            move || lines.clone()
        });
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), act);
        let bytes = lines.0.lock().expect("no other holder panicked").clone();
        let text = String::from_utf8(bytes).expect("lines are text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    #[test]
    fn line_carries_the_ids_of_every_open_span() {
        let lines = logged(|| {
            let request = tracing::info_span!("request", request_id = "r-1", correlation_id = tracing::field::Empty);
            request.record("correlation_id", "c-1");
            let _request = request.entered();
            let _step = tracing::info_span!("step", attempt = 2).entered();
            tracing::warn!(bot.id = "b-1", "slow \"down\"");
        });
        let line = &lines[0];
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["correlation_id"], "c-1");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["bot.id"], "b-1");
        assert_eq!(line["message"], "slow \"down\"");
        assert_eq!(line["level"], "warn");
    }

    #[test]
    fn line_outside_a_request_has_no_ids_of_the_last_one() {
        let lines = logged(|| {
            tracing::info_span!("request", request_id = "r-1").in_scope(|| tracing::info!("in"));
            tracing::info!("out");
        });
        assert!(lines[1].get("request_id").is_none());
    }
}
