//! All projections of this process: starts their runners, and lets callers wait until a projection has what they wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::checkpoint;
use crate::error::ProjectionError;
use crate::projection::Projection;
use crate::runner::{Log, Runner, RunnerState};

/// Between two looks at the database, for positions that another process may have reached.
const SHORTEST_POLL: Duration = Duration::from_millis(5);
const LONGEST_POLL: Duration = Duration::from_millis(200);

/// The projections as this process sees them. Cheap to clone.
#[derive(Clone)]
pub struct Projections {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    shard: i32,
    members: BTreeMap<&'static str, Option<Member>>,
}

/// A projection whose runner is in this process.
struct Member {
    state: watch::Receiver<RunnerState>,
    position: watch::Receiver<i64>,
}

/// What a runner of this process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerStatus {
    pub projection: &'static str,
    pub state: RunnerState,
    /// The checkpoint as far as the runner knows it.
    pub position: i64,
}

impl Projections {
    /// Starts a runner for each of `projections`, as one of `tasks`, until `stop`.
    #[must_use]
    pub fn start(
        projections: Vec<Arc<dyn Projection>>,
        pool: &PgPool,
        log: &Log,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let members = projections
            .into_iter()
            .map(|projection| {
                let name = projection.name();
                let runner = Runner::new(projection, pool.clone(), log.clone());
                let member = Member { state: runner.state(), position: runner.position() };
                tasks.spawn(runner.run(stop.clone()));
                (name, Some(member))
            })
            .collect();
        Self { shared: Arc::new(Shared { pool: pool.clone(), shard: log.shard, members }) }
    }

    /// Watches `projections` that run in other processes.
    #[must_use]
    pub fn watch(projections: &[Arc<dyn Projection>], pool: &PgPool, shard: i32) -> Self {
        let members = projections.iter().map(|projection| (projection.name(), None)).collect();
        Self { shared: Arc::new(Shared { pool: pool.clone(), shard, members }) }
    }

    /// What the runners of this process are doing.
    #[must_use]
    pub fn runners(&self) -> Vec<RunnerStatus> {
        let running = self.shared.members.iter().filter_map(|(name, member)| Some((*name, member.as_ref()?)));
        running
            .map(|(projection, member)| RunnerStatus {
                projection,
                state: *member.state.borrow(),
                position: *member.position.borrow(),
            })
            .collect()
    }

    /// Waits until a projection has everything up to `position`, so that a caller reads what it wrote.
    ///
    /// An event whose stream is parked counts as had: it will not come by waiting.
    pub async fn wait_until(&self, projection: &str, position: i64, limit: Duration) -> Result<(), ProjectionError> {
        let unknown = || ProjectionError::Unknown { name: projection.to_owned() };
        let (name, member) = self.shared.members.get_key_value(projection).ok_or_else(unknown)?;
        let reached = async {
            let mut poll = SHORTEST_POLL;
            loop {
                if let Some(member) = member
                    && hears_of(member, position, poll).await
                {
                    return Ok(());
                }
                if self.has_reached(name, position).await? {
                    return Ok(());
                }
                if member.is_none() {
                    sleep(poll).await;
                }
                poll = (poll * 2).min(LONGEST_POLL);
            }
        };
        timeout(limit, reached).await.unwrap_or(Err(ProjectionError::NotReached { name, position }))
    }

    /// [`Projections::wait_until`] for several projections, within one limit.
    pub async fn wait_until_all(
        &self,
        projections: &[&str],
        position: i64,
        limit: Duration,
    ) -> Result<(), ProjectionError> {
        let end = Instant::now() + limit;
        for projection in projections {
            self.wait_until(projection, position, end.saturating_duration_since(Instant::now())).await?;
        }
        Ok(())
    }

    async fn has_reached(&self, projection: &str, position: i64) -> Result<bool, ProjectionError> {
        let found = checkpoint::load(&self.shared.pool, projection, self.shared.shard).await?;
        Ok(found.is_some_and(|found| found.position >= position))
    }
}

/// Whether the runner of this process reaches `position` within `wait`. One that has ended says nothing any more.
async fn hears_of(member: &Member, position: i64, wait: Duration) -> bool {
    let mut here = member.position.clone();
    let told = async {
        if here.wait_for(|at| *at >= position).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    timeout(wait, told).await.is_ok()
}
