//! The claim stays on its indexes however long the queue is.

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, Row};

use super::claim::CLAIM;
use crate::testing::TestDatabase;

/// 100,000 commands of 2,000 bots: most wait for a later time, some are due, the rest is done; a few bots run one.
const FILL: [&str; 4] = [
    "INSERT INTO writers (writer_id, epoch, lease_until, name, registered_at)
     VALUES ('00000000-0000-0000-0000-000000000001', 1, 'infinity', 'test', now())",
    "UPDATE partitions
        SET writer_id = '00000000-0000-0000-0000-000000000001',
            epoch = 1,
            taken_at = now()",
    "INSERT INTO commands (command_id, bot_id, partition, kind, payload, priority, not_before, max_attempts, status,
                           claimed_by, claim_epoch, correlation_id, causation_id, actor)
     SELECT gen_random_uuid(), md5((n % 2000)::text)::uuid, n % 2000 % 64, 'perform_action', '{}', n % 3,
            timestamptz '2026-01-01 12:00Z' + CASE WHEN n % 5 = 0 THEN -n ELSE n END * interval '1 second', 5,
            CASE WHEN n <= 20 THEN 'RUNNING' WHEN n % 2 = 0 THEN 'DONE' ELSE 'PENDING' END,
            CASE WHEN n <= 20 THEN '00000000-0000-0000-0000-000000000001'::uuid END,
            CASE WHEN n <= 20 THEN 1 END, gen_random_uuid(), gen_random_uuid(), 'system:test'
       FROM generate_series(1, 100000) AS n",
    "ANALYZE commands",
];

/// Every node of a plan, the root first.
fn nodes(plan: &Value) -> Vec<&Value> {
    let mut found = vec![plan];
    for child in plan["Plans"].as_array().into_iter().flatten() {
        found.extend(nodes(child));
    }
    found
}

async fn plan_of_claim(db: &mut PgConnection) -> Value {
    let prepare = format!("PREPARE claim (int[], uuid, bigint, bigint, timestamptz, bigint) AS {CLAIM}");
    for statement in [&prepare, "SET plan_cache_mode = force_generic_plan"] {
        db.execute(statement).await.expect("the statement is good");
    }
    let all: Vec<String> = (0..domain::ids::PARTITIONS).map(|partition| partition.to_string()).collect();
    let explain = format!(
        "EXPLAIN (ANALYZE, FORMAT JSON)
         EXECUTE claim ('{{{}}}', '00000000-0000-0000-0000-000000000001', 1, 1, '2026-01-01 12:00Z', 16)",
        all.join(",")
    );
    let explained: Value = db.fetch_one(explain.as_str()).await.expect("it explains").get(0);
    explained[0]["Plan"].clone()
}

#[tokio::test]
async fn claim_uses_its_indexes_and_reads_little_of_a_long_queue() {
    let database = TestDatabase::create().await;
    let mut db = PgConnection::connect_with(database.options()).await.expect("it answers");
    for statement in FILL {
        db.execute(statement).await.expect("the statement is good");
    }
    let plan = plan_of_claim(&mut db).await;
    let nodes = nodes(&plan);
    let of_commands: Vec<_> = nodes.iter().filter(|node| node["Relation Name"] == "commands").collect();
    assert!(of_commands.iter().all(|node| node["Node Type"] != "Seq Scan"), "{plan:#}");
    for index in ["commands_pending_idx", "commands_running_bot_key"] {
        assert!(nodes.iter().any(|node| node["Index Name"] == index), "{index} in {plan:#}");
    }
    assert_eq!(plan["Actual Rows"].as_f64(), Some(16.0), "{plan:#}");
    let mut read = 0.0;
    for node in of_commands {
        let rows = node["Actual Rows"].as_f64().unwrap_or_default();
        let removed = node["Rows Removed by Filter"].as_f64().unwrap_or_default();
        read += (rows + removed) * node["Actual Loops"].as_f64().unwrap_or_default();
    }
    // 3 priorities, 64 partitions, 16 of each: what is not due, or done, is not touched.
    assert!(read < 3.0 * 64.0 * 16.0 * 2.0, "{read} rows in {plan:#}");
}
