//! Which piece of work a command is, and what its faults mean for the command.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use domain::ids::partition_of;
use futures_util::FutureExt;
use projections::reactor::work::Work;
use store::command_queue::ClaimedCommand;

use crate::change_jobs;
use crate::connection_test;
use crate::disposition::{Disposition, Ending};
use crate::engine::Engine;
use crate::erase;
use crate::errand::Errand;
use crate::fault::Fault;
use crate::hold::Hold;
use crate::jobs;
use crate::login::{self, Attempt};
use crate::probe;
use crate::reconcile;
use crate::runs;

/// Does the work, unless the right to it ends first; then `None`, and whoever has the bot next takes over.
pub(crate) async fn work(
    engine: &Engine,
    errand: &Errand,
    command: &ClaimedCommand,
    hold: &Hold,
) -> Option<Disposition> {
    let limit = engine.hands.config.work_limit;
    let in_turn = async {
        let _turn = engine.hands.accounts.turn(errand.bot_id()).await;
        tokio::time::timeout(limit, run(engine, errand, command)).await
    };
    let guarded = AssertUnwindSafe(in_turn).catch_unwind();
    let done = tokio::select! {
        biased;
        () = hold.ends(partition_of(errand.bot_id())) => {
            tracing::warn!("the hold on the bot ends; its work is left to the next holder");
            return None;
        }
        done = guarded => done,
    };
    let fault = match done {
        Ok(Ok(Ok(disposition))) => return Some(disposition),
        Ok(Ok(Err(fault))) => fault,
        Ok(Err(_elapsed)) => Fault::TimedOut,
        Err(_panic) => Fault::Panicked,
    };
    if fault.is_fenced() {
        tracing::warn!(code = fault.code(), "the right to work on the bot is lost");
        return None;
    }
    tracing::warn!(code = fault.code(), error = &fault as &dyn std::error::Error, "the work broke off");
    let (code, reason) = (fault.code().to_owned(), fault.to_string());
    let ending = match fault {
        // Another version may know it.
        Fault::Work(_) => Ending::Dead { code, reason },
        _ => Ending::Retry { code, reason, at_least: Duration::ZERO },
    };
    Some(looked_after(errand, Disposition::of(ending)).await)
}

async fn run(engine: &Engine, errand: &Errand, command: &ClaimedCommand) -> Result<Disposition, Fault> {
    match Work::decode(&command.kind, command.payload.clone())? {
        Work::Login { attempt, password, verification_code } => {
            login::login(&engine.vault, errand, Attempt { number: attempt, password, verification_code }).await
        }
        Work::TestConnection {} => connection_test::test_connection(errand).await,
        Work::SettleAction { action_id } => reconcile::settle_action(errand, action_id).await,
        Work::ProbeAction { action_id } => probe::probe_action(errand, action_id).await,
        Work::ChangeJobs { operation_id } => change_jobs::change_jobs(engine, errand, operation_id).await,
        Work::EraseSecrets { secrets } => {
            erase::erase_secrets(&engine.vault, errand, command.claim.number, &secrets).await
        }
        Work::StartJob { job_id, workflow, input, origin } => {
            if let Some(held_back) = runs::held_back(errand, job_id, &origin).await? {
                return Ok(held_back);
            }
            jobs::start(errand, job_id, workflow, input, origin).await
        }
        Work::SignalJobs { name, payload, jobs } => jobs::signal(engine, errand, &name, &payload, jobs).await,
        Work::CancelJobs { reason, jobs } => jobs::cancel(engine, errand, &reason, jobs).await,
        Work::RecordRun { campaign_id, job_id, due_at, news } => {
            runs::record(errand, campaign_id, (job_id, due_at), news).await
        }
    }
}

/// Whatever becomes of a command that broke off, an action that it may have left open is looked after.
async fn looked_after(errand: &Errand, disposition: Disposition) -> Disposition {
    match errand.load().await {
        Ok(bot) => disposition.then(reconcile::look_after(errand, &bot, errand.now())),
        // The sweep over open actions finds it.
        Err(_) => disposition,
    }
}
