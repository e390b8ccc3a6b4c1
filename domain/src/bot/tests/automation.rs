//! Switching automation on in two steps, its runs, and the dry run before the live one.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::story::{self, Story, authorize, campaign, enable, enablement, other_campaign, plan, run, start};
use crate::bot::{BotCommand, BotError, BotEvent, BotState, Limits, Mode};
use crate::ids::{CampaignId, EnablementId};

const FRESH: TimeDelta = TimeDelta::minutes(10);
const MOMENT: TimeDelta = TimeDelta::milliseconds(1);

fn finish(campaign_id: CampaignId, stopped_by: Option<&str>, at: DateTime<Utc>) -> BotCommand {
    BotCommand::FinishRun {
        run_id: run(),
        campaign_id,
        enablement_id: enablement(),
        stopped_by: stopped_by.map(str::to_owned),
        at,
    }
}

fn authorize_live(at: DateTime<Utc>) -> BotCommand {
    let mut command = authorize(Mode::Live, at);
    if let BotCommand::AuthorizeAutomation { dry_run_waived, .. } = &mut command {
        *dry_run_waived = false;
    }
    command
}

fn authorize_two(at: DateTime<Utc>) -> BotCommand {
    let mut command = authorize(Mode::DryRun, at);
    if let BotCommand::AuthorizeAutomation { campaigns, .. } = &mut command {
        campaigns.push(other_campaign());
    }
    command
}

/// Back to the point where a plan can be authorized.
fn disabled_and_verified(story: Story) -> Story {
    story.does(story::disable).verified()
}

#[test]
fn authorization_says_what_was_agreed_to() {
    Story::logged_in().verified().when(authorize(Mode::DryRun, start())).then_expect_events(vec![
        BotEvent::AutomationAuthorized {
            plan_hash: plan('a'),
            campaigns: vec![campaign()],
            limits: Limits::default(),
            mode: Mode::DryRun,
            at: start(),
        },
    ]);
}

#[test]
fn authorization_needs_a_connection_verified_less_than_ten_minutes_ago() {
    Story::logged_in().refuses(authorize(Mode::DryRun, start()), BotError::ConnectionNotVerified);
    let story = Story::logged_in().verified();
    story.refuses(authorize(Mode::DryRun, start() + FRESH), BotError::ConnectionNotVerified);
    assert!(story.when(authorize(Mode::DryRun, start() + FRESH - MOMENT)).inspect_result().is_ok());
}

#[test]
fn authorization_needs_a_plan_of_one_to_a_hundred_campaigns() {
    let with = |count: usize| {
        let mut command = authorize(Mode::DryRun, start());
        if let BotCommand::AuthorizeAutomation { campaigns, .. } = &mut command {
            *campaigns = (0..count as u128).map(|number| CampaignId::from_uuid(Uuid::from_u128(number))).collect();
        }
        command
    };
    let story = Story::logged_in().verified();
    story.refuses(with(0), BotError::PlanEmpty);
    story.refuses(with(101), BotError::TooManyCampaigns { given: 101, most: 100 });
    assert!(story.when(with(100)).inspect_result().is_ok());
}

#[test]
fn enabling_takes_the_authorized_plan_and_mode() {
    Story::authorized(Mode::DryRun).when(enable(start())).then_expect_events(vec![BotEvent::AutomationEnabled {
        enablement_id: enablement(),
        plan_hash: plan('a'),
        campaigns: vec![campaign()],
        mode: Mode::DryRun,
        at: start(),
    }]);
}

#[test]
fn enabling_needs_an_authorization_of_less_than_ten_minutes_ago() {
    Story::logged_in().verified().refuses(enable(start()), BotError::NotAuthorized);
    let story = Story::authorized(Mode::DryRun);
    story.refuses(enable(start() + FRESH), BotError::NotAuthorized);
    assert!(story.when(enable(start() + FRESH - MOMENT)).inspect_result().is_ok());
}

#[test]
fn an_authorization_enables_once() {
    let story = Story::running(Mode::DryRun).does(story::disable);
    story.refuses(enable(start()), BotError::NotAuthorized);
}

#[test]
fn enabling_refuses_a_plan_that_the_person_did_not_see_or_that_changed_since() {
    for (confirmed, current) in [('b', 'a'), ('a', 'b'), ('b', 'b')] {
        Story::authorized(Mode::DryRun).refuses(
            BotCommand::EnableAutomation {
                enablement_id: enablement(),
                confirmed: plan(confirmed),
                current: plan(current),
                at: start(),
            },
            BotError::PlanChanged,
        );
    }
}

#[test]
fn going_live_needs_a_finished_dry_run_of_the_same_plan() {
    let story = Story::logged_in().verified();
    story.refuses(authorize_live(start()), BotError::DryRunRequired);
    let story = disabled_and_verified(Story::running(Mode::DryRun).does(|at| finish(campaign(), None, at)));
    assert!(story.bot.has_dry_run(&plan('a')));
    let mut other_plan = authorize_live(start());
    if let BotCommand::AuthorizeAutomation { plan_hash, .. } = &mut other_plan {
        *plan_hash = plan('b');
    }
    story.refuses(other_plan, BotError::DryRunRequired);
    let story = story.does(authorize_live).does(enable);
    assert_eq!(story.bot.enablement().map(|enablement| enablement.mode), Some(Mode::Live));
}

#[test]
fn the_operator_can_waive_the_dry_run() {
    let story = Story::logged_in().verified().does(|at| authorize(Mode::Live, at));
    assert_eq!(story.bot.authorization().map(|authorization| authorization.mode), Some(Mode::Live));
}

#[test]
fn a_dry_run_is_finished_when_the_last_campaign_is() {
    let story = Story::logged_in().verified().does(authorize_two).does(enable);
    let story = story.does(|at| finish(campaign(), None, at));
    assert!(!story.bot.has_dry_run(&plan('a')));
    story.when(finish(other_campaign(), None, start())).then_expect_events(vec![
        BotEvent::RunFinished {
            run_id: run(),
            campaign_id: other_campaign(),
            enablement_id: enablement(),
            mode: Mode::DryRun,
            stopped_by: None,
            at: start(),
        },
        BotEvent::DryRunFinished { plan_hash: plan('a'), at: start() },
    ]);
}

#[test]
fn a_run_that_was_stopped_early_finishes_no_dry_run_not_even_when_others_finish() {
    let story = Story::logged_in().verified().does(authorize_two).does(enable);
    let story = story.does(|at| finish(campaign(), Some("SOURCE_STOPPED"), at));
    let story = story.does(|at| finish(other_campaign(), None, at));
    assert!(!story.bot.has_dry_run(&plan('a')));
    let story = story.does(|at| finish(campaign(), None, at));
    assert!(story.bot.has_dry_run(&plan('a')));
}

#[test]
fn the_only_run_of_a_plan_finishes_no_dry_run_when_it_was_stopped_early() {
    let story = Story::running(Mode::DryRun);
    let events = story.when(finish(campaign(), Some("SOURCE_STOPPED"), start())).inspect_result().unwrap();
    assert_eq!(events.iter().map(BotEvent::name).collect::<Vec<_>>(), ["RunFinished"]);
}

#[test]
fn a_live_run_finishes_no_dry_run() {
    let story = Story::running(Mode::Live).does(|at| finish(campaign(), None, at));
    assert!(!story.bot.has_dry_run(&plan('a')));
}

#[test]
fn after_a_person_was_needed_every_plan_starts_again_in_a_dry_run() {
    for stop in [story::challenge as fn(DateTime<Utc>) -> BotCommand, story::fail] {
        let story = Story::running(Mode::DryRun).does(|at| finish(campaign(), None, at)).does(stop);
        let story = if story.bot.login().challenge.is_some() {
            story.does(|at| BotCommand::ResolveChallenge { at })
        } else {
            story.does(|at| BotCommand::RecoverBot { at })
        };
        let story = story.does(story::login).logs_in().verified();
        story.refuses(authorize_live(start()), BotError::DryRunRequired);
    }
}

#[test]
fn the_newest_thirty_two_dry_runs_are_remembered() {
    let mut story = Story::logged_in().verified();
    let plans: Vec<_> = (0..33).map(|number| format!("{number:064x}").parse().unwrap()).collect();
    for hash in &plans {
        let mut command = authorize(Mode::DryRun, start());
        if let BotCommand::AuthorizeAutomation { plan_hash, .. } = &mut command {
            plan_hash.clone_from(hash);
        }
        story = story
            .does(|_| command)
            .does(|at| BotCommand::EnableAutomation {
                enablement_id: enablement(),
                confirmed: hash.clone(),
                current: hash.clone(),
                at,
            })
            .does(|at| finish(campaign(), None, at))
            .does(story::disable);
    }
    assert!(!story.bot.has_dry_run(&plans[0]));
    assert!(plans[1..].iter().all(|hash| story.bot.has_dry_run(hash)));
}

#[test]
fn a_run_belongs_to_the_enablement_that_is_on() {
    let stale = EnablementId::from_uuid(Uuid::from_u128(99));
    let story = Story::running(Mode::Live);
    let commands = [
        BotCommand::StartRun { run_id: run(), campaign_id: campaign(), enablement_id: stale, targets: 1, at: start() },
        BotCommand::FinishRun {
            run_id: run(),
            campaign_id: campaign(),
            enablement_id: stale,
            stopped_by: None,
            at: start(),
        },
    ];
    for command in commands {
        story.refuses(command, BotError::StaleEnablement);
    }
}

#[test]
fn a_campaign_that_is_not_in_the_plan_never_runs() {
    let campaign_id = other_campaign();
    let story = Story::running(Mode::Live);
    let started =
        BotCommand::StartRun { run_id: run(), campaign_id, enablement_id: enablement(), targets: 1, at: start() };
    for command in [started, finish(campaign_id, None, start())] {
        story.refuses(command, BotError::NotPlanned { campaign_id });
    }
}

#[test]
fn runs_say_their_mode() {
    for mode in [Mode::DryRun, Mode::Live] {
        let command = BotCommand::StartRun {
            run_id: run(),
            campaign_id: campaign(),
            enablement_id: enablement(),
            targets: 12,
            at: start(),
        };
        Story::running(mode).when(command).then_expect_events(vec![BotEvent::RunStarted {
            run_id: run(),
            campaign_id: campaign(),
            enablement_id: enablement(),
            mode,
            targets: 12,
            at: start(),
        }]);
    }
}

#[test]
fn pausing_and_resuming_keep_the_enablement() {
    let story = Story::running(Mode::Live).does(story::pause).does(|at| BotCommand::ResumeAutomation { at });
    assert_eq!(story.state(), BotState::Running);
    assert_eq!(story.bot.enablement(), Story::running(Mode::Live).bot.enablement());
}

#[test]
fn paused_bot_refuses_to_pause_again() {
    Story::running(Mode::Live)
        .does(story::pause)
        .refuses(story::pause(start()), BotError::NotAllowed { command: "PauseAutomation", state: BotState::Paused });
}

#[test]
fn a_reason_that_is_too_long_is_refused() {
    let reason = "é".repeat(501);
    let too_long = BotError::TooLong { field: "reason", length: 501, most: 500 };
    let story = Story::running(Mode::Live);
    story.refuses(BotCommand::PauseAutomation { reason: reason.clone(), at: start() }, too_long.clone());
    story.refuses(BotCommand::DisableAutomation { reason, at: start() }, too_long);
    let longest = BotCommand::PauseAutomation { reason: "é".repeat(500), at: start() };
    assert!(story.when(longest).inspect_result().is_ok());
}
