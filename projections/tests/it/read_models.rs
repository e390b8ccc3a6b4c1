//! What the views show of known events, and their pages.

use domain::bot::{ActionKind, BotCommand, FailureClass, Limits, Mode, Outcome, Settlement, SuppressReason};
use domain::campaign::{Campaign, CampaignCommand, Draft, DraftSource, HashtagTab, Module};
use domain::decide::{Decide, fold};
use domain::ids::{ActionId, CampaignId, CredentialId, UserId, derive};
use domain::user::{Role, UserEvent};
use projections::actions::{self, ActionFilter, ActionStatus};
use projections::audit_trail::LogKey;
use projections::{
    Order, PageRequest, bot_counters, bot_status, campaign_runs, campaigns, events, instagram_accounts, users,
};

use crate::support::life::{Life, campaign};
use crate::support::{World, at};

fn performed() -> Outcome {
    Outcome::Performed { evidence: "has_liked".to_owned() }
}

fn failed() -> Outcome {
    Outcome::Failed { class: FailureClass::Transport, code: "NO_ANSWER".to_owned() }
}

fn in_doubt() -> Outcome {
    Outcome::InDoubt { code: "NO_ANSWER".to_owned(), evidence: "not seen".to_owned() }
}

/// A live run with one action of every end, and what still waits.
async fn busy(world: &World) -> (Life, Vec<ActionId>) {
    let (mut life, mut all) = Life::running("ada");
    all.extend(life.start_run());
    let mut ids = Vec::new();
    // Two an hour at most: warm-up allows ten likes a day.
    for outcome in [performed(), failed(), in_doubt(), in_doubt()] {
        life.now += 3_600;
        let (id, events) = life.act(outcome);
        ids.push(id);
        all.extend(events);
    }
    for (index, settlement) in [(2, Settlement::Performed), (3, Settlement::NotPerformed)] {
        let command = BotCommand::ReconcileAction {
            action_id: ids[index],
            settlement,
            evidence: "a person looked".to_owned(),
            at: at(life.now),
        };
        all.extend(life.ask(command));
    }
    life.now += 3_600;
    let open = ActionId::from_uuid(life.fresh());
    all.extend(life.reserve(open));
    ids.push(open);
    world.append("Bot", &life.id(), &all).await;
    (life, ids)
}

#[tokio::test]
async fn action_shows_how_it_ended() {
    let world = World::create().await;
    let (life, ids) = busy(&world).await;
    world.catch_up().await;
    let mut statuses = Vec::new();
    for id in &ids {
        let action = actions::by_id(world.pool(), *id).await.expect("the query runs").expect("a row");
        assert_eq!((action.kind, action.mode, action.target.as_str()), (ActionKind::Like, Mode::Live, "media-1"));
        assert_eq!(action.requests, Some(2));
        assert_eq!(action.settled_at.is_some(), action.status != ActionStatus::Open);
        statuses.push(action.status);
    }
    assert_eq!(
        statuses,
        [
            ActionStatus::Performed,
            ActionStatus::Failed,
            ActionStatus::ReconciledPerformed,
            ActionStatus::ReconciledNotPerformed,
            ActionStatus::Open,
        ]
    );
    let failed = actions::by_id(world.pool(), ids[1]).await.expect("the query runs").expect("a row");
    assert_eq!((failed.class, failed.code.as_deref()), (Some(FailureClass::Transport), Some("NO_ANSWER")));
    let settled = actions::by_id(world.pool(), ids[2]).await.expect("the query runs").expect("a row");
    assert_eq!(settled.evidence.as_deref(), Some("a person looked"));
    assert_eq!(settled.code.as_deref(), Some("NO_ANSWER"));

    let of_run = ActionFilter { run_id: Some(life.run_id()), ..ActionFilter::default() };
    let newest = PageRequest::first(2, Order::NewestFirst);
    let page = actions::of_bot(world.pool(), life.bot_id, &of_run, &newest).await.expect("the query runs");
    assert!(page.has_more);
    let shown: Vec<_> = page.items.iter().map(|action| action.action_id).collect();
    assert_eq!(shown, [ids[4], ids[3]]);
    let next = PageRequest::after(page.items[1].first_position, 9, Order::NewestFirst);
    let page = actions::of_bot(world.pool(), life.bot_id, &of_run, &next).await.expect("the query runs");
    assert_eq!(page.items.len(), 3);
    let open = ActionFilter { statuses: vec![ActionStatus::Open], kind: Some(ActionKind::Like), ..of_run };
    let all = PageRequest::first(9, Order::OldestFirst);
    let page = actions::of_bot(world.pool(), life.bot_id, &open, &all).await.expect("the query runs");
    assert_eq!(page.items.len(), 1);
    let simulated = ActionFilter { mode: Some(Mode::DryRun), campaign_id: Some(campaign()), ..ActionFilter::default() };
    let page = actions::of_bot(world.pool(), life.bot_id, &simulated, &all).await.expect("the query runs");
    assert!(page.items.is_empty());
}

#[tokio::test]
async fn run_and_day_count_the_same_actions() {
    let world = World::create().await;
    let (mut life, _) = busy(&world).await;
    world.catch_up().await;
    let run = campaign_runs::by_id(world.pool(), life.run_id()).await.expect("the query runs").expect("a row");
    let counts = run.counts;
    assert!(counts.balance());
    assert_eq!((counts.reserved, counts.performed, counts.failed, counts.open, counts.in_doubt), (5, 2, 2, 1, 0));
    assert_eq!((run.targets, run.mode, run.finished_at), (Some(3), Mode::Live, None));
    let day = at(0).date_naive();
    let counters = bot_counters::of_bot(world.pool(), life.bot_id, day, day).await.expect("the query runs");
    assert_eq!(counters.len(), 1);
    assert_eq!((counters[0].kind, counters[0].mode, counters[0].local_day), (ActionKind::Like, Mode::Live, day));
    assert_eq!(counters[0].counts, counts);

    let open = life.bot.open_reservation().expect("one is open").action_id;
    let mut events = life.record(open, performed());
    events.extend(life.finish_run());
    world.append("Bot", &life.id(), &events).await;
    world.catch_up().await;
    let page = PageRequest::first(5, Order::NewestFirst);
    let runs = campaign_runs::of_bot(world.pool(), life.bot_id, Some(campaign()), &page).await.expect("it runs");
    assert_eq!(runs.items.len(), 1);
    assert_eq!(runs.items[0].counts.performed, 3);
    assert!(runs.items[0].finished_at.is_some());
    let other = CampaignId::from_uuid(derive(&["another"]));
    let none = campaign_runs::of_bot(world.pool(), life.bot_id, Some(other), &page).await.expect("it runs");
    assert!(none.items.is_empty());
}

#[tokio::test]
async fn action_that_has_to_wait_says_why_and_until_when() {
    let world = World::create().await;
    let (mut life, mut all) = Life::running("ada");
    let (_, events) = life.act(performed());
    all.extend(events);
    let waiting = ActionId::from_uuid(life.fresh());
    for _ in 0..2 {
        // At once after the last write: too soon.
        all.extend(life.ask(life.reservation(waiting, at(life.now))));
    }
    world.append("Bot", &life.id(), &all).await;
    world.catch_up().await;
    let action = actions::by_id(world.pool(), waiting).await.expect("the query runs").expect("a row");
    assert_eq!(action.status, ActionStatus::Suppressed);
    let suppression = action.suppression.expect("it had to wait");
    assert_eq!((suppression.reason, suppression.times), (SuppressReason::Pacing, 2));
    assert!(suppression.frees_at.is_some_and(|frees| frees > suppression.at));

    life.now += 3_600;
    let events = life.reserve(waiting);
    world.append("Bot", &life.id(), &events).await;
    world.catch_up().await;
    let action = actions::by_id(world.pool(), waiting).await.expect("the query runs").expect("a row");
    assert_eq!(action.status, ActionStatus::Open);
    let totals = bot_counters::totals(world.pool(), life.bot_id).await.expect("the query runs");
    assert_eq!((totals[0].2.suppressed, totals[0].2.open), (2, 1));
}

#[tokio::test]
async fn status_shows_what_the_platform_asked_for_and_chosen_limits() {
    let world = World::create().await;
    let (mut life, mut all) = Life::running("ada");
    let slow = Outcome::Refused { class: FailureClass::SlowDown, code: "RATE_LIMIT".to_owned() };
    all.extend(life.act(slow).1);
    let blocked = BotCommand::ReportTrouble {
        class: FailureClass::ActionBlocked,
        code: "FEEDBACK_REQUIRED".to_owned(),
        kind: Some(ActionKind::Like),
        at: at(life.now),
    };
    all.extend(life.ask(blocked));
    let broken = BotCommand::ReportTrouble {
        class: FailureClass::ContractBroken,
        code: "NOT_JSON".to_owned(),
        kind: Some(ActionKind::Follow),
        at: at(life.now),
    };
    all.extend(life.ask(broken));
    let limits = Limits { like: 60, follow: 1, ..Limits::default() };
    all.extend(life.ask(BotCommand::ChangeLimits { limits: limits.clone(), at: at(life.now) }));
    world.append("Bot", &life.id(), &all).await;
    world.catch_up().await;

    let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs").expect("a row");
    let slow_down = status.slow_down.expect("it slows down");
    assert_eq!((slow_down.step, slow_down.code.as_str()), (1, "RATE_LIMIT"));
    let block = &status.kind_blocks[&ActionKind::Like];
    assert_eq!((block.strike, block.halved_until), (1, None));
    let stopped = &status.stopped_modules[&ActionKind::Follow];
    assert_eq!((stopped.class, stopped.code.as_str()), (FailureClass::ContractBroken, "NOT_JSON"));
    let chosen = status.limits.expect("they were changed");
    assert_eq!(chosen.limits, limits);
    assert_eq!((chosen.effective.follow, chosen.effective.like), (1, 40));

    let running = Some(life.bot.state());
    let page =
        bot_status::list(world.pool(), running, &PageRequest::first(5, Order::OldestFirst)).await.expect("it runs");
    assert_eq!(page.items.len(), 1);
    let counts = bot_status::count_by_state(world.pool()).await.expect("the query runs");
    assert_eq!(counts.get(&life.bot.state()), Some(&1));
    let many = bot_status::of_bots(world.pool(), &[life.bot_id]).await.expect("the query runs");
    assert_eq!(many.len(), 1);
}

#[tokio::test]
async fn later_block_keeps_the_limits_halved() {
    let world = World::create().await;
    let (mut life, mut all) = Life::running("ada");
    for _ in 0..2 {
        life.now += 60;
        let command = BotCommand::ReportTrouble {
            class: FailureClass::ActionBlocked,
            code: "FEEDBACK_REQUIRED".to_owned(),
            kind: Some(ActionKind::Like),
            at: at(life.now),
        };
        all.extend(life.ask(command));
    }
    world.append("Bot", &life.id(), &all).await;
    world.catch_up().await;
    let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs").expect("a row");
    let block = &status.kind_blocks[&ActionKind::Like];
    assert_eq!(block.strike, 2);
    assert!(block.halved_until.is_some());
}

#[tokio::test]
async fn account_shows_its_session_while_there_is_one() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    world.append("Bot", &life.id(), &events).await;
    world.catch_up().await;
    let user_id = life.bot_id.owner();
    let account = instagram_accounts::of_user(world.pool(), user_id).await.expect("the query runs").expect("a row");
    assert_eq!((account.username.as_str(), account.zone), ("ada", chrono_tz::Tz::Europe__Berlin));
    assert_eq!(account.session, life.bot.login().session);
    assert_eq!((account.session_key_id.as_deref(), account.platform_pk.as_deref()), (Some("k1"), Some("9000")));
    life.tell(&world, BotCommand::Logout { at: at(life.now) }).await;
    world.catch_up().await;
    let many = instagram_accounts::of_users(world.pool(), &[user_id]).await.expect("the query runs");
    assert_eq!((many[0].session, many[0].session_expires_at), (None, None));
    assert_eq!(many[0].platform_pk.as_deref(), Some("9000"));
}

fn draft(name: &str) -> Draft {
    let source = DraftSource::Location { location_pk: i64::MAX.to_string(), tab: HashtagTab::Top };
    Draft::new(name, Module::Follow, source, 7)
}

#[tokio::test]
async fn campaigns_show_their_newest_revision() {
    let world = World::create().await;
    let bot_id = Life::of("ada").bot_id;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        let id = CampaignId::from_uuid(derive(&["campaign", name]));
        let mut known = Campaign::default();
        let mut all = Vec::new();
        for command in [
            CampaignCommand::Define { campaign_id: id, bot_id, draft: draft(name), at: at(0) },
            CampaignCommand::Revise { draft: draft(&format!("{name} again")), at: at(1) },
        ] {
            let events = known.decide(command).expect("it is allowed");
            known = fold(known, events.clone());
            all.extend(events);
        }
        if name == "three" {
            all.extend(known.decide(CampaignCommand::Archive { at: at(2) }).expect("it is allowed"));
        }
        world.append("Campaign", &id.to_string(), &all).await;
        let defined = known.definition().expect("it is defined").clone();
        ids.push((id, defined));
    }
    world.catch_up().await;
    for (id, definition) in &ids {
        let row = campaigns::by_id(world.pool(), *id).await.expect("the query runs").expect("a row");
        assert_eq!((&row.definition, row.revision, row.bot_id), (definition, 2, bot_id));
    }
    let all = PageRequest::first(9, Order::OldestFirst);
    let active = campaigns::of_bot(world.pool(), bot_id, false, &all).await.expect("the query runs");
    assert_eq!(active.items.len(), 2);
    let first = campaigns::of_bot(world.pool(), bot_id, true, &PageRequest::first(2, Order::OldestFirst)).await;
    let first = first.expect("the query runs");
    assert!(first.has_more);
    let rest = PageRequest::after(first.items[1].campaign_id, 2, Order::OldestFirst);
    let rest = campaigns::of_bot(world.pool(), bot_id, true, &rest).await.expect("the query runs");
    assert_eq!((rest.items.len(), rest.has_more), (1, false));
    let given: Vec<_> = ids.iter().map(|(id, _)| *id).collect();
    assert_eq!(campaigns::by_ids(world.pool(), &given).await.expect("the query runs").len(), 3);
}

#[tokio::test]
async fn users_are_found_by_id_name_and_page() {
    let world = World::create().await;
    let id = |name: &str| UserId::from_uuid(derive(&["user", name]));
    for (name, role) in [("ada", Role::Admin), ("bob", Role::User), ("cid", Role::User)] {
        let registered = UserEvent::UserRegistered {
            user_id: id(name),
            username: name.to_owned(),
            role,
            credential_id: CredentialId::from_uuid(derive(&[name])),
            must_change_password: name == "ada",
            at: at(0),
        };
        world.append("User", &id(name).to_string(), &[registered]).await;
    }
    world.append("User", &id("cid").to_string(), &[UserEvent::UserDeactivated { at: at(1) }]).await;
    world.catch_up().await;
    let ada = users::by_username(world.pool(), "ada").await.expect("the query runs").expect("a row");
    assert_eq!((ada.user_id, ada.role, ada.active, ada.must_change_password), (id("ada"), Role::Admin, true, true));
    let cid = users::by_id(world.pool(), id("cid")).await.expect("the query runs").expect("a row");
    assert!(!cid.active);
    assert_eq!(users::count(world.pool()).await.expect("the query runs"), 3);
    assert_eq!(users::by_ids(world.pool(), &[id("ada"), id("bob")]).await.expect("the query runs").len(), 2);
    let names = |order| {
        let pool = world.pool().clone();
        async move {
            let first = users::list(&pool, &PageRequest::first(2, order)).await.expect("the query runs");
            assert!(first.has_more);
            let key = first.items[1].username.clone();
            let rest = users::list(&pool, &PageRequest::after(key, 2, order)).await.expect("the query runs");
            assert!(!rest.has_more);
            first.items.into_iter().chain(rest.items).map(|user| user.username).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(Order::OldestFirst).await, ["ada", "bob", "cid"]);
    assert_eq!(names(Order::NewestFirst).await, ["cid", "bob", "ada"]);
}

#[tokio::test]
async fn pages_of_a_stream_start_at_any_position() {
    let world = World::create().await;
    let (ada, of_ada) = Life::running("ada");
    let (bob, of_bob) = Life::running("bob");
    for (one, other) in of_ada.iter().zip(&of_bob) {
        world.append("Bot", &ada.id(), std::slice::from_ref(one)).await;
        world.append("Bot", &bob.id(), std::slice::from_ref(other)).await;
    }
    // Ada's are at 1, 3, 5, …; every other position is a stranger's.
    let head = i64::try_from(of_ada.len() * 2).expect("small");
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for position in 0..=head + 1 {
            let page = PageRequest::after(LogKey { shard: 0, position }, 3, order);
            let found = events::of_stream(world.pool(), "Bot", &ada.id(), &page).await.expect("the query runs");
            let seen: Vec<_> = found.items.iter().map(|event| event.position).collect();
            let mine = (1..=head).filter(|at| at % 2 == 1);
            let expected: Vec<_> = match order {
                Order::OldestFirst => mine.filter(|at| *at > position).take(3).collect(),
                Order::NewestFirst => mine.rev().filter(|at| *at < position).take(3).collect(),
            };
            assert_eq!(seen, expected, "{order:?} after {position}");
        }
    }
    let newest = PageRequest::first(2, Order::NewestFirst);
    let found = events::of_shard(world.pool(), 0, &newest).await.expect("the query runs");
    assert_eq!(found.items.iter().map(|event| event.position).collect::<Vec<_>>(), [head, head - 1]);
    let older = PageRequest::after(head - 1, 2, Order::NewestFirst);
    let found = events::of_shard(world.pool(), 0, &older).await.expect("the query runs");
    assert_eq!(found.items.iter().map(|event| event.position).collect::<Vec<_>>(), [head - 2, head - 3]);
    let one = events::by_position(world.pool(), 0, 3).await.expect("the query runs").expect("a row");
    assert_eq!((one.aggregate_id, one.sequence), (ada.id(), 2));
    assert!(events::by_position(world.pool(), 0, head + 1).await.expect("the query runs").is_none());
}

#[tokio::test]
async fn zero_bytes_in_texts_park_nothing() {
    let world = World::create().await;
    let (mut life, events) = Life::running("ada");
    world.append("Bot", &life.id(), &events).await;
    let odd = |text: &str| format!("{text}\0!");
    life.tell(&world, BotCommand::PauseAutomation { reason: odd("later"), at: at(life.now) }).await;
    life.tell(&world, BotCommand::ResumeAutomation { at: at(life.now) }).await;
    let refused = Outcome::Refused { class: FailureClass::ContractBroken, code: odd("CODE") };
    let (_, events) = life.act(refused);
    world.append("Bot", &life.id(), &events).await;
    life.tell(&world, BotCommand::RecordConnectionTestFailed { code: odd("CODE"), at: at(life.now) }).await;
    life.tell(&world, BotCommand::RaiseChallenge { kind: odd("KIND"), at: at(life.now) }).await;
    world.catch_up().await;
    assert_eq!(world.value::<i64>("SELECT count(*) FROM projection_parked").await, 0);
    let status = bot_status::of_bot(world.pool(), life.bot_id).await.expect("the query runs").expect("a row");
    assert_eq!(status.challenge.as_deref(), Some("KIND\u{fffd}!"));
}
