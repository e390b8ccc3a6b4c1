//! When a bot began to run and when it stopped, whatever turned it.

use chrono::{DateTime, TimeDelta, Utc};

use super::story::{self, Story, start};
use crate::bot::{Activity, BotCommand, BotState, Mode};

const HOUR: TimeDelta = TimeDelta::hours(1);

/// How automation ends at an instant.
type End = fn(DateTime<Utc>) -> BotCommand;

fn resume(at: DateTime<Utc>) -> BotCommand {
    BotCommand::ResumeAutomation { at }
}

#[test]
fn a_bot_knows_since_when_it_runs_and_what_it_did_before() {
    assert_eq!(Story::new().activity(), Activity::NEVER);
    let story = Story::running(Mode::Live);
    let (state, ran_since) = (BotState::Running, Some(start()));
    assert_eq!(story.activity(), Activity { state, before: BotState::LoggedIn, ran_since, ran_until: None });
    let story = story.later(HOUR).does(story::pause).later(HOUR).does(resume);
    let (ran_since, ran_until) = (Some(start() + HOUR * 2), Some(start() + HOUR));
    assert_eq!(story.activity(), Activity { state, before: BotState::Paused, ran_since, ran_until });
}

#[test]
fn every_end_of_running_is_remembered() {
    let ends: [(End, BotState); 5] = [
        (story::pause, BotState::Paused),
        (story::disable, BotState::LoggedIn),
        (story::logout, BotState::LoggedOut),
        (story::challenge, BotState::Error),
        (story::fail, BotState::Error),
    ];
    for (end, state) in ends {
        let ended = Story::running(Mode::Live).later(HOUR).does(end).activity();
        assert_eq!((ended.state, ended.ran_until), (state, Some(start() + HOUR)));
        assert!(!ended.is_running());
    }
    // What happens to a bot that does not run is no end of running.
    let later = Story::running(Mode::Live).later(HOUR).does(story::pause).later(HOUR).does(story::disable).activity();
    assert_eq!((later.state, later.ran_until), (BotState::LoggedIn, Some(start() + HOUR)));
}
