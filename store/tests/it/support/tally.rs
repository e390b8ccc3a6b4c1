//! A small aggregate: it adds numbers up and refuses to pass a limit.

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{EventUpcaster, SemanticVersionEventUpcaster};
use cqrs_es::{Aggregate, DomainEvent};
use domain::decide::Decide;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub total: i64,
    pub count: i64,
}

#[derive(Debug, Clone)]
pub enum TallyCommand {
    Add(i64),
    /// Two events at once.
    AddBoth(i64, i64),
    /// Nothing when it is there already.
    Reach(i64),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum TallyEvent {
    /// Version 1 called `number` `n`.
    Added { number: i64 },
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TallyError {
    #[error("the total would be {total}, more than {LIMIT}")]
    TooMuch { total: i64 },
}

pub const LIMIT: i64 = 1_000_000;

impl DomainEvent for TallyEvent {
    fn event_type(&self) -> String {
        "Added".to_owned()
    }

    fn event_version(&self) -> String {
        "2".to_owned()
    }
}

impl Aggregate for Tally {
    const TYPE: &'static str = "Tally";
    type Command = TallyCommand;
    type Event = TallyEvent;
    type Error = TallyError;
    type Services = ();

    async fn handle(&mut self, command: TallyCommand, (): &(), sink: &EventSink<Self>) -> Result<(), TallyError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: TallyEvent) {
        let TallyEvent::Added { number } = event;
        self.total += number;
        self.count += 1;
    }
}

impl Decide for Tally {
    const SHAPE: u32 = 1;

    fn decide(&self, command: TallyCommand) -> Result<Vec<TallyEvent>, TallyError> {
        let numbers = match command {
            TallyCommand::Add(number) => vec![number],
            TallyCommand::AddBoth(one, other) => vec![one, other],
            TallyCommand::Reach(total) => vec![total - self.total].into_iter().filter(|&number| number != 0).collect(),
        };
        let total = self.total + numbers.iter().sum::<i64>();
        if total > LIMIT {
            return Err(TallyError::TooMuch { total });
        }
        Ok(numbers.into_iter().map(|number| TallyEvent::Added { number }).collect())
    }

    fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
        vec![Box::new(SemanticVersionEventUpcaster::new("Added", "2", Box::new(added_v2)))]
    }
}

fn added_v2(payload: Value) -> Value {
    json!({ "type": "Added", "number": payload["n"] })
}
