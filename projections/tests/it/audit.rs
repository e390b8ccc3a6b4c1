//! The audit trail: every event, in words, with who, why and whose.

use std::collections::BTreeSet;

use domain::campaign::{Campaign, CampaignCommand, Draft, DraftSource, HashtagTab, Module};
use domain::decide::{Decide, fold};
use domain::ids::derive;
use projections::audit_trail::{self, AuditFilter, AuditTrail};
use projections::{Order, PageRequest};

use crate::support::life::{Life, campaign};
use crate::support::walk::Dice;
use crate::support::{World, at};

fn draft(name: &str) -> Draft {
    let source = DraftSource::Hashtag { name: "#Rust".to_owned(), tab: HashtagTab::Recent };
    Draft::new(name, Module::Like, source, 5)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_an_entry_that_says_what_happened() {
    let world = World::create().await;
    for seed in 0..8 {
        let mut life = Life::of(&seed.to_string());
        let mut dice = Dice::new(seed);
        let mut events = Vec::new();
        for _ in 0..600 {
            let command = life.anything(&mut dice);
            events.extend(life.ask(command));
        }
        world.append("Bot", &life.id(), &events).await;
    }
    let last = world.runner(AuditTrail).catch_up().await.expect("it goes on");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM audit_trail").await, last);
    let kinds: Vec<String> = sqlx::query_scalar("SELECT DISTINCT event_type FROM audit_trail")
        .fetch_all(world.pool())
        .await
        .expect("the query runs");
    // Without most kinds of events this shows little.
    let kinds: BTreeSet<_> = kinds.into_iter().collect();
    let missing: Vec<_> = domain::bot::BotEvent::NAMES.iter().filter(|name| !kinds.contains(**name)).collect();
    assert!(missing.len() <= 3, "the lives never had {missing:?}");
    assert_eq!(world.value::<i64>("SELECT count(*) FROM audit_trail WHERE summary = ''").await, 0);
    let differing = "SELECT count(*)
           FROM audit_trail
           JOIN events USING (shard, position)
          WHERE audit_trail.event_id <> events.event_id
             OR audit_trail.request_id::text <> events.metadata ->> 'request_id'
             OR audit_trail.correlation_id::text <> events.metadata ->> 'correlation_id'
             OR audit_trail.causation_id::text <> events.metadata ->> 'causation_id'
             OR audit_trail.actor <> events.metadata ->> 'actor'
             OR audit_trail.payload::jsonb <> events.payload::jsonb";
    assert_eq!(world.value::<i64>(differing).await, 0);
}

#[tokio::test]
async fn campaign_belongs_to_its_bots_owner_from_the_first_event_to_the_last() {
    let world = World::create().await;
    let life = Life::of("ada");
    let mut known = Campaign::default();
    for command in [
        CampaignCommand::Define { campaign_id: campaign(), bot_id: life.bot_id, draft: draft("posts"), at: at(0) },
        CampaignCommand::Revise { draft: draft("more posts"), at: at(1) },
        CampaignCommand::Archive { at: at(2) },
    ] {
        let events = known.decide(command).expect("it is allowed");
        known = fold(known, events.clone());
        world.append("Campaign", &campaign().to_string(), &events).await;
        // One at a time, so that the owner is known from the rows and not from the batch.
        world.runner(AuditTrail).catch_up().await.expect("it goes on");
    }
    let mine = AuditFilter { user_id: Some(life.bot_id.owner()), ..AuditFilter::default() };
    let page = PageRequest::first(10, Order::OldestFirst);
    let entries = audit_trail::list(world.pool(), &mine, &page).await.expect("the query runs").items;
    let told: Vec<_> = entries.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(
        told,
        [
            "defined the campaign \"posts\": LIKE, #rust (RECENT), at most 5 targets a run",
            "revised the campaign to \"more posts\": LIKE, #rust (RECENT), at most 5 targets a run (revision 2)",
            "archived the campaign",
        ]
    );
    assert!(entries.iter().all(|entry| entry.bot_id == Some(life.bot_id)));
}

#[tokio::test]
async fn filters_and_pages_give_each_entry_once() {
    let world = World::create().await;
    let (ada, of_ada) = Life::running("ada");
    let (bob, of_bob) = Life::running("bob");
    for (one, other) in of_ada.iter().zip(&of_bob) {
        world.append("Bot", &ada.id(), std::slice::from_ref(one)).await;
        world.append("Bot", &bob.id(), std::slice::from_ref(other)).await;
    }
    world.runner(AuditTrail).catch_up().await.expect("it goes on");
    let mine = AuditFilter { user_id: Some(ada.bot_id.owner()), ..AuditFilter::default() };
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut seen = Vec::new();
        let mut request = PageRequest::first(3, order);
        loop {
            let page = audit_trail::list(world.pool(), &mine, &request).await.expect("the query runs");
            seen.extend(page.items.iter().map(|entry| entry.position));
            let Some(last) = page.items.last().filter(|_| page.has_more) else { break };
            request = PageRequest::after(last.key(), 3, order);
        }
        let mut expected: Vec<i64> =
            (0..of_ada.len()).map(|index| 2 * i64::try_from(index).expect("small") + 1).collect();
        if order == Order::NewestFirst {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }

    let all = PageRequest::first(100, Order::OldestFirst);
    let entries = |filter: AuditFilter| {
        let pool = world.pool().clone();
        async move { audit_trail::list(&pool, &filter, &all).await.expect("the query runs").items }
    };
    let logins =
        entries(AuditFilter { event_types: vec!["LoginRequested".to_owned()], ..AuditFilter::default() }).await;
    assert_eq!(logins.len(), 2);
    let one = &logins[0];
    let same = entries(AuditFilter { correlation_id: Some(one.correlation_id), ..AuditFilter::default() }).await;
    assert_eq!(same.len(), 1);
    let acted = entries(AuditFilter { actor: Some(one.actor.clone()), ..AuditFilter::default() }).await;
    assert_eq!(acted.len(), of_ada.len() + of_bob.len());
    let between = AuditFilter { from: Some(at(2)), until: Some(at(4)), ..AuditFilter::default() };
    assert_eq!(entries(between).await.len(), 2);
    let found = audit_trail::by_position(world.pool(), 0, one.position).await.expect("the query runs");
    assert_eq!(found.as_ref(), Some(one));
    let nobody = domain::metadata::Actor::Token(derive(&["nobody"]));
    assert!(entries(AuditFilter { actor: Some(nobody), ..AuditFilter::default() }).await.is_empty());
}
