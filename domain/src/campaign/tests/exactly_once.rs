//! Whatever happens in whatever order: each due time is decided exactly once, and runs do not overlap.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::sample::select;

use super::scheduling::{every_ten, minute, running, set, stopped};
use super::*;
use crate::bot::{Activity, BotState};
use crate::campaign::schedule::{BotStanding, DueSpan, Overlap};
use crate::campaign::{RunEnding, Stage};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes and somebody looks; a second process looks as well.
    Look {
        seconds: i64,
        twice: bool,
    },
    /// The scheduler decides and dies before anything is appended.
    Crash {
        seconds: i64,
    },
    Stop(BotState),
    Run,
    Pause,
    Resume,
    Revise(Overlap),
    End,
    Backfill {
        minutes: i64,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let passing = || prop_oneof![5 => 0_i64..1_500, 1 => 1_500_i64..100_000];
    prop_oneof![
        8 => (passing(), any::<bool>()).prop_map(|(seconds, twice)| Step::Look { seconds, twice }),
        2 => passing().prop_map(|seconds| Step::Crash { seconds }),
        1 => select(vec![BotState::Paused, BotState::LoggedIn, BotState::Error]).prop_map(Step::Stop),
        2 => Just(Step::Run),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => select(Overlap::ALL).prop_map(Step::Revise),
        5 => Just(Step::End),
        1 => (1_i64..300).prop_map(|minutes| Step::Backfill { minutes }),
    ]
}

struct Scene {
    state: Campaign,
    events: Vec<CampaignEvent>,
    bot: BotStanding,
    seconds: i64,
}

impl Scene {
    fn now(&self) -> DateTime<Utc> {
        at() + TimeDelta::seconds(self.seconds)
    }

    fn tell(&mut self, command: CampaignCommand) -> usize {
        let events = self.state.decide(command).unwrap_or_default();
        for event in &events {
            self.state.apply(event.clone());
        }
        self.events.extend(events.iter().cloned());
        events.len()
    }

    fn look(&mut self) -> usize {
        self.tell(CampaignCommand::DecideDue { bot: self.bot, at: self.now() })
    }

    fn turn(&mut self, state: BotState) {
        let (now, Activity { before, ran_since, ran_until, state: was }) = (self.now(), self.bot.activity);
        let is_running = state == BotState::Running;
        self.bot = match (was == BotState::Running, is_running) {
            (false, true) => BotStanding {
                activity: Activity { state, before: was, ran_since: Some(now), ran_until },
                in_plan: true,
            },
            (true, false) => stopped(state, now),
            _ => BotStanding { activity: Activity { state, before, ran_since, ran_until }, in_plan: is_running },
        };
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Look { seconds, twice } => {
                self.seconds += seconds;
                self.look();
                if *twice {
                    assert_eq!(self.look(), 0, "decided twice");
                }
            }
            Step::Crash { seconds } => {
                self.seconds += seconds;
                let lost = self.state.decide(CampaignCommand::DecideDue { bot: self.bot, at: self.now() });
                assert!(lost.is_ok(), "a look is never refused");
            }
            Step::Stop(state) => self.turn(*state),
            Step::Run => self.turn(BotState::Running),
            Step::Pause => {
                let reason = "a test".to_owned();
                self.tell(CampaignCommand::PauseSchedule { reason, bot: self.bot, at: self.now() });
            }
            Step::Resume => {
                self.tell(CampaignCommand::ResumeSchedule { bot: self.bot, at: self.now() });
            }
            Step::Revise(overlap) => {
                let draft = every_ten(*overlap);
                self.tell(CampaignCommand::SetSchedule { draft, bot: self.bot, at: self.now() });
            }
            Step::End => {
                let busy = self.state.runs().and_then(|runs| {
                    runs.open().iter().find(|open| open.stage != Stage::Waiting).map(|open| open.run.job_id)
                });
                if let Some(job_id) = busy {
                    let (ending, bot) = (RunEnding::Completed, self.bot.activity.state);
                    self.tell(CampaignCommand::RecordRunEnded { job_id, ending, bot, at: self.now() });
                }
            }
            Step::Backfill { minutes } => {
                let (until, bot) = (self.now(), self.bot);
                let from = until - TimeDelta::minutes(*minutes);
                self.tell(CampaignCommand::Backfill { from, until, bot, at: until });
            }
        }
    }
}

/// How often each due time was decided, by minute.
fn decided(events: &[CampaignEvent]) -> BTreeMap<DateTime<Utc>, u32> {
    let mut decided = BTreeMap::new();
    for event in events {
        let (first, count) = match event {
            CampaignEvent::RunPlanned { run, backfill: false, .. } => (run.due_at, 1),
            CampaignEvent::RunsSkipped { span: DueSpan { first_due_at, count, .. }, .. }
            | CampaignEvent::RunsMissed { span: DueSpan { first_due_at, count, .. }, .. } => (*first_due_at, *count),
            _ => continue,
        };
        for place in 0..i64::try_from(count).unwrap_or(0) {
            *decided.entry(first + TimeDelta::minutes(10 * place)).or_default() += 1;
        }
    }
    decided
}

proptest! {
    #[test]
    fn each_due_time_is_decided_exactly_once_and_one_job_is_at_work(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut scene = Scene { state: Campaign::default(), events: Vec::new(), bot: running(), seconds: 0 };
        scene.events = vec![defined(), set(Overlap::Queue)];
        scene.state = fold(Campaign::default(), scene.events.clone());
        for step in &steps {
            scene.take(step);
            let open = scene.state.runs().map(|runs| runs.open().to_vec()).unwrap_or_default();
            let busy = open.iter().filter(|open| open.stage != Stage::Waiting).count();
            prop_assert!(busy <= 1, "{} jobs are at work", busy);
        }
        scene.look();
        let decided = decided(&scene.events);
        let due = (scene.seconds / 600).max(0);
        for place in 1..=due {
            prop_assert_eq!(decided.get(&minute(10 * place)), Some(&1), "due {} minutes after the start", 10 * place);
        }
        prop_assert_eq!(decided.len(), usize::try_from(due).unwrap_or(0), "decided before its time");
        prop_assert_eq!(fold(Campaign::default(), scene.events), scene.state);
    }
}
