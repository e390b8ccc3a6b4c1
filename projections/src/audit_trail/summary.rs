//! Events in a sentence each, for people. Secrets are not in events; ids are left to the columns beside.

use chrono::{DateTime, Utc};
use domain::any_event::AnyEvent;
use domain::bot::{ActionKind, BotEvent, Counter, SuppressReason, Window};
use domain::campaign::schedule::{DueSpan, SkipReason};
use domain::campaign::{CampaignEvent, Definition, Withdrawal};
use domain::engine::{BotSettings, EngineEvent, SettingChange};
use domain::job::{JobEvent, Origin, Outcome};
use domain::user::UserEvent;

/// What happened, in a sentence.
#[must_use]
pub fn summary(event: &AnyEvent) -> String {
    match event {
        AnyEvent::User(_, event) => of_user(event),
        AnyEvent::Campaign(_, event) => of_campaign(event),
        AnyEvent::Bot(_, event) => of_bot(event),
        AnyEvent::Job(_, event) => of_job(event),
        AnyEvent::Engine(event) => of_engine(event),
    }
}

fn of_engine(event: &EngineEvent) -> String {
    match event {
        EngineEvent::EngineSettingsChanged { revision, changes, .. } => {
            let told: Vec<_> = changes.iter().map(changed_setting).collect();
            format!("changed the engine's settings (revision {revision}): {}", told.join("; "))
        }
        EngineEvent::ClockSpeedChanged { old, new, .. } => format!("changed the clock's speed from {old} to {new}"),
    }
}

fn changed_setting(change: &SettingChange) -> String {
    let limit = |limit: &Option<u32>| limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
    match change {
        SettingChange::MaxRunning { old, new } => format!("jobs at a time from {old} to {new}"),
        SettingChange::MaxRunningPerBot { old, new } => format!("jobs of a bot at a time from {old} to {new}"),
        SettingChange::Paused { old, new: None } => format!("jobs are taken up again (paused: {})", why(old.as_ref())),
        SettingChange::Paused { new, .. } => format!("no jobs are taken up: {}", why(new.as_ref())),
        SettingChange::RequestsPerMinute { old, new } => {
            format!("requests a minute from {} to {}", limit(old), limit(new))
        }
        SettingChange::Bot { bot_id, old, new } => {
            format!("bot {bot_id} from {} to {}", settings_of_bot(old), settings_of_bot(new))
        }
    }
}

fn why(paused: Option<&String>) -> &str {
    match paused.map(String::as_str) {
        None | Some("") => "no reason given",
        Some(reason) => reason,
    }
}

fn settings_of_bot(own: &BotSettings) -> String {
    let most = own.max_running.map(|most| format!("at most {most} jobs"));
    let weight = own.weight.map(|weight| format!("weight {weight}"));
    let paused = own.paused.as_ref().map(|_| "paused".to_owned());
    let parts: Vec<_> = most.into_iter().chain(weight).chain(paused).collect();
    if parts.is_empty() { "as all".to_owned() } else { parts.join(", ") }
}

fn of_user(event: &UserEvent) -> String {
    match event {
        UserEvent::UserRegistered { username, role, .. } => format!("registered {username} as {role}"),
        UserEvent::PasswordChanged { must_change_password: true, .. } => {
            "set a password that must be changed at the next sign-in".to_owned()
        }
        UserEvent::PasswordChanged { .. } => "changed the password".to_owned(),
        UserEvent::UserDeactivated { .. } => "deactivated the user".to_owned(),
    }
}

fn of_campaign(event: &CampaignEvent) -> String {
    match event {
        CampaignEvent::CampaignDefined { definition, .. } => format!("defined the campaign {}", described(definition)),
        CampaignEvent::CampaignRevised { revision, definition, .. } => {
            format!("revised the campaign to {} (revision {revision})", described(definition))
        }
        CampaignEvent::CampaignArchived { .. } => "archived the campaign".to_owned(),
        CampaignEvent::ScheduleSet { schedule, .. } => format!("set the schedule: {}", schedule.timing),
        CampaignEvent::ScheduleCleared { .. } => "cleared the schedule".to_owned(),
        CampaignEvent::SchedulePaused { reason, .. } => format!("paused the schedule: {reason}"),
        CampaignEvent::ScheduleResumed { .. } => "resumed the schedule".to_owned(),
        event => of_run(event),
    }
}

fn of_run(event: &CampaignEvent) -> String {
    let due = |due_at: &DateTime<Utc>| format!("the run due at {}", instant(*due_at));
    match event {
        CampaignEvent::RunPlanned { run, backfill: true, .. } => format!("backfills {}", due(&run.due_at)),
        CampaignEvent::RunPlanned { run, waits: true, .. } => format!("queued {}", due(&run.due_at)),
        CampaignEvent::RunPlanned { run, .. } => format!("planned {}", due(&run.due_at)),
        CampaignEvent::RunReleased { run, .. } => format!("let {} start", due(&run.due_at)),
        CampaignEvent::RunsSkipped { span, reason, .. } => format!("skipped {}: {}", spanned(span), skipped(reason)),
        CampaignEvent::RunsMissed { span, .. } => format!("missed {}: nobody decided in time", spanned(span)),
        CampaignEvent::RunCancelRequested { due_at, by_due_at, .. } => {
            format!("asked {} to end, as the next is due at {}", due(due_at), instant(*by_due_at))
        }
        CampaignEvent::RunWithdrawn { due_at, reason, .. } => {
            format!("took back {}: {}", due(due_at), withdrawn(*reason))
        }
        CampaignEvent::RunEnded { due_at, ending, .. } => format!("{} ended: {ending}", due(due_at)),
        CampaignEvent::RunContinued { due_at, .. } => format!("{} goes on as another job", due(due_at)),
        CampaignEvent::RunReopened { run, .. } => format!("{} goes on", due(&run.due_at)),
        _ => String::new(),
    }
}

fn spanned(span: &DueSpan) -> String {
    let DueSpan { first_due_at, last_due_at, count } = span;
    if *count == 1 {
        return format!("the run due at {}", instant(*first_due_at));
    }
    format!("{count} runs due from {} to {}", instant(*first_due_at), instant(*last_due_at))
}

fn skipped(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Paused { reason } => format!("the schedule is paused ({reason})"),
        SkipReason::BotNotRunning { state } => format!("the bot was {state}"),
        SkipReason::NotInPlan => "the bot runs a plan without the campaign".to_owned(),
        SkipReason::StillRunning { .. } => "the previous run was not over".to_owned(),
        SkipReason::QueueFull { waiting } => format!("{waiting} runs waited already"),
        SkipReason::Superseded { by_due_at } => format!("the run due at {} takes its place", instant(*by_due_at)),
    }
}

fn withdrawn(reason: Withdrawal) -> String {
    match reason {
        Withdrawal::Superseded { by_due_at } => format!("the run due at {} takes its place", instant(by_due_at)),
        Withdrawal::BotNotRunning { state } => format!("the bot is {state}"),
        Withdrawal::ScheduleCleared => "the schedule was cleared".to_owned(),
        Withdrawal::CampaignArchived => "the campaign was archived".to_owned(),
        Withdrawal::NotStarted => "its job was never made".to_owned(),
    }
}

fn described(definition: &Definition) -> String {
    let Definition { name, module, source, max_targets, .. } = definition;
    format!("\"{name}\": {module}, {source}, at most {max_targets} targets a run")
}

fn of_bot(event: &BotEvent) -> String {
    match event {
        BotEvent::BotInitialized { .. } => "made the bot ready".to_owned(),
        BotEvent::AccountLinked { username, zone, .. } => format!("linked the account @{username} ({zone})"),
        BotEvent::AccountUnlinked { .. } => "unlinked the account".to_owned(),
        BotEvent::LimitsChanged { raises_at, .. } => {
            format!("changed the limits; what is higher holds from {}", instant(*raises_at))
        }
        BotEvent::BotFailed { reason, .. } => format!("the bot failed: {reason}"),
        BotEvent::ContactStopped { person, reason, .. } => {
            format!("stopped all contact with {person}, who wrote {reason:?}")
        }
        BotEvent::BotRecovered { .. } => "recovered the bot".to_owned(),
        BotEvent::ActionKindBlocked { kind, strike, until, .. } => {
            format!("the platform blocked {kind} until {} (strike {strike})", instant(*until))
        }
        BotEvent::SlowDownStarted { step, until, code, .. } => {
            format!("the platform asked to slow down until {} (step {step}, {code})", instant(*until))
        }
        BotEvent::ModuleStopped { kind, code, .. } => format!("stopped {kind} after an answer not understood: {code}"),
        BotEvent::UnknownFailureSeen { code, .. } => format!("got an answer not understood: {code}"),
        BotEvent::RequestsReserved { purpose, count, .. } => format!("reserved {count} requests to {purpose}"),
        BotEvent::RequestsSuppressed { purpose, count, reason, window, frees_at, .. } => {
            format!("held back {count} requests to {purpose}: {}", held(*reason, None, *window, *frees_at))
        }
        event => of_login(event).or_else(|| of_automation(event)).or_else(|| of_action(event)).unwrap_or_default(),
    }
}

fn of_login(event: &BotEvent) -> Option<String> {
    Some(match event {
        BotEvent::LoginRequested { attempt, verification_code: None, .. } => {
            format!("asked to log in (attempt {attempt})")
        }
        BotEvent::LoginRequested { attempt, .. } => {
            format!("asked to log in with a verification code (attempt {attempt})")
        }
        BotEvent::LoginSucceeded { attempt, session_expires_at, .. } => {
            format!("logged in (attempt {attempt}); the session lasts until {}", instant(*session_expires_at))
        }
        BotEvent::LoginFailed { attempt, reason, retry_not_before, .. } => {
            format!("login attempt {attempt} failed: {reason}; not again before {}", instant(*retry_not_before))
        }
        BotEvent::TwoFactorRequired { attempt, .. } => {
            format!("login attempt {attempt} needs a verification code")
        }
        BotEvent::ChallengeRaised { kind, .. } => format!("the platform wants the person: {kind}"),
        BotEvent::ChallengeResolved { .. } => "said that the challenge is settled".to_owned(),
        BotEvent::ConnectionTestRequested { .. } => "asked to test the connection".to_owned(),
        BotEvent::ConnectionVerified { .. } => "the session works".to_owned(),
        BotEvent::ConnectionTestFailed { code, .. } => format!("the connection test had no answer: {code}"),
        BotEvent::SessionExpired { code, .. } => format!("the session ended: {code}"),
        BotEvent::LoggedOut { .. } => "logged out".to_owned(),
        _ => return None,
    })
}

fn of_automation(event: &BotEvent) -> Option<String> {
    Some(match event {
        BotEvent::AutomationAuthorized { campaigns, mode, .. } => {
            format!("authorized automation ({mode}, {} campaigns), step 1 of 2", campaigns.len())
        }
        BotEvent::AutomationEnabled { campaigns, mode, .. } => {
            format!("enabled automation ({mode}, {} campaigns), step 2 of 2", campaigns.len())
        }
        BotEvent::AutomationPaused { reason, .. } => format!("paused automation: {reason}"),
        BotEvent::AutomationResumed { .. } => "resumed automation".to_owned(),
        BotEvent::AutomationDisabled { reason, .. } => format!("disabled automation: {reason}"),
        BotEvent::RunStarted { mode, targets, .. } => format!("started a run ({mode}) on {targets} targets"),
        BotEvent::RunFinished { mode, stopped_by: None, .. } => format!("finished the run ({mode})"),
        BotEvent::RunFinished { mode, stopped_by: Some(reason), .. } => {
            format!("the run ({mode}) was stopped: {reason}")
        }
        BotEvent::DryRunFinished { .. } => "finished the dry run of the plan; it may go live".to_owned(),
        _ => return None,
    })
}

fn of_action(event: &BotEvent) -> Option<String> {
    Some(match event {
        BotEvent::ActionReserved { kind, target, mode, .. } => format!("reserved {kind} of {target} ({mode})"),
        BotEvent::ActionSuppressed { kind, target, reason, counter, window, frees_at, .. } => {
            format!("{kind} of {target} has to wait: {}", held(*reason, *counter, *window, *frees_at))
        }
        BotEvent::ActionPerformed { kind, evidence, .. } => ended(*kind, "performed", evidence),
        BotEvent::ActionSimulated { kind, .. } => format!("{kind} simulated"),
        BotEvent::ActionRefused { kind, class, code, .. } => ended(*kind, "refused", &format!("{class}, {code}")),
        BotEvent::ActionFailed { kind, class, code, .. } => ended(*kind, "failed", &format!("{class}, {code}")),
        BotEvent::ActionInDoubt { kind, code, evidence, .. } => {
            ended(*kind, "in doubt", &format!("{code}; {evidence}"))
        }
        BotEvent::ActionReconciled { kind, settlement, evidence, .. } => {
            format!("{kind} in doubt was {settlement}: {evidence}")
        }
        _ => return None,
    })
}

fn of_job(event: &JobEvent) -> String {
    match event {
        JobEvent::JobCreated { workflow, origin, .. } => format!("created the job: {workflow}, {}", cause(origin)),
        JobEvent::JobStarted { .. } => "the job began".to_owned(),
        JobEvent::JobPaused { reason, .. } => format!("paused the job: {reason}"),
        JobEvent::JobResumed { .. } => "resumed the job".to_owned(),
        JobEvent::JobPrioritized { priority, .. } => format!("set the priority to {priority}"),
        JobEvent::JobCancelRequested { reason, .. } => format!("asked the job to stop: {reason}"),
        JobEvent::JobCancelled { .. } => "the job is cancelled".to_owned(),
        JobEvent::JobTerminated { reason, .. } => format!("ended the job at once: {reason}"),
        JobEvent::JobCompleted { .. } => "the job completed".to_owned(),
        JobEvent::JobFailed { code, message, .. } => format!("the job failed: {code}, {message}"),
        JobEvent::JobDiverged { index, recorded, attempted, .. } => format!(
            "the job needs attention: at {index} its history has \"{recorded}\", its code asked for \"{attempted}\""
        ),
        JobEvent::JobReset { index, reason, .. } => format!("set the job back to {index}: {reason}"),
        JobEvent::JobForked { from, index, .. } => format!("took over the history of job {from} before {index}"),
        JobEvent::JobContinuedAsNew { next, .. } => format!("the job goes on as job {next}"),
        event => of_journal(event).unwrap_or_default(),
    }
}

fn cause(origin: &Origin) -> String {
    match origin {
        Origin::Campaign { due_at, .. } => format!("a campaign was due at {}", instant(*due_at)),
        Origin::Person => "a person asked".to_owned(),
        Origin::Parent { job_id, index } => format!("started by job {job_id} at {index}"),
        Origin::Continued { job_id } => format!("goes on from job {job_id}"),
        Origin::Forked { job_id, index } => format!("a fork of job {job_id} from {index}"),
    }
}

fn of_journal(event: &JobEvent) -> Option<String> {
    Some(match event {
        JobEvent::StepStarted { name, attempt, .. } => format!("step {name} began (attempt {attempt})"),
        JobEvent::StepCompleted { name, attempt, .. } => format!("step {name} is done (attempt {attempt})"),
        JobEvent::StepFailed { name, attempt, code, message, retry_at, .. } => {
            let again = retry_at.map_or_else(|| "not again".to_owned(), |at| format!("again at {}", instant(at)));
            format!("step {name} failed (attempt {attempt}): {code}, {message}; {again}")
        }
        JobEvent::TimerSet { fires_at, .. } => format!("sleeps until {}", instant(*fires_at)),
        JobEvent::TimerFired { .. } => "woke up".to_owned(),
        JobEvent::SignalAwaited { name, until: None, .. } => format!("waits for the signal {name}"),
        JobEvent::SignalAwaited { name, until: Some(until), .. } => {
            format!("waits for the signal {name} until {}", instant(*until))
        }
        JobEvent::SignalTimedOut { .. } => "the signal did not come in time".to_owned(),
        JobEvent::SignalReceived { name, .. } => format!("the signal {name} came"),
        JobEvent::ChildStarted { child, workflow, .. } => format!("started the job {child}: {workflow}"),
        JobEvent::ChildFinished { child, outcome, .. } => match outcome {
            Outcome::Completed { .. } => format!("the job {child} completed"),
            Outcome::Failed { code, .. } => format!("the job {child} failed: {code}"),
            Outcome::Cancelled => format!("the job {child} was cancelled"),
        },
        JobEvent::PatchMarked { patch, .. } => format!("took the path of the patch {patch}"),
        _ => return None,
    })
}

fn ended(kind: ActionKind, how: &str, why: &str) -> String {
    format!("{kind} {how}: {why}")
}

fn held(
    reason: SuppressReason,
    counter: Option<Counter>,
    window: Option<Window>,
    frees_at: Option<DateTime<Utc>>,
) -> String {
    let counter = counter.map(|counter| format!(" of {counter}")).unwrap_or_default();
    let window = window.map(|window| format!(" in the {window}")).unwrap_or_default();
    let until = frees_at.map_or_else(|| "a person acts".to_owned(), instant);
    format!("{reason}{counter}{window}, until {until}")
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
