//! A long history stays small in memory, and each of its events costs the same.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::Value;

use super::story::{Story, action, campaign, enablement, run, start};
use crate::any_event::decode_event;
use crate::bot::{ActionKind, Bot, BotEvent, Counter, Mode, Window};
use crate::decide::fold;

/// Reserved, read, performed: every other minute, far more than any limit allows.
pub fn typical(number: u32) -> BotEvent {
    let round = number / 3;
    let at = start() + TimeDelta::minutes(2 * i64::from(round));
    let local_day = at.date_naive();
    let (action_id, kind) = (action(round.into()), ActionKind::Like);
    match number % 3 {
        0 => BotEvent::ActionReserved {
            action_id,
            run_id: run(),
            campaign_id: campaign(),
            enablement_id: enablement(),
            kind,
            target: "3141592653_4711".to_owned(),
            mode: Mode::Live,
            requests: 2,
            local_day,
            words: None,
            next_write_at: at + TimeDelta::minutes(1),
            at,
        },
        1 => BotEvent::RequestsReserved { purpose: "hashtag".to_owned(), count: 1, automated: true, at },
        _ => BotEvent::ActionPerformed { action_id, kind, local_day, evidence: "answered ok".to_owned(), at },
    }
}

#[test]
fn a_hundred_thousand_events_leave_a_bot_that_remembers_a_day() {
    let bot = Story::running(Mode::Live).bot;
    let bot = fold(bot, (0..99_999).map(typical));
    let now = start() + TimeDelta::minutes(2 * 33_332);
    assert_eq!(bot.used(Mode::Live, Counter::Like, Window::Day, now), 720);
    assert_eq!(bot.used(Mode::Live, Counter::Request, Window::Day, now), 3 * 720);
    let kept: usize = bot.reserved.values().map(crate::bot::windows::Reserved::len).sum();
    assert!(kept <= 3 * 30 * 26, "{kept} reservations are kept");
    assert_eq!(bot.settled.len(), 512);
    let snapshot = serde_json::to_vec(&bot).unwrap();
    assert!(snapshot.len() < 160_000, "a snapshot has {} bytes", snapshot.len());
}

#[test]
#[ignore = "measures; run it with --release and --nocapture"]
fn a_hundred_thousand_events_fold_in_far_less_than_a_second() {
    let events = (0..99_999).map(typical);
    let payloads: Vec<_> = events.clone().map(|event| serde_json::to_string(&event).unwrap()).collect();
    let start = || Story::running(Mode::Live).bot;

    let begin = Instant::now();
    let folded_bot = fold(start(), events);
    let folded = begin.elapsed();

    let begin = Instant::now();
    let read = payloads.iter().map(|payload| {
        let payload: Value = serde_json::from_str(payload).unwrap();
        let name = payload["type"].as_str().unwrap_or_default().to_owned();
        decode_event::<Bot>("", &name, "1", payload).unwrap()
    });
    let read_bot = fold(start(), read);
    let read_and_folded = begin.elapsed();
    assert_eq!(read_bot, folded_bot);

    let snapshot = serde_json::to_vec(&read_bot).unwrap();
    let begin = Instant::now();
    assert_eq!(serde_json::from_slice::<Bot>(&snapshot).unwrap(), read_bot);
    let restored = begin.elapsed();
    println!("made and folded in {folded:?}, read from JSON and folded in {read_and_folded:?}");
    println!("a snapshot of {} bytes restored in {restored:?}", snapshot.len());
    assert!(folded < Duration::from_secs(1) && read_and_folded < Duration::from_secs(2));
}
