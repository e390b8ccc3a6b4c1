//! A long history stays small in memory, and each of its events costs the same.

use chrono::TimeDelta;

use super::story::{self, Story, action, campaign, enablement, run, start};
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
fn folding_a_hundred_thousand_events() {
    let events: Vec<BotEvent> =
        story::Story::running(Mode::Live).events.into_iter().chain((0..99_999).map(typical)).collect();
    let begin = std::time::Instant::now();
    let bot = fold(Bot::default(), events);
    let folded = begin.elapsed();
    println!("{folded:?} for the fold of 100,000 events, {} settled", bot.settled.len());
    assert!(folded.as_secs_f64() < 1.0);
}
