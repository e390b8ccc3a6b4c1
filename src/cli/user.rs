//! `reprise user`: the people who can sign in, for whoever has the machine. What is done is in the log like everything else.

use std::process::ExitCode;
use std::sync::Arc;

use api::ApiSettings;
use api::auth::{NewUser, Password, Passwords, RegisteredUser, Users};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use domain::entropy::Entropy;
use domain::ids::{RequestId, UserId};
use domain::metadata::{Actor, Metadata};
use domain::user::Role;
use projections::users;
use projections::{Order, PageRequest};
use serde::Serialize;
use sqlx::PgPool;

use super::SettingFlags;
use crate::bootstrap::core::{Core, writer_name};
use crate::bootstrap::database::Database;
use crate::clock::wall;
use crate::config::Config;
use crate::entropy::SystemEntropy;
use crate::failure::{Exit, Failure};
use crate::output::{self, Output};
use crate::telemetry;

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Register a user; prints a password that has to be changed at the first sign-in
    Add(Add),
    /// Give a user a new password that has to be changed at the next sign-in; ends their sessions
    ResetPassword(Named),
    /// End what a user may do, and what their bot does
    Deactivate(Named),
    /// List the users
    List(SettingFlags),
}

#[derive(Debug, Args)]
pub struct Add {
    /// 3 to 40 letters, digits, dots, dashes or underscores
    username: String,
    #[arg(long, value_enum, default_value_t = RoleName::User)]
    role: RoleName,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    User,
    Admin,
}

#[derive(Debug, Args)]
pub struct Named {
    username: String,
    #[command(flatten)]
    settings: SettingFlags,
}

pub async fn run(command: UserCommand, output: Output) -> Result<ExitCode, Failure> {
    let settings = match &command {
        UserCommand::Add(add) => &add.settings,
        UserCommand::ResetPassword(named) | UserCommand::Deactivate(named) => &named.settings,
        UserCommand::List(settings) => settings,
    };
    let config = settings.load()?;
    telemetry::start("warn", config.log_format)?;
    let database = Database::open(&config).await?;
    let done = act(&command, database.pool(), output).await;
    database.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(command: &UserCommand, pool: &PgPool, output: Output) -> Result<(), Failure> {
    store::migrate(pool).await?;
    if let UserCommand::List(_) = command {
        return list(pool, output).await;
    }
    let core = Core::start(pool, &writer_name()).await?;
    let done = change(command, pool, &core, output).await;
    core.close().await;
    done
}

/// A new user for the demo, who can sign in at once: its name and password. Made beside a running `reprise up`.
pub async fn demo_user(config: &Config) -> Result<(String, String), Failure> {
    let database = Database::open(config).await?;
    let made = match Core::start(database.pool(), &writer_name()).await {
        Ok(core) => {
            let made = register_for_demo(database.pool(), &core).await;
            core.close().await;
            made
        }
        Err(error) => Err(error.into()),
    };
    database.close().await;
    made
}

async fn register_for_demo(pool: &PgPool, core: &Core) -> Result<(String, String), Failure> {
    let tail = SystemEntropy.uuid().simple().to_string();
    let username = format!("demo-{}", tail.get(24..).unwrap_or_default());
    let password = format!("{}{}", SystemEntropy.uuid().simple(), SystemEntropy.uuid().simple());
    let new = NewUser {
        username: username.clone(),
        role: Role::User,
        password: Some(Password::from(password.clone())),
        must_change_password: false,
    };
    users(pool, core)?.register(new, &metadata(pool).await?).await?;
    Ok((username, password))
}

fn users(pool: &PgPool, core: &Core) -> Result<Users, Failure> {
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    Ok(Users::new(pool, core.bus.clone(), entropy, Passwords::try_new()?, ApiSettings::default().sessions))
}

async fn metadata(pool: &PgPool) -> Result<Metadata, Failure> {
    let request_id = RequestId::from_uuid(SystemEntropy.uuid());
    Ok(Metadata::root(request_id, Actor::System("command-line".to_owned()), now(pool).await?))
}

async fn change(command: &UserCommand, pool: &PgPool, core: &Core, output: Output) -> Result<(), Failure> {
    let users = users(pool, core)?;
    let metadata = metadata(pool).await?;
    match command {
        UserCommand::Add(add) => {
            let role = match add.role {
                RoleName::User => Role::User,
                RoleName::Admin => Role::Admin,
            };
            let username = add.username.clone();
            let new = NewUser { username, role, password: None, must_change_password: true };
            told(&users.register(new, &metadata).await?, output);
        }
        UserCommand::ResetPassword(named) => {
            let user_id = find(&users, &named.username).await?;
            told(&users.reset_password(user_id, &metadata).await?, output);
        }
        UserCommand::Deactivate(named) => {
            let user_id = find(&users, &named.username).await?;
            users.deactivate(user_id, &metadata).await?;
            let done = Told { user_id, username: named.username.clone(), one_time_password: None };
            output.result(&done, |done| format!("{} is deactivated", done.username));
        }
        UserCommand::List(_) => {}
    }
    Ok(())
}

/// The engine's time is not known here; it is not before the last event.
async fn now(pool: &PgPool) -> Result<DateTime<Utc>, Failure> {
    let last: Option<DateTime<Utc>> =
        sqlx::query_scalar("SELECT recorded_at FROM events WHERE shard = 0 ORDER BY position DESC LIMIT 1")
            .fetch_optional(pool)
            .await
            .map_err(store::StoreError::from)?;
    Ok(last.map_or_else(wall, |last| last.max(wall())))
}

async fn find(users: &Users, username: &str) -> Result<UserId, Failure> {
    users.find(username).await?.ok_or_else(|| {
        Failure::new("USER_NOT_FOUND", Exit::Data, format!("there is no user {username}"))
            .hint("`reprise user list` shows them all")
    })
}

#[derive(Debug, Serialize)]
struct Told {
    user_id: UserId,
    username: String,
    one_time_password: Option<String>,
}

fn told(registered: &RegisteredUser, output: Output) {
    let told = Told {
        user_id: registered.user_id,
        username: registered.user.username().unwrap_or_default().to_owned(),
        one_time_password: registered.one_time_password.as_ref().map(|password| password.reveal().to_owned()),
    };
    output.result(&told, |told| {
        let password = told.one_time_password.as_deref().unwrap_or_default();
        format!("{} can sign in with the password {password}, and has to change it first", told.username)
    });
}

#[derive(Debug, Serialize)]
struct Row {
    user_id: UserId,
    username: String,
    role: &'static str,
    active: bool,
    must_change_password: bool,
}

async fn list(pool: &PgPool, output: Output) -> Result<(), Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut after = None;
    loop {
        let request = PageRequest { limit: 200, after, order: Order::OldestFirst };
        let page = users::list(pool, &request).await.map_err(store::StoreError::from)?;
        after = page.items.last().map(|user| user.username.clone());
        rows.extend(page.items.into_iter().map(|user| Row {
            user_id: user.user_id,
            username: user.username,
            role: user.role.as_str(),
            active: user.active,
            must_change_password: user.must_change_password,
        }));
        if !page.has_more || after.is_none() {
            break;
        }
    }
    output.result(&rows, |rows| {
        let cells = rows.iter().map(|row| {
            let state = if row.active { "active" } else { "deactivated" };
            [row.username.clone(), row.role.to_owned(), state.to_owned(), row.user_id.to_string()]
        });
        output::table(["USER", "ROLE", "STATE", "ID"], cells)
    });
    Ok(())
}
