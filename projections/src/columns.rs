//! How rows become typed values and back. What a column holds is known to its read model alone.

use std::borrow::Cow;
use std::error::Error;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::{PgQueryResult, PgRow};
use uuid::Uuid;

use crate::error::ProjectionError;

fn unreadable(column: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }
}

/// An id of ours.
pub(crate) fn id<Id>(row: &PgRow, column: &str, of: fn(Uuid) -> Id) -> Result<Id, sqlx::Error> {
    row.try_get(column).map(of)
}

/// An id of ours, if there is one.
pub(crate) fn optional_id<Id>(row: &PgRow, column: &str, of: fn(Uuid) -> Id) -> Result<Option<Id>, sqlx::Error> {
    Ok(row.try_get::<Option<Uuid>, _>(column)?.map(of))
}

/// A value that is stored by its name.
pub(crate) fn name<T>(row: &PgRow, column: &str) -> Result<T, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(|error| unreadable(column, error))
}

/// A value that is stored by its name, if there is one.
pub(crate) fn optional_name<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr<Err: Error + Send + Sync + 'static>,
{
    let text = row.try_get::<Option<&str>, _>(column)?;
    text.map(|text| text.parse().map_err(|error| unreadable(column, error))).transpose()
}

/// A count, which is never negative.
pub(crate) fn count(row: &PgRow, column: &str) -> Result<u32, sqlx::Error> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|error| unreadable(column, error))
}

/// A count, if there is one.
pub(crate) fn optional_count(row: &PgRow, column: &str) -> Result<Option<u32>, sqlx::Error> {
    let number = row.try_get::<Option<i32>, _>(column)?;
    number.map(u32::try_from).transpose().map_err(|error| unreadable(column, error))
}

/// A value that is stored as JSON.
pub(crate) fn json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    T::deserialize(row.try_get::<Value, _>(column)?).map_err(|error| unreadable(column, error))
}

/// A value that is stored as JSON, if there is one.
pub(crate) fn optional_json<T: DeserializeOwned>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error> {
    let value = row.try_get::<Option<Value>, _>(column)?;
    value.map(T::deserialize).transpose().map_err(|error| unreadable(column, error))
}

/// The JSON of a value of ours.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<Value, ProjectionError> {
    serde_json::to_value(value)
        .map_err(|error| ProjectionError::Unreadable { code: "EVENT_INVALID_PAYLOAD", reason: error.to_string() })
}

/// Text without zero bytes, which PostgreSQL cannot hold. People and platforms may send them; no stream is parked for that.
pub(crate) fn text(given: &str) -> Cow<'_, str> {
    if given.contains('\0') { Cow::Owned(given.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(given) }
}

/// JSON without zero bytes, as [`text`].
pub(crate) fn clean(value: Value) -> Value {
    match value {
        Value::String(given) if given.contains('\0') => Value::String(text(&given).into_owned()),
        Value::Array(items) => Value::Array(items.into_iter().map(clean).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (text(&key).into_owned(), clean(value))).collect())
        }
        other => other,
    }
}

/// An update of a row that an earlier event must have made.
pub(crate) fn one_row(
    done: &PgQueryResult,
    table: &'static str,
    key: impl std::fmt::Display,
) -> Result<(), ProjectionError> {
    if done.rows_affected() == 0 {
        return Err(ProjectionError::RowMissing { table, key: key.to_string() });
    }
    Ok(())
}
