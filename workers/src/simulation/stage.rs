//! The play: a storm of things that go wrong, then calm, then the end, then the books.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{Bot, BotCommand, BotEvent, BotState, Limits, Mode, WorkingHours};
use domain::campaign::Module;
use domain::clock::Clock;
use domain::ids::JobId;
use domain::job::{Job, JobCommand, JobState, Origin};
use domain::splitmix::SplitMix64;
use futures_util::StreamExt;
use projections::reactor::work::{BOT_RESUMED, CAMPAIGN_RUN};
use serde_json::json;
use store::command_bus::CommandBus;
use store::event::RawEvent;
use store::repository::{DEFAULT_SHARD, EventRepository};
use tokio::task::yield_now;

use super::books::{self, Breach};
use super::cast::{Casting, OpenSessions, Player, jobs_of};
use super::clock::{Seeded, VirtualClock};
use super::interrupt::Awaits;
use super::process::{Common, Process, Running};
use super::repository::FaultyRepository;
use super::{CrashRun, Figures, Mutation, Outcome};
use crate::platform::sandbox::{Fault, FaultKind, InProcess, LoginKind, SandboxConfig, World};
use crate::platform::{Gateway, GatewayConfig};

/// Rounds of the storm, and rounds after which nothing should be left to do.
const STORM: u32 = 260;
const MOST_ROUNDS: u32 = 20_000;
/// The platform as every play finds it: it takes longer to make than most plays.
static WORLD: OnceLock<World> = OnceLock::new();
/// Most bots of one play.
const MOST_BOTS: u64 = 2;

/// Plays `seed` to its end.
pub(super) fn play(seed: u64, mutation: Option<Mutation>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(async { Stage::set(seed, mutation).await.play().await }),
        Err(error) => panic!("the simulation has no runtime: {error}"),
    }
}

/// Runs a campaign of `module` on a calm day, with a crash at one await.
pub(super) fn crash_run(module: Module, crash_at: Option<u32>) -> CrashRun {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match runtime {
        Ok(runtime) => runtime.block_on(async { Stage::empty(1, None).crash_run(module, crash_at).await }),
        Err(error) => panic!("the simulation has no runtime: {error}"),
    }
}

struct Stage {
    seed: u64,
    rng: SplitMix64,
    common: Common,
    sandbox: InProcess,
    /// A person's own way to the store.
    bus: CommandBus,
    players: Vec<Player>,
    process: Process,
    /// Activations of processes that have lost their hold and do not know it.
    zombies: Vec<Running>,
    /// How far what people and bots did has been told to the jobs.
    followed: i64,
    live: Vec<JobId>,
    started_at: DateTime<Utc>,
    figures: Figures,
}

impl Stage {
    async fn set(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut stage = Self::empty(seed, mutation);
        stage.bring_on().await;
        stage
    }

    /// Nobody is on it yet.
    fn empty(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = SplitMix64::new(seed);
        let clock = Arc::new(VirtualClock::new());
        let config =
            SandboxConfig { seed: 1, latency: Duration::from_millis(200), ..SandboxConfig::new(clock.clone()) };
        let sandbox = InProcess::of(WORLD.get_or_init(|| World::seeded(1, clock.now())).clone(), &config);
        let mut gateway = GatewayConfig::new("http://simulated");
        gateway.read_retry_delays = [5, 30].map(Duration::from_secs).to_vec();
        let gateway = Gateway::over(Arc::new(sandbox.clone()), gateway)
            .unwrap_or_else(|error| panic!("the gateway's client cannot be made: {error}"));
        let repository = FaultyRepository::new(rng.draw());
        let common = Common {
            repository: repository.clone(),
            platform: Arc::new(gateway),
            sessions: Arc::new(OpenSessions::default()),
            clock: clock.clone(),
            entropy: Arc::new(Seeded::new(rng.draw())),
            mutation,
        };
        let bus = CommandBus::new(repository.clone(), None);
        let process = Process::start(&common, repository.epoch(), []);
        let started_at = clock.now();
        Self {
            seed,
            rng,
            common,
            sandbox,
            bus,
            players: Vec::new(),
            process,
            zombies: Vec::new(),
            followed: 0,
            live: Vec::new(),
            started_at,
            figures: Figures::default(),
        }
    }

    fn casting(&self) -> Casting<'_> {
        Casting {
            bus: &self.bus,
            platform: self.common.platform.as_ref(),
            sessions: &self.common.sessions,
            clock: self.common.clock.as_ref(),
            entropy: self.common.entropy.as_ref(),
        }
    }

    async fn bring_on(&mut self) {
        let mut rng = self.rng.clone();
        let count = usize::try_from(rng.between(1, MOST_BOTS)).unwrap_or(1);
        for account in accounts().into_iter().take(count) {
            let player = self.casting().bring_on(&account, &mut rng).await;
            self.begin(player).await;
        }
        self.rng = rng;
        self.process = Process::start(&self.common, self.common.repository.epoch(), self.live.clone());
    }

    /// Makes the jobs of a player's campaigns.
    async fn begin(&mut self, player: Player) {
        for (job, campaign_id) in jobs_of(&player) {
            let input = json!({ "campaign_id": campaign_id, "enablement_id": player.enablement });
            let origin = Origin::Campaign { campaign_id, due_at: self.common.clock.now() };
            let provenance = self.process.provenance(job);
            let made = self.process.runner().create(job, player.bot_id, CAMPAIGN_RUN, input, origin, &provenance);
            if made.await.is_ok() {
                self.live.push(job);
            }
        }
        self.players.push(player);
    }

    async fn crash_run(mut self, module: Module, crash_at: Option<u32>) -> CrashRun {
        let limits = Limits { hours: WorkingHours { from: 0, until: 24 }, ..Limits::default() };
        let account = accounts().into_iter().next().unwrap_or_default();
        let modules = [(module, 3)];
        let player = self.casting().enabled(&account, limits, &modules, Mode::Live, TimeDelta::days(8)).await;
        self.begin(player).await;
        let awaits = Awaits::until(crash_at);
        let epoch = self.common.repository.epoch();
        self.process = Process::counted(&self.common, epoch, self.live.clone(), awaits.clone());
        let mut crashed = false;
        let mut rounds = 0;
        while !self.is_over().await && rounds < MOST_ROUNDS {
            self.round(false).await;
            if awaits.are_over() && !crashed {
                crashed = true;
                let epoch = self.common.repository.next_epoch();
                self.process = Process::counted(&self.common, epoch, self.live.clone(), awaits.unbounded());
            }
            rounds += 1;
        }
        self.crash_report(awaits.seen()).await
    }

    async fn crash_report(self, polls: u32) -> CrashRun {
        let events = self.common.repository.raw_read(DEFAULT_SHARD, 0, i64::MAX).await.unwrap_or_default();
        let ended = events.iter().find(|raw| raw.event_type == "JobCompleted");
        let result = ended.and_then(|raw| serde_json::from_str::<serde_json::Value>(&raw.payload).ok());
        let mut breaches = books::jobs_are_over(&events);
        for player in &self.players {
            breaches.extend(books::balance(player, &events, &self.sandbox.ledger(Some(&player.account))));
        }
        let writes = self.sandbox.ledger(None).into_iter().map(|entry| (entry.kind, entry.target)).collect();
        CrashRun { result: result.map(|mut payload| payload["result"].take()), writes, breaches, polls }
    }

    async fn play(mut self) -> Outcome {
        self.common.repository.set_calm(false);
        let storm = STORM.min(u32::try_from(self.rng.between(40, u64::from(STORM))).unwrap_or(STORM));
        let mut rounds = 0;
        while !self.is_over().await && rounds < MOST_ROUNDS {
            if rounds < storm {
                self.trouble().await;
            } else if rounds == storm {
                self.calm().await;
            }
            self.round(rounds < storm).await;
            rounds += 1;
        }
        self.end(rounds).await
    }

    /// Whether every job is over and no action is open that could be found out about.
    async fn is_over(&self) -> bool {
        self.live.is_empty() && {
            for player in &self.players {
                if let Ok(bot) = self.bus.load::<Bot>(&player.bot_id.to_string()).await
                    && bot.state.open_reservation().is_some()
                    && bot.state.login().session.is_some()
                {
                    return false;
                }
            }
            true
        }
    }

    /// Lets what runs go on for a while, to a point that the seed chooses.
    async fn round(&mut self, stormy: bool) {
        self.follow().await;
        self.process.activate_due();
        self.zombies.retain(|zombie| !zombie.is_empty());
        let fine = stormy && self.rng.one_in(2);
        let quota = self.rng.between(1, if fine { 30 } else { 4 });
        if self.process.running.is_empty() && self.zombies.is_empty() {
            self.pass_time().await;
            return;
        }
        let ended = {
            let (process, zombies) = (&mut self.process, &mut self.zombies);
            let haunt = async {
                for zombie in zombies.iter_mut() {
                    while zombie.next().await.is_some() {}
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = haunt => None,
                ended = process.running.next(), if !process.running.is_empty() => ended,
                () = ticks(quota, fine) => None,
            }
        };
        if let Some((job, result)) = ended
            && let Some(over) = self.process.ended(job, result)
        {
            self.live.retain(|live| *live != over);
        }
    }

    /// Nothing runs: time passes until something is due.
    async fn pass_time(&mut self) {
        let now = self.common.clock.now();
        for player in &self.players {
            self.process.look_after(player.bot_id).await;
        }
        let due = self.process.next_due().unwrap_or(now + TimeDelta::minutes(10));
        let pause = (due - now).clamp(TimeDelta::seconds(1), TimeDelta::hours(2));
        tokio::time::sleep(pause.to_std().unwrap_or_default()).await;
    }

    /// One of the things that go wrong, now and then.
    async fn trouble(&mut self) {
        match self.rng.below(24) {
            0 => self.crash(),
            1 => self.lose_hold(),
            2..=4 => self.arm(),
            5 => self.sandbox.lose_sessions(),
            6 => {
                let jump = i64::try_from(self.rng.between(1, 7_200)).unwrap_or(1);
                self.common.clock.jump(TimeDelta::seconds(jump));
            }
            7 => self.meddle_with_a_bot().await,
            8 => self.meddle_with_a_job().await,
            _ => {}
        }
    }

    /// Everything in memory is gone in the middle of whatever it was doing.
    fn crash(&mut self) {
        self.figures.crashes += 1;
        self.process = Process::start(&self.common, self.common.repository.next_epoch(), self.live.clone());
    }

    /// Another process takes over, and the old one goes on until it notices.
    fn lose_hold(&mut self) {
        self.figures.zombies += 1;
        let heir = Process::start(&self.common, self.common.repository.next_epoch(), self.live.clone());
        let old = std::mem::replace(&mut self.process, heir);
        self.zombies.push(old.running);
    }

    fn arm(&mut self) {
        self.figures.faults += 1;
        let routes = ["POST /media/like", "POST /user/follow", "GET /hashtag/media/recent", "GET /account"];
        let route = *self.rng.pick(&routes).unwrap_or(&routes[0]);
        let delay_ms = self.rng.between(100, 200_000);
        let fail = |exc_type: &str| FaultKind::Fail { exc_type: exc_type.to_owned(), detail: None };
        let fault = match self.rng.below(12) {
            0 | 1 => FaultKind::LostReply { exc_type: None },
            2 => FaultKind::LostReply { exc_type: Some("ClientUnknownError".to_owned()) },
            3 => FaultKind::LostRequest,
            4 | 5 => FaultKind::LateSuccess { delay_ms, exc_type: None },
            6 => FaultKind::Latency { delay_ms },
            7 => FaultKind::Duplicate,
            8 => fail("PleaseWaitFewMinutes"),
            9 => fail("MediaUnavailable"),
            10 => fail("FeedbackRequired"),
            _ => FaultKind::SessionLost,
        };
        self.sandbox.inject(Fault::new(fault).on(route).times(1));
    }

    async fn meddle_with_a_bot(&mut self) {
        let Some(player) = self.rng.pick(&self.players).cloned() else { return };
        let at = self.common.clock.now();
        let command = match self.rng.below(8) {
            0..=3 => BotCommand::PauseAutomation { reason: "lunch".to_owned(), at },
            4..=6 => BotCommand::ResumeAutomation { at },
            _ => BotCommand::DisableAutomation { reason: "enough".to_owned(), at },
        };
        self.casting().tell::<Bot>(player.bot_id, &player.bot_id.to_string(), command).await;
    }

    async fn meddle_with_a_job(&mut self) {
        let live = self.live.clone();
        let Some(job) = self.rng.pick(&live).copied() else { return };
        let at = self.common.clock.now();
        let command = match self.rng.below(8) {
            0 | 1 => JobCommand::Pause { reason: "wait".to_owned(), at },
            2..=4 => JobCommand::Resume { at },
            5 => JobCommand::Signal { name: "unheard".to_owned(), payload: json!(1), at },
            6 => JobCommand::Signal { name: BOT_RESUMED.to_owned(), payload: json!(null), at },
            _ => JobCommand::RequestCancel { reason: "not this one".to_owned(), at },
        };
        let Some(player) = self.players.first() else { return };
        self.casting().tell::<Job>(player.bot_id, &job.to_string(), command).await;
    }

    /// What reactors tell the jobs, and what wakes them.
    async fn follow(&mut self) {
        loop {
            let page = self.common.repository.raw_read(DEFAULT_SHARD, self.followed, 500).await.unwrap_or_default();
            let Some(last) = page.last() else { return };
            self.followed = last.position;
            for raw in page {
                self.hear(&raw).await;
            }
        }
    }

    async fn hear(&mut self, raw: &RawEvent) {
        if raw.aggregate_type == "Job" {
            let woken = ["SignalReceived", "JobResumed", "JobCancelRequested", "JobReset", "ChildFinished"];
            if woken.contains(&raw.event_type.as_str())
                && let Ok(job) = raw.aggregate_id.parse()
            {
                self.process.wake(job);
            }
            return;
        }
        let Ok(event) = serde_json::from_str::<BotEvent>(&raw.payload) else { return };
        let at = self.common.clock.now();
        let command = match event {
            BotEvent::AutomationResumed { .. } => {
                JobCommand::Signal { name: BOT_RESUMED.to_owned(), payload: json!(null), at }
            }
            BotEvent::AutomationDisabled { .. }
            | BotEvent::SessionExpired { .. }
            | BotEvent::ChallengeRaised { .. }
            | BotEvent::BotFailed { .. } => JobCommand::RequestCancel { reason: event.name().to_owned(), at },
            _ => return,
        };
        let Some(player) = self.players.iter().find(|it| it.bot_id.to_string() == raw.aggregate_id).cloned() else {
            return;
        };
        for (job, _) in jobs_of(&player) {
            self.casting().tell::<Job>(player.bot_id, &job.to_string(), command.clone()).await;
        }
    }

    /// Nothing goes wrong any more, and everything that a person stopped goes on.
    async fn calm(&mut self) {
        self.common.repository.set_calm(true);
        self.sandbox.clear_faults();
        let at = self.common.clock.now();
        for player in self.players.clone() {
            let id = player.bot_id.to_string();
            let state = self.bus.load::<Bot>(&id).await.map(|bot| bot.state.state());
            if matches!(state, Ok(BotState::Paused)) {
                self.casting().tell::<Bot>(player.bot_id, &id, BotCommand::ResumeAutomation { at }).await;
            }
            for job in self.live.clone() {
                let state = self.bus.load::<Job>(&job.to_string()).await.map(|job| job.state.state());
                if matches!(state, Ok(JobState::Paused)) {
                    self.casting().tell::<Job>(player.bot_id, &job.to_string(), JobCommand::Resume { at }).await;
                }
            }
        }
    }

    async fn end(mut self, rounds: u32) -> Outcome {
        let events = self.common.repository.raw_read(DEFAULT_SHARD, 0, i64::MAX).await.unwrap_or_default();
        let ledger = self.sandbox.ledger(None);
        let mut breaches = Vec::new();
        if rounds >= MOST_ROUNDS {
            breaches.push(Breach::Unfinished { jobs: self.live.clone() });
        }
        for player in &self.players {
            let ledger = self.sandbox.ledger(Some(&player.account));
            breaches.extend(books::balance(player, &events, &ledger));
        }
        breaches.extend(books::jobs_are_over(&events));
        self.figures.events = events.len();
        self.figures.writes = ledger.len();
        let mut log = String::new();
        for event in &events {
            let _ = writeln!(
                log,
                "{} {} {} {} {} {} {}",
                event.position,
                event.event_id,
                event.aggregate_type,
                event.aggregate_id,
                event.event_type,
                event.payload,
                event.metadata
            );
        }
        for entry in &ledger {
            let _ = writeln!(log, "{entry:?}");
        }
        let simulated = self.common.clock.now() - self.started_at;
        Outcome { seed: self.seed, log, breaches, simulated, figures: self.figures }
    }
}

/// People who log in without more.
fn accounts() -> Vec<String> {
    let people = WORLD.get().into_iter().flat_map(|world| world.people.values());
    people.filter(|person| person.login == LoginKind::Plain).map(|person| person.username.clone()).collect()
}

/// So many chances for everything else to go on: every await, or every wait.
async fn ticks(count: u64, fine: bool) {
    for _ in 0..count {
        if fine {
            yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
