//! Reads what the gateway really sends: optional fields null or absent, times with and without a
//! zone, ids as numbers or strings. Used on the fields of `types`; refuses nothing but key fields.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, de, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};

use super::ids::ThreadId;

/// The value, or the default when it is null or of another type than documented.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Option::<Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
}

/// A list, or none when it is null. Its items are read in place, so that long numbers survive.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// A time in any of the gateway's forms; one without a zone is UTC.
pub(super) fn time<'de, D>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error>
where
    D: Deserializer<'de>,
{
    Ok(match Option::<Value>::deserialize(deserializer)? {
        Some(Value::String(text)) => parse_time(&text),
        Some(Value::Number(seconds)) => seconds.as_i64().and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        _ => None,
    })
}

/// A thread id as a bare integer of any length or as a string of digits.
pub(super) fn thread_id<'de, D>(deserializer: D) -> Result<ThreadId, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    raw.get().trim_matches('"').parse().map_err(de::Error::custom)
}

/// The same where it may be missing.
pub(super) fn optional_thread_id<'de, D>(deserializer: D) -> Result<Option<ThreadId>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(raw.get().trim_matches('"').parse().ok())
}

pub(super) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_and_without_a_zone_are_the_same_instant() {
        let zoned = parse_time("2024-05-06T07:08:09Z");
        assert!(zoned.is_some());
        assert_eq!(zoned, parse_time("2024-05-06T07:08:09"));
        assert_eq!(zoned, parse_time("2024-05-06T09:08:09+02:00"));
        assert_eq!(zoned, parse_time("2024-05-06 07:08:09.000000"));
        assert_eq!(None, parse_time("yesterday"));
    }
}
