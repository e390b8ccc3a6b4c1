//! Where the rebuilt, the live and the earlier rows of a projection are: schemas, and moves of tables between them.

use sqlx::{Executor, PgConnection};

use crate::checkpoint::Checkpoint;
use crate::error::ProjectionError;
use crate::projection::Projection;

/// The runner's own tables; a rebuild has its own of them.
const BOOKKEEPING: [&str; 2] = ["projection_checkpoints", "projection_parked"];

/// The schemas of one projection, quoted.
#[derive(Debug, Clone)]
pub(super) struct Schemas {
    pub live: String,
    pub rebuilt: String,
    /// The rows before the last swap.
    pub earlier: String,
}

impl Schemas {
    /// The live schema is wherever the migrations made the tables.
    pub async fn of(db: &mut PgConnection, projection: &str) -> Result<Self, ProjectionError> {
        let live = sqlx::query_scalar(
            "SELECT quote_ident(pg_namespace.nspname)
               FROM pg_class
               JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
              WHERE pg_class.oid = 'projection_checkpoints'::regclass",
        )
        .fetch_one(db)
        .await?;
        Ok(Self { live, rebuilt: format!("rebuild_{projection}"), earlier: format!("previous_{projection}") })
    }
}

async fn run(db: &mut PgConnection, statement: &str) -> Result<(), ProjectionError> {
    db.execute(statement).await?;
    Ok(())
}

/// Makes empty tables like the live ones; what an earlier rebuild left is dropped.
pub(super) async fn make(
    db: &mut PgConnection,
    schemas: &Schemas,
    tables: &[&'static str],
) -> Result<(), ProjectionError> {
    let Schemas { live, rebuilt, .. } = schemas;
    drop_rebuilt(db, schemas).await?;
    run(db, &format!("CREATE SCHEMA {rebuilt}")).await?;
    for table in tables.iter().chain(&BOOKKEEPING) {
        run(db, &format!("CREATE TABLE {rebuilt}.{table} (LIKE {live}.{table} INCLUDING ALL)")).await?;
        for statement in what_like_leaves_out(db, &format!("{live}.{table}"), &format!("{rebuilt}.{table}")).await? {
            run(db, &statement).await?;
        }
    }
    Ok(())
}

/// Storage options and grants, which `LIKE` does not copy.
async fn what_like_leaves_out(db: &mut PgConnection, from: &str, to: &str) -> Result<Vec<String>, ProjectionError> {
    let statements = sqlx::query_scalar(
        "SELECT format('ALTER TABLE %s SET (%s)', $2::text, array_to_string(reloptions, ', '))
           FROM pg_class
          WHERE oid = $1::regclass
            AND reloptions IS NOT NULL
          UNION ALL
         SELECT format('GRANT %s ON %s TO %s', privilege_type, $2::text,
                       CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
           FROM pg_class, aclexplode(relacl)
          WHERE oid = $1::regclass
            AND grantee <> relowner",
    )
    .bind(from)
    .bind(to)
    .fetch_all(db)
    .await?;
    Ok(statements)
}

/// Tells the planner about the rebuilt rows, before anybody queries them.
pub(super) async fn analyze(
    db: &mut PgConnection,
    schemas: &Schemas,
    tables: &[&'static str],
) -> Result<(), ProjectionError> {
    for table in tables {
        run(db, &format!("ANALYZE {}.{table}", schemas.rebuilt)).await?;
    }
    Ok(())
}

pub(super) async fn drop_rebuilt(db: &mut PgConnection, schemas: &Schemas) -> Result<(), ProjectionError> {
    run(db, &format!("DROP SCHEMA IF EXISTS {} CASCADE", schemas.rebuilt)).await
}

/// Until the transaction ends, table names mean the rebuilt ones.
pub(super) async fn enter(db: &mut PgConnection, schemas: &Schemas) -> Result<(), ProjectionError> {
    run(db, &format!("SET LOCAL search_path = {}, {}", schemas.rebuilt, schemas.live)).await
}

/// Table names mean the live ones again.
pub(super) async fn leave(db: &mut PgConnection, schemas: &Schemas) -> Result<(), ProjectionError> {
    run(db, &format!("SET LOCAL search_path = {}", schemas.live)).await
}

/// Whoever reads the tables for long must not be stuck behind us for as long.
pub(super) async fn limit_lock_waits(db: &mut PgConnection) -> Result<(), ProjectionError> {
    run(db, "SET LOCAL lock_timeout = '2s'").await
}

/// The live rows become the earlier ones, the rebuilt ones live. The checkpoint is the caller's.
pub(super) async fn swap(
    db: &mut PgConnection,
    schemas: &Schemas,
    projection: &dyn Projection,
    shard: i32,
) -> Result<(), ProjectionError> {
    let Schemas { live, rebuilt, earlier } = schemas;
    run(db, &format!("DROP SCHEMA IF EXISTS {earlier} CASCADE")).await?;
    run(db, &format!("CREATE SCHEMA {earlier}")).await?;
    for table in BOOKKEEPING {
        run(db, &format!("CREATE TABLE {earlier}.{table} (LIKE {live}.{table} INCLUDING ALL)")).await?;
        copy(db, table, live, earlier, projection.name(), shard).await?;
    }
    for table in projection.tables() {
        run(db, &format!("ALTER TABLE {live}.{table} SET SCHEMA {earlier}")).await?;
        run(db, &format!("ALTER TABLE {rebuilt}.{table} SET SCHEMA {live}")).await?;
    }
    replace_parked(db, rebuilt, live, projection.name(), shard).await?;
    drop_rebuilt(db, schemas).await
}

/// The earlier rows become live, the live ones are dropped. The checkpoint is the caller's.
pub(super) async fn restore(
    db: &mut PgConnection,
    schemas: &Schemas,
    projection: &dyn Projection,
    shard: i32,
) -> Result<(), ProjectionError> {
    let Schemas { live, earlier, .. } = schemas;
    for table in projection.tables() {
        run(db, &format!("DROP TABLE {live}.{table}")).await?;
        run(db, &format!("ALTER TABLE {earlier}.{table} SET SCHEMA {live}")).await?;
    }
    replace_parked(db, earlier, live, projection.name(), shard).await?;
    run(db, &format!("DROP SCHEMA {earlier} CASCADE")).await
}

/// Where the earlier rows stood; `None` when there are none.
pub(super) async fn earlier_checkpoint(
    db: &mut PgConnection,
    schemas: &Schemas,
    projection: &str,
    shard: i32,
) -> Result<Option<Checkpoint>, ProjectionError> {
    let table = format!("{}.projection_checkpoints", schemas.earlier);
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&table).fetch_one(&mut *db).await?;
    if !exists {
        return Ok(None);
    }
    let found = sqlx::query_as(&format!("SELECT version, position FROM {table} WHERE projection = $1 AND shard = $2"))
        .bind(projection)
        .bind(shard)
        .fetch_optional(db)
        .await?;
    Ok(found)
}

/// How many events of a projection wait.
pub(super) async fn count_parked(
    db: &mut PgConnection,
    schema: &str,
    projection: &str,
    shard: i32,
) -> Result<i64, ProjectionError> {
    let sql = format!("SELECT count(*) FROM {schema}.projection_parked WHERE projection = $1 AND shard = $2");
    Ok(sqlx::query_scalar(&sql).bind(projection).bind(shard).fetch_one(db).await?)
}

async fn replace_parked(
    db: &mut PgConnection,
    from: &str,
    to: &str,
    projection: &str,
    shard: i32,
) -> Result<(), ProjectionError> {
    sqlx::query(&format!("DELETE FROM {to}.projection_parked WHERE projection = $1 AND shard = $2"))
        .bind(projection)
        .bind(shard)
        .execute(&mut *db)
        .await?;
    copy(db, "projection_parked", from, to, projection, shard).await
}

async fn copy(
    db: &mut PgConnection,
    table: &str,
    from: &str,
    to: &str,
    projection: &str,
    shard: i32,
) -> Result<(), ProjectionError> {
    let columns = if table == "projection_parked" {
        "projection, shard, position, aggregate_type, aggregate_id, sequence, event_type, code, reason, parked_at"
    } else {
        "projection, shard, version, position, moved_at"
    };
    let sql = format!(
        "INSERT INTO {to}.{table} ({columns})
         SELECT {columns}
           FROM {from}.{table}
          WHERE projection = $1
            AND shard = $2"
    );
    sqlx::query(&sql).bind(projection).bind(shard).execute(db).await?;
    Ok(())
}
