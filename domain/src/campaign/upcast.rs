//! Changes of stored shapes, oldest first.

use cqrs_es::persist::{EventUpcaster, SemanticVersionEventUpcaster};
use serde_json::{Value, json};

/// The campaign's upcasters, for the aggregate and for every reader of the log.
pub fn upcasters() -> Vec<Box<dyn EventUpcaster>> {
    vec![
        Box::new(SemanticVersionEventUpcaster::new("CampaignDefined", "2", Box::new(definition_v2))),
        Box::new(SemanticVersionEventUpcaster::new("CampaignRevised", "2", Box::new(definition_v2))),
    ]
}

/// Before v2 a campaign acted on whatever its source gave, and said nothing.
fn definition_v2(mut payload: Value) -> Value {
    let definition = &mut payload["definition"];
    definition["filters"] = json!({});
    definition["text"] = Value::Null;
    definition["stop_words"] = json!([]);
    payload
}
