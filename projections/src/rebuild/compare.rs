//! Compares the live rows of a projection with rebuilt ones, row by row and column by column, inside the database.

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{PgConnection, Row};

use super::schema::Schemas;
use crate::error::ProjectionError;

/// How many differing rows of a table are shown.
const SAMPLES: i64 = 10;

/// How a table differs from what the log says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableDifference {
    pub table: &'static str,
    pub live_rows: i64,
    pub rebuilt_rows: i64,
    /// Rows that the log makes and the live table has not.
    pub missing: i64,
    /// Rows of the live table that the log does not make.
    pub surplus: i64,
    /// Rows that are in both and differ.
    pub differing: i64,
    /// Some of them.
    pub samples: Vec<RowDifference>,
}

/// One row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowDifference {
    pub key: Map<String, Value>,
    /// The columns that differ, as they are; `None` when there is no such row.
    pub live: Option<Map<String, Value>>,
    /// The columns that differ, as the log says; `None` when there should be no such row.
    pub rebuilt: Option<Map<String, Value>>,
}

impl TableDifference {
    /// Whether the table is what the log says.
    #[must_use]
    pub const fn agrees(&self) -> bool {
        self.missing == 0 && self.surplus == 0 && self.differing == 0
    }
}

/// Compares all `tables`.
pub(super) async fn tables(
    db: &mut PgConnection,
    schemas: &Schemas,
    tables: &[&'static str],
) -> Result<Vec<TableDifference>, ProjectionError> {
    let mut found = Vec::new();
    for table in tables {
        found.push(Pair::of(db, schemas, table).await?.compare(db).await?);
    }
    Ok(found)
}

/// A live table and its rebuilt one.
struct Pair {
    table: &'static str,
    live: String,
    rebuilt: String,
    keys: Vec<String>,
    columns: Vec<String>,
}

impl Pair {
    async fn of(db: &mut PgConnection, schemas: &Schemas, table: &'static str) -> Result<Self, ProjectionError> {
        let live = format!("{}.{table}", schemas.live);
        let columns = sqlx::query_scalar(
            "SELECT attname::text
               FROM pg_attribute
              WHERE attrelid = $1::regclass
                AND attnum > 0
                AND NOT attisdropped
              ORDER BY attnum",
        )
        .bind(&live)
        .fetch_all(&mut *db)
        .await?;
        let keys = sqlx::query_scalar(
            "SELECT attname::text
               FROM pg_index
               JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
              WHERE indrelid = $1::regclass
                AND indisprimary
              ORDER BY attnum",
        )
        .bind(&live)
        .fetch_all(&mut *db)
        .await?;
        let rebuilt = format!("{}.{table}", schemas.rebuilt);
        Ok(Self { table, live, rebuilt, keys, columns })
    }

    /// Rows of both tables side by side, but only where they differ.
    fn differences(&self) -> String {
        let Self { live, rebuilt, .. } = self;
        let list = |prefix: &str, names: &[String]| {
            names.iter().map(|name| format!("{prefix}.\"{name}\"")).collect::<Vec<_>>().join(", ")
        };
        format!(
            "FROM {live} AS live
             FULL JOIN {rebuilt} AS rebuilt ON ({}) = ({})
            WHERE ROW({}) IS DISTINCT FROM ROW({})",
            list("live", &self.keys),
            list("rebuilt", &self.keys),
            list("live", &self.columns),
            list("rebuilt", &self.columns),
        )
    }

    async fn compare(&self, db: &mut PgConnection) -> Result<TableDifference, ProjectionError> {
        let Self { live, rebuilt, .. } = self;
        let key = self.keys.first().map_or("ctid", String::as_str);
        let counts = sqlx::query(&format!(
            "SELECT (SELECT count(*) FROM {live}) AS live_rows,
                    (SELECT count(*) FROM {rebuilt}) AS rebuilt_rows,
                    count(*) FILTER (WHERE live.\"{key}\" IS NULL) AS missing,
                    count(*) FILTER (WHERE rebuilt.\"{key}\" IS NULL) AS surplus,
                    count(*) FILTER (WHERE live.\"{key}\" IS NOT NULL AND rebuilt.\"{key}\" IS NOT NULL) AS differing
               {}",
            self.differences()
        ))
        .fetch_one(&mut *db)
        .await?;
        let mut found = TableDifference {
            table: self.table,
            live_rows: counts.try_get("live_rows")?,
            rebuilt_rows: counts.try_get("rebuilt_rows")?,
            missing: counts.try_get("missing")?,
            surplus: counts.try_get("surplus")?,
            differing: counts.try_get("differing")?,
            samples: Vec::new(),
        };
        if !found.agrees() {
            found.samples = self.samples(db).await?;
        }
        Ok(found)
    }

    async fn samples(&self, db: &mut PgConnection) -> Result<Vec<RowDifference>, ProjectionError> {
        let sql = format!(
            "SELECT to_jsonb(live) AS live, to_jsonb(rebuilt) AS rebuilt {} LIMIT {SAMPLES}",
            self.differences()
        );
        let rows = sqlx::query(&sql).fetch_all(db).await?;
        rows.iter().map(|row| Ok(self.sample(object(row.try_get("live")?), object(row.try_get("rebuilt")?)))).collect()
    }

    fn sample(&self, live: Option<Map<String, Value>>, rebuilt: Option<Map<String, Value>>) -> RowDifference {
        let row = live.as_ref().or(rebuilt.as_ref());
        let key = row.map(|row| only(row, |column, _| self.keys.iter().any(|key| key == column))).unwrap_or_default();
        match (live, rebuilt) {
            (Some(live), Some(rebuilt)) => RowDifference {
                key,
                live: Some(only(&live, |column, value| rebuilt.get(column) != Some(value))),
                rebuilt: Some(only(&rebuilt, |column, value| live.get(column) != Some(value))),
            },
            (live, rebuilt) => RowDifference { key, live, rebuilt },
        }
    }
}

fn object(value: Option<Value>) -> Option<Map<String, Value>> {
    match value {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn only(row: &Map<String, Value>, keep: impl Fn(&str, &Value) -> bool) -> Map<String, Value> {
    row.iter()
        .filter(|(column, value)| keep(column, value))
        .map(|(column, value)| (column.clone(), value.clone()))
        .collect()
}
