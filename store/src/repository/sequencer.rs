//! One per shard and process: gathers concurrent appends and commits them as one batch.
//!
//! While a batch commits, the next one gathers. What a failure means for each request is decided
//! here; how to say it in SQL is `statement`'s, which requests fit is `batch`'s, and what is known
//! of the database is `session`'s.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Appended;
use super::batch::{Pending, Plan, ShardHead, plan};
use super::session::Session;
use super::statement::Written;
use crate::error::{Fault, StoreError};
use crate::failpoint::failpoint;
use crate::wakeup::Wakeup;
use crate::writer::{Writer, WriterLease};

/// The largest batch.
const MAX_REQUESTS: usize = 512;
const MAX_BYTES: usize = 1024 * 1024;

const LONGEST_GATHERING: Duration = Duration::from_micros(300);

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The task that owns a shard's appends in this process.
pub(super) struct Sequencer {
    shard: i32,
    requests: mpsc::Receiver<Pending>,
    stop: CancellationToken,
    /// A request that did not fit into the batch before.
    carried: Option<Pending>,
    last_batch: usize,
    last_settling: Duration,
    session: Session,
    /// How long requests are tried again before they fail with what stood in the way.
    patience: Duration,
}

/// Why a round has not settled everything.
enum Setback {
    /// Nothing of the round is stored; it can be tried again at once.
    Again,
    /// It can be tried again after a pause, until patience ends with this error.
    Later(StoreError),
    /// One of the requests is refused by the database: they go on one by one.
    Poisoned,
}

/// The requests that are left, and why.
type Round = Result<Vec<Pending>, (Vec<Pending>, Setback)>;

impl Sequencer {
    pub fn new(
        shard: i32,
        requests: mpsc::Receiver<Pending>,
        stop: CancellationToken,
        options: Arc<PgConnectOptions>,
        writer: Writer,
        wakeup: Wakeup,
        patience: Duration,
    ) -> Self {
        let session = Session::new(shard, options, writer, wakeup);
        Self { shard, requests, stop, carried: None, last_batch: 1, last_settling: Duration::ZERO, session, patience }
    }

    /// Runs until it is stopped, or every sender is gone, and everything that was sent has its answer.
    pub async fn run(mut self) {
        while let Some(batch) = self.gather().await {
            failpoint!("append.gathered");
            let started = Instant::now();
            self.settle(batch).await;
            self.last_settling = started.elapsed();
        }
        self.session.close().await;
    }

    /// Waits for a request and takes what is there with it.
    async fn gather(&mut self) -> Option<Vec<Pending>> {
        let first = match self.carried.take() {
            Some(carried) => carried,
            None => self.receive().await?,
        };
        self.let_the_others_in().await;
        let mut bytes = first.prepared.request.size();
        let mut batch = vec![first];
        while batch.len() < MAX_REQUESTS {
            let Ok(next) = self.requests.try_recv() else { break };
            bytes += next.prepared.request.size();
            if bytes > MAX_BYTES {
                self.carried = Some(next);
                break;
            }
            batch.push(next);
        }
        self.last_batch = batch.len();
        Some(batch)
    }

    async fn receive(&mut self) -> Option<Pending> {
        if !self.requests.is_closed() {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => self.requests.close(),
                request = self.requests.recv() => return request,
            }
        }
        self.requests.recv().await
    }

    /// Those whose answers were just sent are about to ask again; without this, the first of them
    /// would get a batch of its own and all others would wait for it. It never takes long, beside
    /// what a batch takes to be stored.
    async fn let_the_others_in(&self) {
        let until = Instant::now() + LONGEST_GATHERING.min(self.last_settling / 2);
        while self.requests.len() + 1 < self.last_batch && Instant::now() < until {
            tokio::task::yield_now().await;
        }
    }

    /// Answers every request of `pending`.
    async fn settle(&mut self, mut pending: Vec<Pending>) {
        let deadline = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        let mut alone = false;
        while !pending.is_empty() {
            let round = self.round(pending, alone).await;
            self.session.roll_back().await;
            let (left, setback) = match round {
                Ok(left) => {
                    pending = left;
                    continue;
                }
                Err(setback) => setback,
            };
            let error = match setback {
                Setback::Again => StoreError::unavailable("too many others append"),
                Setback::Later(error) => error,
                Setback::Poisoned => {
                    alone = true;
                    StoreError::unavailable("the batch was refused")
                }
            };
            let is_hopeless = matches!(error, StoreError::Full { .. } | StoreError::Corrupt { .. });
            if is_hopeless || Instant::now() >= deadline {
                fail(left, &error);
                return;
            }
            if matches!(error, StoreError::Unavailable { source: Some(_), .. } | StoreError::Database(_)) {
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            pending = left;
        }
    }

    /// One try: makes sure of what is known, plans, and stores the plan.
    async fn round(&mut self, pending: Vec<Pending>, alone: bool) -> Round {
        let (pending, lease, head) = match self.prepare(pending).await {
            Ok(prepared) => prepared,
            Err((left, error)) => return Err((left, self.setback(error))),
        };
        let Plan { accepted, behind, ahead, mut later } =
            plan(pending, head, alone, |stream| self.session.stream_head(stream));
        if accepted.is_empty() {
            return self.settle_the_rest(behind, ahead, later).await;
        }
        failpoint!("append.planned");
        let written = self.session.store(&accepted, &lease, head).await;
        if let Ok(Written::Committed) = written {
            failpoint!("append.committed");
            self.acknowledge(accepted);
            return self.settle_the_rest(behind, ahead, later).await;
        }
        // Nothing is stored, so those that did not fit may fit yet.
        later.extend(behind.into_iter().chain(ahead));
        match written {
            Ok(Written::Committed) => Ok(later),
            Ok(Written::Fenced) => {
                self.session.forget();
                self.session.writer().renew_now();
                fail(requests_of(accepted), &StoreError::Fenced);
                Ok(later)
            }
            Ok(Written::HeadMoved) => {
                self.session.head_moved();
                Err((rejoin(accepted, later), Setback::Again))
            }
            Err(error) => self.not_stored(accepted, later, error).await,
        }
    }

    /// A connection, a lease, an answer for what was uncertain, and the heads that `pending` needs.
    async fn prepare(
        &mut self,
        pending: Vec<Pending>,
    ) -> Result<(Vec<Pending>, WriterLease, ShardHead), (Vec<Pending>, StoreError)> {
        if let Err(error) = self.session.connect().await {
            return Err((pending, error));
        }
        let pending = self.session.answer_stored(pending, |waiting| waiting.uncertain.is_some()).await?;
        let lease = self.session.writer().lease();
        let (mut valid, lost): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|waiting| lease.continues(waiting.epoch));
        fail(lost, &StoreError::Fenced);
        for waiting in &mut valid {
            waiting.uncertain = None;
        }
        match self.session.look_up_heads(&valid).await {
            Ok(head) => Ok((valid, lease, head)),
            Err(error) => Err((valid, error)),
        }
    }

    fn acknowledge(&mut self, accepted: Vec<(Pending, Appended)>) {
        self.session.tell_taps(&accepted);
        let half = accepted.len() / 2;
        for (index, (waiting, appended)) in accepted.into_iter().enumerate() {
            if index == half {
                failpoint!("append.half_acknowledged");
            }
            waiting.settle(Ok(appended));
        }
        failpoint!("append.acknowledged");
        self.session.publish();
    }

    /// Requests that do not fit: repeated ones get their first answer, the others conflict. Those
    /// that expect more than is known are looked at once more, as another process may have written.
    async fn settle_the_rest(
        &mut self,
        mut behind: Vec<Pending>,
        ahead: Vec<Pending>,
        mut later: Vec<Pending>,
    ) -> Round {
        let (read_again, unread): (Vec<_>, Vec<_>) = ahead.into_iter().partition(|waiting| waiting.read_again);
        behind.extend(read_again);
        if !unread.is_empty() {
            self.session.forget();
            later.extend(unread.into_iter().map(|waiting| Pending { read_again: true, ..waiting }));
        }
        if behind.is_empty() {
            return Ok(later);
        }
        match self.session.answer_stored(behind, |_| true).await {
            Ok(conflicted) => {
                for waiting in conflicted {
                    let conflict = waiting.prepared.request.conflict();
                    waiting.settle(Err(conflict));
                }
                Ok(later)
            }
            Err((behind, error)) => {
                later.extend(behind);
                Err((later, self.setback(error)))
            }
        }
    }

    /// The statement failed: what that means for the requests that were in it.
    async fn not_stored(
        &mut self,
        accepted: Vec<(Pending, Appended)>,
        later: Vec<Pending>,
        error: sqlx::Error,
    ) -> Round {
        match Fault::of(&error) {
            Fault::Connection => {
                tracing::warn!(shard = self.shard, %error,
                    "the connection broke during an append; its outcome will be looked up");
                self.session.disconnect(true);
                let uncertain =
                    accepted.into_iter().map(|(waiting, appended)| Pending { uncertain: Some(appended), ..waiting });
                Err((uncertain.chain(later).collect(), Setback::Later(error.into())))
            }
            Fault::Duplicate if is_of_the_log(&error) => {
                let corrupt = StoreError::Corrupt {
                    shard: self.shard,
                    position: self.session.next_position(),
                    reason: "the log goes on beyond the shard's head".to_owned(),
                };
                self.session.forget();
                fail(rejoin(accepted, later), &corrupt);
                Ok(Vec::new())
            }
            Fault::Duplicate => {
                self.session.met_a_duplicate();
                self.session.roll_back().await;
                let answered = self.session.answer_stored(requests_of(accepted).collect(), |_| true).await;
                let (mut left, setback) = match answered {
                    Ok(left) => (left, Setback::Later(error.into())),
                    Err((left, error)) => (left, self.setback(error)),
                };
                left.extend(later);
                Err((left, setback))
            }
            Fault::Full => Err((rejoin(accepted, later), Setback::Later(error.into()))),
            Fault::Passing => {
                let reason = "the database could not do it now";
                let error = StoreError::Unavailable { reason, source: Some(Arc::new(error)) };
                Err((rejoin(accepted, later), Setback::Later(error)))
            }
            Fault::Refused if accepted.len() > 1 => Err((rejoin(accepted, later), Setback::Poisoned)),
            Fault::Refused => {
                fail(requests_of(accepted), &StoreError::Database(Arc::new(error)));
                Ok(later)
            }
        }
    }

    /// What `error`, which was met while nothing was being stored, means for going on.
    fn setback(&mut self, error: StoreError) -> Setback {
        if matches!(error, StoreError::Unavailable { .. }) {
            self.session.disconnect(false);
        }
        Setback::Later(error)
    }
}

fn requests_of(accepted: Vec<(Pending, Appended)>) -> impl Iterator<Item = Pending> {
    accepted.into_iter().map(|(waiting, _)| waiting)
}

fn rejoin(accepted: Vec<(Pending, Appended)>, later: Vec<Pending>) -> Vec<Pending> {
    requests_of(accepted).chain(later).collect()
}

fn fail(pending: impl IntoIterator<Item = Pending>, error: &StoreError) {
    for waiting in pending {
        waiting.settle(Err(error.clone()));
    }
}

/// A position or a batch that exists already is not a request's fault.
fn is_of_the_log(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let constraint = database.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::constraint);
    matches!(constraint, Some("events_position_key" | "batches_pkey"))
}
