//! The play: a storm of things that go wrong, then calm, then the end, then the books.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::{Bot, BotEvent};
use domain::campaign::{Module, unfollow};
use domain::clock::Clock;
use domain::ids::JobId;
use domain::job::{Job, JobCommand, Origin};
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
use super::process::{Common, Process, Running};
use super::remembered::Remembered;
use super::repository::FaultyRepository;
use super::{Figures, Mutation, Outcome};
use crate::platform::sandbox::{BUSY, InProcess, SandboxConfig, World};
use crate::platform::{Gateway, GatewayConfig};

/// Rounds of the storm, and rounds after which nothing should be left to do.
const STORM: u32 = 260;
pub(super) const MOST_ROUNDS: u32 = 20_000;
/// The platform as every play finds it: it takes longer to make than most plays.
static WORLD: OnceLock<World> = OnceLock::new();
/// Who may play: somebody who begins from nothing, and somebody with followers and conversations.
const ACCOUNTS: [&str; 2] = ["demo.account", BUSY];

/// Plays `seed` to its end.
pub(super) fn play(seed: u64, mutation: Option<Mutation>) -> Outcome {
    in_virtual_time(async { Stage::set(seed, mutation).await.play().await })
}

/// Runs `play` to its end, in a time that passes as soon as everything waits.
pub(super) fn in_virtual_time<T>(play: impl Future<Output = T>) -> T {
    match tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build() {
        Ok(runtime) => runtime.block_on(play),
        Err(error) => panic!("the simulation has no runtime: {error}"),
    }
}

pub(super) struct Stage {
    seed: u64,
    pub(super) rng: SplitMix64,
    pub(super) common: Common,
    pub(super) sandbox: InProcess,
    /// As it was before anybody did anything.
    world: &'static World,
    /// A person's own way to the store.
    pub(super) bus: CommandBus,
    pub(super) players: Vec<Player>,
    pub(super) process: Process,
    /// Activations of processes that have lost their hold and do not know it.
    pub(super) zombies: Vec<Running>,
    /// How far what people and bots did has been told to the jobs.
    followed: i64,
    pub(super) live: Vec<JobId>,
    started_at: DateTime<Utc>,
    pub(super) figures: Figures,
}

impl Stage {
    async fn set(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut stage = Self::empty(seed, mutation);
        stage.bring_on().await;
        stage
    }

    /// Nobody is on it yet.
    pub(super) fn empty(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = SplitMix64::new(seed);
        let clock = Arc::new(VirtualClock::new());
        let config =
            SandboxConfig { seed: 1, latency: Duration::from_millis(200), ..SandboxConfig::new(clock.clone()) };
        let world = WORLD.get_or_init(|| World::seeded(1, clock.now()));
        let sandbox = InProcess::of(world.clone(), &config);
        let mut gateway = GatewayConfig::new("http://simulated");
        gateway.read_retry_delays = [5, 30].map(Duration::from_secs).to_vec();
        let gateway = Gateway::over(Arc::new(sandbox.clone()), gateway)
            .unwrap_or_else(|error| panic!("the gateway's client cannot be made: {error}"));
        let repository = FaultyRepository::new(rng.draw());
        let common = Common {
            repository: repository.clone(),
            platform: Arc::new(gateway),
            sessions: Arc::new(OpenSessions::default()),
            remembered: Arc::new(Remembered::new(repository.clone())),
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
            world,
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

    pub(super) fn casting(&self) -> Casting<'_> {
        Casting {
            bus: &self.bus,
            platform: self.common.platform.as_ref(),
            sessions: &self.common.sessions,
            clock: self.common.clock.as_ref(),
            entropy: self.common.entropy.as_ref(),
            world: self.world,
        }
    }

    async fn bring_on(&mut self) {
        let mut rng = self.rng.clone();
        let count = usize::try_from(rng.between(1, ACCOUNTS.len() as u64)).unwrap_or(1);
        for account in ACCOUNTS.into_iter().take(count) {
            let player = self.casting().bring_on(account, &mut rng).await;
            self.players.push(player);
        }
        self.rng = rng;
        self.live_through_the_past().await;
        self.started_at = self.common.clock.now();
        self.begin().await;
        self.process = Process::start(&self.common, self.common.repository.epoch(), self.live.clone());
    }

    /// Whoever is to unfollow follows first, on a calm day, and lets the time pass after which that may be undone.
    pub(super) async fn live_through_the_past(&mut self) {
        self.make_jobs(Player::has_done).await;
        if self.live.is_empty() {
            return;
        }
        self.process = Process::start(&self.common, self.common.repository.epoch(), self.live.clone());
        let mut rounds = 0;
        while !self.is_over().await && rounds < MOST_ROUNDS {
            self.round(false).await;
            rounds += 1;
        }
        tokio::time::sleep(unfollow::WAIT.to_std().unwrap_or_default()).await;
    }

    /// Makes the jobs of everything that is still to be done.
    pub(super) async fn begin(&mut self) {
        self.make_jobs(|player, module| !player.has_done(module)).await;
    }

    async fn make_jobs(&mut self, is_wanted: impl Fn(&Player, Module) -> bool) {
        for player in &self.players {
            for (job, module, campaign_id) in jobs_of(player) {
                if !is_wanted(player, module) {
                    continue;
                }
                let input = json!({ "campaign_id": campaign_id, "enablement_id": player.enablement });
                let origin = Origin::Campaign { campaign_id, due_at: self.common.clock.now() };
                let provenance = self.process.provenance(job);
                let made = self.process.runner().create(job, player.bot_id, CAMPAIGN_RUN, input, origin, &provenance);
                if made.await.is_ok() {
                    self.live.push(job);
                }
            }
        }
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
    pub(super) async fn is_over(&self) -> bool {
        self.live.is_empty() && !self.has_open_action().await
    }

    /// Whether an action is open that could be found out about.
    pub(super) async fn has_open_action(&self) -> bool {
        for player in &self.players {
            if let Ok(bot) = self.bus.load::<Bot>(&player.bot_id.to_string()).await
                && bot.state.open_reservation().is_some()
                && bot.state.login().session.is_some()
            {
                return true;
            }
        }
        false
    }

    /// Lets what runs go on for a while, to a point that the seed chooses.
    pub(super) async fn round(&mut self, stormy: bool) {
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
        for (job, ..) in jobs_of(&player) {
            self.casting().tell::<Job>(player.bot_id, &job.to_string(), command.clone()).await;
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
        let mut writes = BTreeMap::new();
        for entry in &ledger {
            *writes.entry(entry.kind.clone()).or_insert(0) += 1;
        }
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
        Outcome { seed: self.seed, log, breaches, simulated, writes, figures: self.figures }
    }
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
