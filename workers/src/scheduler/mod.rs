//! Keeps the times at which campaigns have something to decide, and lets each decide it: the campaigns of the partitions
//! that this process holds.
//!
//! What is in memory is only a hint of when to look, taken from the read model; what is due is the campaign's own
//! decision, stored before anything follows from it. Two processes that look at once decide it once.

mod agenda;
mod open_runs;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::bot::Bot;
use domain::campaign::schedule::BotStanding;
use domain::campaign::{Campaign, CampaignCommand};
use domain::ids::{BotId, CampaignId, RequestId, partition_of};
use domain::metadata::{Actor, Metadata};
use projections::campaign_schedules::{self, CampaignSchedule};
use store::StoreError;
use store::command_bus::{CommandBus, ExecuteError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::hold::Hold;
use agenda::{Agenda, Appointment};

/// No look sooner than this after the one before.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// How often changes of schedules and of bots are looked for, at least.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The pause after something broke.
const TROUBLE_PAUSE: Duration = Duration::from_millis(500);
/// How often everything is read again: a row may have come late, when its stream had been parked.
const REFRESH: Duration = Duration::from_secs(300);
/// Rows of one query.
const PAGE: i64 = 500;
/// Campaigns that decide at a time.
const AT_A_TIME: usize = 32;
/// Looks again after a campaign had nothing to decide where the hint said so: the hint was old.
const LATER: TimeDelta = TimeDelta::minutes(1);

/// The loop over what is due.
pub(crate) struct Scheduler {
    engine: Arc<Engine>,
    hold: Hold,
    agenda: Agenda,
    /// The partitions that the agenda is for, and the unbroken hold on them.
    held: BTreeSet<i32>,
    epoch: i64,
    /// Changes up to this position of the log are in the agenda.
    seen: i64,
    refreshed_at: Instant,
    swept_at: Instant,
}

impl Scheduler {
    pub(crate) fn new(engine: Arc<Engine>, hold: Hold) -> Self {
        let now = Instant::now();
        Self {
            engine,
            hold,
            agenda: Agenda::default(),
            held: BTreeSet::new(),
            epoch: 0,
            seen: 0,
            refreshed_at: now,
            swept_at: now,
        }
    }

    /// Decides what is due until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                done = self.round() => match done {
                    Ok(pause) => pause,
                    Err(fault) => {
                        tracing::warn!(
                            code = fault.code(),
                            error = &fault as &dyn std::error::Error,
                            "the schedules could not be looked after; trying again"
                        );
                        TROUBLE_PAUSE
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look, and how long to wait before the next.
    async fn round(&mut self) -> Result<Duration, Fault> {
        let hands = Arc::clone(&self.engine.hands);
        self.follow_partitions().await?;
        self.follow_changes().await?;
        self.decide_due().await?;
        let sweep = hands.config.settle_time;
        if self.swept_at.elapsed() >= sweep {
            open_runs::settle(&self.engine, &self.bus(), &self.held).await?;
            self.swept_at = Instant::now();
        }
        let pause = self.agenda.next().map_or(LONGEST_PAUSE, |next| hands.real_until(next));
        Ok(pause.clamp(SHORTEST_PAUSE, LONGEST_PAUSE.min(hands.config.poll)))
    }

    /// Writes nothing once the hold is lost.
    fn bus(&self) -> CommandBus {
        self.engine.hands.bus.under(self.epoch)
    }

    /// Reads what the partitions have that were taken since the last look, and forgets those that were lost.
    async fn follow_partitions(&mut self) -> Result<(), Fault> {
        let epoch = self.hold.writer.lease().unbroken_since;
        let held: BTreeSet<i32> = self.hold.leases.claimable().into_iter().collect();
        let is_new = epoch != self.epoch || !held.is_subset(&self.held);
        let is_old = self.refreshed_at.elapsed() >= REFRESH;
        self.agenda.retain(|bot_id| held.contains(&partition_of(bot_id)));
        self.held = held;
        if (is_new || is_old) && !self.held.is_empty() {
            self.read_all().await?;
            self.refreshed_at = Instant::now();
        }
        // Only now: what could not be read is read again.
        self.epoch = epoch;
        Ok(())
    }

    async fn read_all(&mut self) -> Result<(), Fault> {
        let pool = &self.engine.pool;
        // Before the rows: what changes meanwhile is seen as a change.
        let seen = campaign_schedules::newest_change(pool).await.map_err(StoreError::from)?;
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let page = campaign_schedules::looked_after(pool, after, PAGE).await.map_err(StoreError::from)?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE;
            after = page.last().map(|row| row.campaign_id);
            rows.extend(page.into_iter().filter(|row| self.held.contains(&partition_of(row.bot_id))));
            if is_last {
                break;
            }
        }
        self.agenda = Agenda::default();
        self.note(&rows);
        self.seen = seen;
        tracing::debug!(campaigns = rows.len(), "read the schedules of the partitions");
        Ok(())
    }

    async fn follow_changes(&mut self) -> Result<(), Fault> {
        if self.held.is_empty() {
            return Ok(());
        }
        loop {
            let pool = &self.engine.pool;
            let changed = campaign_schedules::changed(pool, self.seen, PAGE).await.map_err(StoreError::from)?;
            let Some((_, newest)) = changed.last().copied() else { return Ok(()) };
            let bots: BTreeSet<BotId> = changed
                .iter()
                .map(|(bot_id, _)| *bot_id)
                .filter(|bot_id| self.held.contains(&partition_of(*bot_id)))
                .collect();
            if !bots.is_empty() {
                let bots: Vec<BotId> = bots.into_iter().collect();
                let rows = campaign_schedules::of_bots(pool, &bots).await.map_err(StoreError::from)?;
                for bot_id in bots {
                    self.agenda.forget(bot_id);
                }
                self.note(&rows);
            }
            self.seen = newest;
        }
    }

    fn note(&mut self, rows: &[CampaignSchedule]) {
        for row in rows {
            if let Some(at) = row.next_decision_at() {
                self.agenda.put(Appointment { at, bot_id: row.bot_id, campaign_id: row.campaign_id });
            }
        }
    }

    /// Lets every campaign decide whose time has come.
    async fn decide_due(&mut self) -> Result<(), Fault> {
        let now = self.engine.hands.now();
        let mut due = self.agenda.due(now).into_iter();
        let mut deciding = JoinSet::new();
        let mut trouble = None;
        loop {
            while deciding.len() < AT_A_TIME && trouble.is_none() {
                let Some(appointment) = due.next() else { break };
                let (hands, bus) = (Arc::clone(&self.engine.hands), self.bus());
                deciding.spawn(async move { (appointment, decide(&hands, &bus, appointment).await) });
            }
            match deciding.join_next().await {
                None => break,
                Some(Ok((appointment, Ok(next)))) => {
                    self.agenda.remove(&appointment);
                    if let Some(next) = next {
                        let at = if next <= now { now + LATER } else { next };
                        self.agenda.put(Appointment { at, ..appointment });
                    }
                }
                Some(Ok((appointment, Err(fault)))) => {
                    tracing::warn!(
                        campaign.id = %appointment.campaign_id,
                        bot.id = %appointment.bot_id,
                        code = fault.code(),
                        "a campaign could not decide what is due"
                    );
                    trouble = Some(fault);
                }
                Some(Err(error)) => tracing::error!(%error, "a decision did not end by itself"),
            }
        }
        trouble.map_or(Ok(()), Err)
    }
}

/// Lets a campaign decide what is due, and says when it has something to decide next.
async fn decide(hands: &Hands, bus: &CommandBus, of: Appointment) -> Result<Option<DateTime<Utc>>, Fault> {
    let bot = bus.load::<Bot>(&of.bot_id.to_string()).await?.state;
    let standing = BotStanding::of(&bot, of.campaign_id);
    let known = bus.load::<Campaign>(&of.campaign_id.to_string()).await?.state;
    match known.next_decision_at(&standing) {
        Some(at) if at <= hands.now() => {}
        // The hint was old, or did not know that the bot runs other campaigns.
        later => return Ok(later),
    }
    let decide = |at| CampaignCommand::DecideDue { bot: standing, at };
    let state = tell(hands, bus, of.campaign_id, decide).await?;
    Ok(state.and_then(|state| state.next_decision_at(&standing)))
}

/// Tells a campaign something as the engine; `None` when it refuses.
async fn tell(
    hands: &Hands,
    bus: &CommandBus,
    campaign_id: CampaignId,
    command: impl FnOnce(DateTime<Utc>) -> CampaignCommand + Send,
) -> Result<Option<Arc<Campaign>>, Fault> {
    let at = hands.now();
    let actor = Actor::Worker(hands.config.name.clone());
    let metadata = Metadata::root(RequestId::from_uuid(hands.entropy.uuid()), actor, at);
    let command = command(at);
    let name = command.name();
    match bus.execute::<Campaign>(&campaign_id.to_string(), command, &metadata).await {
        Ok(executed) => {
            if !executed.events.is_empty() {
                let events = executed.events.len();
                tracing::info!(campaign.id = %campaign_id, command = name, events, "the campaign decided");
            }
            Ok(Some(executed.state))
        }
        Err(ExecuteError::Refused(refusal)) => {
            tracing::info!(campaign.id = %campaign_id, command = name, code = refusal.code(), "the campaign refused");
            Ok(None)
        }
        Err(ExecuteError::Store(error)) => Err(error.into()),
    }
}
