//! Whatever happens to a bot, the views say what the aggregate says.

use std::collections::BTreeSet;

use domain::bot::{ActionKind, Bot, BotState, Mode, SuppressReason, Verdict};
use domain::ids::BotId;
use projections::bot_counters::{self, BotCounters};
use projections::bot_status::{self, BotStatus, BotStatuses};
use projections::instagram_accounts::{self, InstagramAccounts};

use crate::support::World;
use crate::support::life::Life;
use crate::support::walk::Dice;

const LIVES: u64 = 8;
const ROUNDS: usize = 30;
const COMMANDS_OF_A_ROUND: usize = 14;

#[tokio::test(flavor = "multi_thread")]
async fn views_agree_with_the_aggregate_at_any_point_of_any_life() {
    let world = World::create().await;
    let mut lives: Vec<_> = (0..LIVES).map(|seed| (Life::of(&seed.to_string()), Dice::new(seed), 0_i64)).collect();
    let mut reached = BTreeSet::new();
    for _ in 0..ROUNDS {
        for (life, dice, sequence) in &mut lives {
            let mut events = Vec::new();
            for _ in 0..COMMANDS_OF_A_ROUND {
                let command = life.anything(dice);
                events.extend(life.ask(command));
            }
            reached.insert(life.bot.state());
            if !events.is_empty() {
                *sequence = world.append("Bot", &life.id(), &events).await.last_sequence;
            }
        }
        world.runner(BotStatuses).catch_up().await.expect("it goes on");
        world.runner(InstagramAccounts).catch_up().await.expect("it goes on");
        world.runner(BotCounters).catch_up().await.expect("it goes on");
        for (life, _, sequence) in lives.iter().filter(|(_, _, sequence)| *sequence > 0) {
            let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs").expect("a row");
            assert_eq!(status.last_sequence, *sequence);
            assert_status(&status, &life.bot);
            assert_account(&world, life.bot_id, &life.bot).await;
            assert_counters(&world, life.bot_id, &life.bot).await;
        }
    }
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    // Without all states but the first on the way, this shows little.
    assert!(reached.len() + 1 >= BotState::ALL.len(), "the lives only reached {reached:?}");
}

fn assert_status(status: &BotStatus, bot: &Bot) {
    assert_eq!(status.state, bot.state());
    let automation = status.automation.as_ref().map(|on| (on.mode, on.enablement_id));
    assert_eq!(automation, bot.enablement().map(|on| (on.mode, on.enablement_id)));
    let authorization = status.authorization.as_ref().map(|given| (given.plan_hash.clone(), given.mode));
    assert_eq!(authorization, bot.authorization().map(|given| (given.plan_hash.to_string(), given.mode)));
    let login = bot.login();
    assert_eq!(status.login.attempt, login.attempt);
    assert_eq!(status.login.failures, login.failures);
    assert_eq!(status.login.retry_not_before, login.retry_not_before);
    assert_eq!(status.login.two_factor_pending, login.two_factor_pending);
    assert_eq!(status.login.session_expires_at, login.session_expires_at);
    assert_eq!(status.login.connection_verified_at, login.verified_at);
    assert_eq!(status.challenge, login.challenge);
    let stopped: Vec<_> = status.stopped_modules.keys().copied().collect();
    let blocked: Vec<_> = status.kind_blocks.keys().copied().collect();
    for kind in ActionKind::ALL {
        // What the verdict names first hides the rest; at the row's time, so that only states are compared.
        if let Verdict::Wait(wait) = bot.verdict(*kind, Mode::Live, 0, status.updated_at) {
            match wait.reason {
                SuppressReason::SlowDown => assert_eq!(status.slow_down.as_ref().map(|slow| slow.until), wait.frees_at),
                SuppressReason::ModuleStopped => assert!(stopped.contains(kind)),
                SuppressReason::KindBlocked => assert!(blocked.contains(kind)),
                _ => {}
            }
        }
    }
    if let Some(reason) = bot.error_reason() {
        assert_eq!(status.reason.as_deref(), Some(reason));
    }
}

async fn assert_account(world: &World, bot_id: BotId, bot: &Bot) {
    let account = instagram_accounts::of_user(world.pool(), bot_id.owner()).await.expect("the query runs");
    let seen = account.as_ref().map(|row| (row.account_id, row.password, row.platform_pk.clone(), row.zone));
    let known = bot.account().map(|it| (it.account_id, it.password, it.platform_pk.clone(), it.zone));
    assert_eq!(seen, known);
    assert_eq!(account.and_then(|row| row.session), bot.login().session);
}

async fn assert_counters(world: &World, bot_id: BotId, bot: &Bot) {
    let totals = bot_counters::totals(world.pool(), bot_id).await.expect("the query runs");
    for (kind, mode, counts) in &totals {
        assert!(counts.balance(), "{kind} {mode} does not balance: {counts:?}");
    }
    let open: u32 = totals.iter().map(|(_, _, counts)| counts.open).sum();
    assert_eq!(open, u32::from(bot.open_reservation().is_some()));
    let in_doubt: u32 = totals.iter().map(|(_, _, counts)| counts.in_doubt).sum();
    assert_eq!(in_doubt as usize, bot.in_doubt().count());
}
