//! Several processes at once: each bot is worked on by one of them at a time, whoever comes and goes.

use std::collections::BTreeSet;

use domain::bot::{ActionKind, Mode};
use futures_util::future::join_all;

use super::scene::{User, World, until};

const BOTS: usize = 12;
const EACH: usize = 3;

async fn all_done(users: &[User<'_>]) {
    until("the end of all", || async {
        let done = join_all(users.iter().map(User::is_idle)).await;
        done.into_iter().all(|done| done).then_some(())
    })
    .await;
}

async fn partitions_of_owners(world: &World) -> Vec<i64> {
    sqlx::query_scalar("SELECT count(*) FROM partitions WHERE writer_id IS NOT NULL GROUP BY writer_id ORDER BY 1")
        .fetch_all(world.database.pool())
        .await
        .expect("it reads")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_come_go_and_die_do_everything_once() {
    let world = World::new().await;
    let first = world.workers().await;
    let accounts = world.accounts().await;
    let users: Vec<User<'_>> = accounts.iter().take(BOTS).map(|account| world.user(account)).collect();
    let plots = join_all(users.iter().map(User::live)).await;
    let targets = world.targets().await.media;
    world.clock.set_speed(600.0);
    for (user, plot) in users.iter().zip(plots) {
        for target in &targets[..EACH] {
            user.plan(plot, ActionKind::Like, target).await;
        }
    }
    let second = world.workers().await;
    until("a fair share for both", || async { (partitions_of_owners(&world).await == [32, 32]).then_some(()) }).await;
    first.stop().await;
    let third = world.workers().await;
    second.kill().await;
    all_done(&users).await;
    for user in &users {
        let each = i64::try_from(EACH).expect("a few");
        let counted = user.counters(Mode::Live).await;
        // Some like some of it from the beginning: then the write is there, without an effect.
        let targets: BTreeSet<String> = user.writes().into_iter().map(|entry| entry.target).collect();
        assert_eq!((targets.len(), user.writes().len()), (EACH, EACH));
        assert_eq!((counted.performed, counted.open, counted.in_doubt), (each, 0, 0), "{counted:?}");
        assert_eq!(counted.reserved, counted.performed + counted.failed + counted.refused, "{counted:?}");
    }
    until("all of them", || async { (partitions_of_owners(&world).await == [64]).then_some(()) }).await;
    third.stop().await;
    assert_eq!(partitions_of_owners(&world).await, [0_i64; 0]);
}
