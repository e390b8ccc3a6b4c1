//! Which live jobs this process has, and which of them is next. Pure: no clock, no I/O; instants are microseconds of engine
//! time.
//!
//! A sleeping job is an entry of a table and one of an ordered set, some hundred bytes together. Ready jobs wait in a line of
//! their bot, and the lines are served in turn, so that no bot's jobs starve another's.

mod shown;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use domain::ids::{BotId, JobId, partition_of};
use domain::job::JobPriority;
use uuid::Uuid;

use super::limits::DeskLimits;
use super::line::Line;
use super::watch::Attention;

/// Never by itself.
pub(super) const NEVER: i64 = i64::MAX;

/// Most bytes of first events that are kept to spare a read.
const MOST_SEED_BYTES: usize = 64 * 1024 * 1024;

/// Which children a parent's activation asks for their end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Children {
    /// None: nothing was heard of them.
    #[default]
    Unasked,
    These(Vec<JobId>),
    All,
}

impl Children {
    fn add(&mut self, child: JobId) {
        match self {
            Self::Unasked => *self = Self::These(vec![child]),
            Self::These(children) => children.push(child),
            Self::All => {}
        }
    }

    fn merge(&mut self, more: Self) {
        match more {
            Self::Unasked => {}
            Self::All => *self = Self::All,
            Self::These(children) => children.into_iter().for_each(|child| self.add(child)),
        }
    }
}

/// A job's first event as it was committed, so that nobody has to read it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    pub payload: Box<str>,
    pub event_id: Uuid,
    pub correlation_id: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Sleeping,
    Ready,
    Running,
    /// Nothing runs it until somebody acts on it or this process is replaced.
    Parked,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    bot: BotId,
    due: i64,
    phase: Phase,
    /// When it became ready.
    since: i64,
    priority: JobPriority,
}

struct Running {
    ticket: u64,
    attention: Arc<Attention>,
    /// Something was heard of it while it ran.
    dirty: bool,
}

/// One activation that is to be done now.
pub(super) struct Turn {
    pub job_id: JobId,
    pub bot_id: BotId,
    pub epoch: i64,
    pub ticket: u64,
    pub seed: Option<Seed>,
    pub children: Children,
    pub attention: Arc<Attention>,
}

/// How an activation ended, as far as the agenda is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is looked at again at `due`.
    Sleeps {
        due: i64,
    },
    /// Nothing more happens by itself.
    Gone,
    /// As `Sleeps`, after a fault; it counts failures.
    Failed {
        due: i64,
    },
    Parked {
        code: &'static str,
        message: String,
    },
    /// It was taken away in the middle and is to run again.
    Broken,
}

/// Under which epoch a partition is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tenure {
    epoch: i64,
    /// Whether jobs of it may begin.
    open: bool,
    running: usize,
}

/// The live jobs of this process.
#[derive(Default)]
pub(super) struct Agenda {
    jobs: HashMap<JobId, Slot>,
    sleeping: BTreeSet<(i64, JobId)>,
    lines: HashMap<BotId, Line>,
    /// Bots whose line may have a job to run, each once.
    ring: VecDeque<BotId>,
    running: HashMap<JobId, Running>,
    parked: HashMap<JobId, (&'static str, String)>,
    failures: HashMap<JobId, u32>,
    children: HashMap<JobId, Children>,
    seeds: HashMap<JobId, Seed>,
    seed_bytes: usize,
    tenures: HashMap<i32, Tenure>,
    limits: Arc<DeskLimits>,
    tickets: u64,
    finished: u64,
}

/// Partitions.
impl Agenda {
    pub fn hold(&mut self, partition: i32, epoch: i64) {
        self.tenures.insert(partition, Tenure { epoch, open: true, running: 0 });
    }

    pub fn holds(&self, partition: i32) -> bool {
        self.tenures.contains_key(&partition)
    }

    /// The partitions that are held under another epoch than `epoch`, or that `keeps` does not name.
    pub fn lost(&self, epoch: i64, keeps: impl Fn(i32) -> bool) -> Vec<i32> {
        let lost = self.tenures.iter().filter(|(partition, tenure)| tenure.epoch != epoch || !keeps(**partition));
        lost.map(|(partition, _)| *partition).collect()
    }

    /// Begins nothing more on `partition`; says whether nothing of it runs.
    pub fn close(&mut self, partition: i32) -> bool {
        match self.tenures.get_mut(&partition) {
            None => true,
            Some(tenure) => {
                tenure.open = false;
                tenure.running == 0
            }
        }
    }

    /// Jobs of `partition` may begin again.
    pub fn reopen(&mut self, partition: i32) {
        if let Some(tenure) = self.tenures.get_mut(&partition)
            && !tenure.open
        {
            tenure.open = true;
            self.fill_ring();
        }
    }

    /// Forgets everything of `partitions`, and takes what runs of it away.
    pub fn drop_partitions(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.tenures.remove(partition);
        }
        let gone = self.jobs.iter().filter(|(_, slot)| partitions.contains(&partition_of(slot.bot)));
        let gone: Vec<JobId> = gone.map(|(job, _)| *job).collect();
        for job in gone {
            if let Some(running) = self.running.remove(&job) {
                running.attention.revoke();
            }
            self.forget(job);
        }
        self.lines.retain(|bot, _| !partitions.contains(&partition_of(*bot)));
        self.ring.retain(|bot| !partitions.contains(&partition_of(*bot)));
    }
}

/// What is heard of jobs.
impl Agenda {
    pub fn knows(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    /// A live job of a partition that is held; known ones are only made due sooner.
    pub fn add(&mut self, job: JobId, bot: BotId, priority: JobPriority, due: i64, now: i64) {
        if !self.holds(partition_of(bot)) {
            return;
        }
        if self.jobs.contains_key(&job) {
            if due <= now {
                self.poke(job, now);
            }
            return;
        }
        self.jobs.insert(job, Slot { bot, due: NEVER, phase: Phase::Parked, since: now, priority });
        self.put(job, due, now);
    }

    /// A job that was just made; nothing is heard of one that is known.
    pub fn add_new(&mut self, job: JobId, bot: BotId, now: i64) {
        if !self.jobs.contains_key(&job) {
            self.add(job, bot, JobPriority::Normal, now, now);
        }
    }

    /// Keeps the job's first event for its first activation.
    pub fn seed(&mut self, job: JobId, seed: Seed) {
        let size = seed.payload.len();
        if self.jobs.contains_key(&job) && self.seed_bytes + size <= MOST_SEED_BYTES {
            self.seed_bytes += size;
            if let Some(old) = self.seeds.insert(job, seed) {
                self.seed_bytes -= old.payload.len();
            }
        }
    }

    /// Something happened to the job: it is looked at now. Says whether the job is known.
    pub fn poke(&mut self, job: JobId, now: i64) -> bool {
        self.unseed(job);
        let Some(slot) = self.jobs.get(&job).copied() else { return false };
        if slot.phase == Phase::Running {
            if let Some(running) = self.running.get_mut(&job) {
                running.dirty = true;
                running.attention.raise();
            }
        } else if slot.phase != Phase::Ready {
            self.parked.remove(&job);
            self.put(job, now, now);
        }
        true
    }

    /// Somebody set the job's priority, which is in its stream now.
    pub fn prioritize(&mut self, job: JobId, priority: JobPriority) {
        self.unseed(job);
        self.learn(job, priority);
        if let Some(running) = self.running.get_mut(&job) {
            running.dirty = true;
            running.attention.raise();
        }
    }

    /// The job's priority, as its stream says.
    pub fn learn(&mut self, job: JobId, priority: JobPriority) {
        let Some(slot) = self.jobs.get_mut(&job).filter(|slot| slot.priority != priority) else { return };
        slot.priority = priority;
        if slot.phase == Phase::Ready
            && let Some(line) = self.lines.get_mut(&slot.bot)
        {
            line.push(job, priority);
        }
    }

    /// Which children the job's next activation asks.
    pub fn ask_children(&mut self, job: JobId, children: Children) {
        if self.jobs.contains_key(&job) {
            self.children.entry(job).or_default().merge(children);
        }
    }

    pub fn child_ended(&mut self, parent: JobId, child: JobId, now: i64) {
        self.ask_children(parent, Children::These(vec![child]));
        self.poke(parent, now);
    }

    fn unseed(&mut self, job: JobId) -> Option<Seed> {
        let seed = self.seeds.remove(&job)?;
        self.seed_bytes -= seed.payload.len();
        Some(seed)
    }

    /// Takes the job out of everything but its line.
    fn forget(&mut self, job: JobId) {
        if let Some(slot) = self.jobs.remove(&job) {
            self.sleeping.remove(&(slot.due, job));
        }
        self.unseed(job);
        self.parked.remove(&job);
        self.failures.remove(&job);
        self.children.remove(&job);
    }

    /// Sets a job that does not run to sleep until `due`, or makes it ready.
    fn put(&mut self, job: JobId, due: i64, now: i64) {
        let Some(slot) = self.jobs.get_mut(&job) else { return };
        if slot.phase == Phase::Sleeping {
            self.sleeping.remove(&(slot.due, job));
        }
        slot.due = due;
        slot.since = now;
        if due > now {
            slot.phase = Phase::Sleeping;
            if due < NEVER {
                self.sleeping.insert((due, job));
            }
            return;
        }
        slot.phase = Phase::Ready;
        let (bot, priority) = (slot.bot, slot.priority);
        let line = self.lines.entry(bot).or_default();
        line.push(job, priority);
        if line.enter_ring() {
            self.ring.push_back(bot);
        }
    }
}

/// What is next.
impl Agenda {
    /// Makes everything ready that is due. Says when the next is due.
    pub fn wake(&mut self, now: i64) -> Option<i64> {
        while let Some(&(due, job)) = self.sleeping.first() {
            if due > now {
                return Some(due);
            }
            self.put(job, due.min(now), now);
        }
        None
    }

    pub fn set_limits(&mut self, limits: Arc<DeskLimits>) {
        self.limits = limits;
        self.fill_ring();
    }

    /// Puts every bot with ready jobs into the ring, for those that had left it while they might not run.
    fn fill_ring(&mut self) {
        for (bot, line) in &mut self.lines {
            if !line.is_empty() && line.enter_ring() {
                self.ring.push_back(*bot);
            }
        }
    }

    /// The next activation within the limits.
    pub fn next(&mut self, attention: impl FnOnce(JobId) -> Arc<Attention>) -> Option<Turn> {
        if self.limits.paused || self.running.len() >= self.limits.max_running {
            return None;
        }
        while let Some(bot) = self.ring.pop_front() {
            let Some(line) = self.lines.get_mut(&bot) else { continue };
            let partition = partition_of(bot);
            let tenure = self.tenures.get_mut(&partition).filter(|tenure| tenure.open);
            let (Some(tenure), None) = (tenure, self.limits.holds_back(bot, line.running())) else {
                line.leave_ring();
                continue;
            };
            let Some((job, priority)) = line.pop() else {
                line.leave_ring();
                if line.is_idle() {
                    self.lines.remove(&bot);
                }
                continue;
            };
            // A job that left while it waited in the line, or that waits in another place of it.
            let here = |slot: &&mut Slot| slot.phase == Phase::Ready && slot.priority == priority;
            let Some(slot) = self.jobs.get_mut(&job).filter(here) else {
                self.ring.push_front(bot);
                continue;
            };
            slot.phase = Phase::Running;
            line.begin();
            tenure.running += 1;
            let epoch = tenure.epoch;
            if line.spend(self.limits.weight(bot)) {
                self.ring.push_front(bot);
            } else {
                self.ring.push_back(bot);
            }
            return Some(self.start(job, bot, epoch, attention(job)));
        }
        None
    }

    fn start(&mut self, job_id: JobId, bot_id: BotId, epoch: i64, attention: Arc<Attention>) -> Turn {
        self.tickets += 1;
        let ticket = self.tickets;
        self.running.insert(job_id, Running { ticket, attention: Arc::clone(&attention), dirty: false });
        let seed = self.unseed(job_id);
        let children = self.children.remove(&job_id).unwrap_or_default();
        Turn { job_id, bot_id, epoch, ticket, seed, children, attention }
    }

    /// An activation ended. Of one that was taken away meanwhile, nothing counts. Says how many times in a row it failed.
    pub fn finish(&mut self, job: JobId, ticket: u64, outcome: Outcome, now: i64) {
        if self.running.get(&job).is_none_or(|running| running.ticket != ticket) {
            return;
        }
        let dirty = self.running.remove(&job).is_some_and(|running| running.dirty);
        self.finished += 1;
        let Some(slot) = self.jobs.get_mut(&job) else { return };
        slot.phase = Phase::Parked;
        let bot = slot.bot;
        if let Some(tenure) = self.tenures.get_mut(&partition_of(bot)) {
            tenure.running = tenure.running.saturating_sub(1);
        }
        if let Some(line) = self.lines.get_mut(&bot) {
            line.end();
            let is_idle = line.is_idle();
            if !line.is_empty() && line.enter_ring() {
                self.ring.push_back(bot);
            } else if is_idle {
                self.lines.remove(&bot);
            }
        }
        if !matches!(outcome, Outcome::Failed { .. }) {
            self.failures.remove(&job);
        }
        match outcome {
            _ if dirty => self.put(job, now, now),
            Outcome::Sleeps { due } => self.put(job, due, now),
            Outcome::Failed { due } => {
                *self.failures.entry(job).or_default() += 1;
                self.put(job, due, now);
            }
            Outcome::Broken => self.put(job, now, now),
            Outcome::Parked { code, message } => {
                self.parked.insert(job, (code, message));
            }
            Outcome::Gone => self.forget(job),
        }
    }

    /// How many times in a row the job could not be run.
    pub fn failures(&self, job: JobId) -> u32 {
        self.failures.get(&job).copied().unwrap_or(0)
    }

    /// What runs, for whoever watches it.
    pub fn running(&self) -> impl Iterator<Item = (JobId, u64, &Arc<Attention>)> {
        self.running.iter().map(|(job, running)| (*job, running.ticket, &running.attention))
    }

    /// Whether another job could begin now.
    pub fn has_more(&self) -> bool {
        !self.limits.paused && !self.ring.is_empty() && self.running.len() < self.limits.max_running
    }

    /// The epoch under which the job's partition is held.
    pub fn epoch_of(&self, job: JobId) -> Option<i64> {
        let slot = self.jobs.get(&job)?;
        self.tenures.get(&partition_of(slot.bot)).map(|tenure| tenure.epoch)
    }

    /// A parked job came to its end.
    pub fn end_parked(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|slot| slot.phase == Phase::Parked) {
            self.forget(job);
        }
    }

    pub fn running_count(&self) -> usize {
        self.running.len()
    }
}
