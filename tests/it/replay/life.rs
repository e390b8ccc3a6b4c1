//! A bot's life and a job in a database: what the tools are shown.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use domain::bot::{ActionKind, Bot, BotCommand, Mode, NewReservation, Outcome};
use domain::clock::Clock;
use domain::entropy::Entropy;
use domain::ids::{AccountId, ActionId, BotId, CampaignId, EnablementId, JobId, RequestId, RunId, SecretId, derive};
use domain::job::Origin;
use domain::metadata::{Actor, Metadata};
use domain::plan::PlanHash;
use serde_json::json;
use store::command_bus::CommandBus;
use store::repository::{EventRepository, PostgresRepository, RepositoryConfig};
use store::testing::TestDatabase;
use store::wakeup::Wakeup;
use store::writer::{Writer, WriterConfig};
use uuid::Uuid;
use workers::job::{Provenance, Registry, Runner};

/// Likes that the bot was asked for, three minutes apart.
pub const LIKES: u32 = 6;

/// A Monday, in the middle of the working hours.
fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).single().expect("a time")
}

pub fn bot_id() -> BotId {
    BotId::from_uuid(derive(&["replayed", "bot"]))
}

pub fn job_id() -> JobId {
    JobId::from_uuid(derive(&["replayed", "job"]))
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> DateTime<Utc> {
        start()
    }
}

impl Entropy for Fixed {
    fn uuid(&self) -> Uuid {
        Uuid::nil()
    }

    fn unit(&self) -> f64 {
        0.0
    }
}

/// A bot that was linked, switched on and likes; and a job of a campaign that has not begun.
pub async fn live(database: &TestDatabase) {
    let pool = database.pool().clone();
    let writer = Writer::register(&pool, WriterConfig::named("test")).await.expect("a writer registers");
    let repository =
        PostgresRepository::start(pool, writer.clone(), Wakeup::in_process(), &RepositoryConfig::default());
    let dynamic: Arc<dyn EventRepository> = Arc::new(repository.clone());
    let bus = CommandBus::new(Arc::clone(&dynamic), None);
    for (number, command) in (0_u32..).zip(commands()) {
        let request = RequestId::from_uuid(derive(&["replayed", &number.to_string()]));
        let metadata = Metadata::root(request, Actor::System("test".to_owned()), start());
        bus.execute::<Bot>(&bot_id().to_string(), command, &metadata).await.expect("the bot takes it");
    }
    let runner = Runner::new(dynamic, Registry::default(), Arc::new(Fixed), Arc::new(Fixed));
    let actor = Actor::System("test".to_owned());
    let provenance = Provenance { actor, correlation_id: Uuid::nil(), causation_id: Uuid::nil(), held_epoch: None };
    let input = json!({ "campaign_id": campaign() });
    let created = runner.create(job_id(), bot_id(), "campaign_run", input, Origin::Person, &provenance).await;
    created.expect("the job is made");
    repository.close().await;
    writer.retire().await.expect("the lease ends");
}

fn campaign() -> CampaignId {
    CampaignId::from_uuid(derive(&["replayed", "campaign"]))
}

fn commands() -> Vec<BotCommand> {
    let at = start();
    let plan: PlanHash = "a".repeat(64).parse().expect("a hash");
    let secret = |name| SecretId::from_uuid(derive(&["replayed", name]));
    let enablement_id = EnablementId::from_uuid(derive(&["replayed", "enablement"]));
    let mut commands = vec![
        BotCommand::Initialize { bot_id: bot_id(), at },
        BotCommand::LinkAccount {
            account_id: AccountId::from_uuid(derive(&["replayed", "account"])),
            username: "mara".to_owned(),
            zone: Tz::UTC,
            password: secret("password"),
            consent: "yes".to_owned(),
            at,
        },
        BotCommand::RequestLogin { verification_code: None, at },
        BotCommand::RecordLoginSuccess {
            attempt: 1,
            platform_pk: "4711".to_owned(),
            session: secret("session"),
            key_id: "key".to_owned(),
            session_expires_at: at + TimeDelta::days(90),
            at,
        },
        BotCommand::RecordConnectionVerified { at },
        BotCommand::AuthorizeAutomation {
            plan_hash: plan.clone(),
            campaigns: vec![campaign()],
            mode: Mode::Live,
            dry_run_waived: true,
            at,
        },
        BotCommand::EnableAutomation { enablement_id, confirmed: plan.clone(), current: plan, at },
    ];
    for number in 1..=LIKES {
        let at = start() + TimeDelta::days(8) + TimeDelta::minutes(3 * i64::from(number));
        let action_id = ActionId::from_uuid(derive(&["replayed", "action", &number.to_string()]));
        commands.push(BotCommand::ReserveAction(NewReservation {
            action_id,
            run_id: RunId::from_uuid(derive(&["replayed", "run"])),
            campaign_id: campaign(),
            enablement_id,
            kind: ActionKind::Like,
            target: format!("31415_{number}"),
            requests: 1,
            words: None,
            roll: 0.0,
            at,
        }));
        let outcome = Outcome::Performed { evidence: "answered ok".to_owned() };
        commands.push(BotCommand::RecordAction { action_id, outcome, at });
    }
    commands
}
