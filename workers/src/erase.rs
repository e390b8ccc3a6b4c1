//! Erases the secrets of a user that nothing refers to any more.

use std::time::Duration;

use domain::bot::{Bot, BotState};
use domain::ids::SecretId;
use store::vault::Vault;

use crate::disposition::Disposition;
use crate::errand::Errand;
use crate::fault::Fault;

/// A secret is stored before the event that names it: younger ones may be about to be named.
const SPARED: Duration = Duration::from_secs(600);

/// Erases `named` secrets at once, and later all others that the bot does not refer to.
pub(crate) async fn erase_secrets(
    vault: &Vault,
    errand: &Errand,
    claim: i64,
    named: &[SecretId],
) -> Result<Disposition, Fault> {
    let bot = errand.load().await?;
    if bot.state() == BotState::LoggingIn {
        // The login's code is named by its command alone.
        return Ok(Disposition::snooze(errand.hands.after(SPARED), "LOGGING_IN"));
    }
    let user = errand.bot_id().owner();
    let kept = referred_to(&bot);
    let named: Vec<SecretId> = named.iter().filter(|secret| !kept.contains(secret)).copied().collect();
    let erased = vault.erase(user, &named).await? + vault.erase_others(user, &kept, SPARED).await?;
    tracing::info!(erased, "secrets that nothing refers to are erased");
    if claim == 1 {
        // What was spared now is old enough then.
        return Ok(Disposition::snooze(errand.hands.after(SPARED * 2), "YOUNG_ONES_SPARED"));
    }
    Ok(Disposition::done("ERASED"))
}

fn referred_to(bot: &Bot) -> Vec<SecretId> {
    let login = bot.login();
    let password = bot.account().map(|account| account.password);
    [password, login.session, login.interrupted_session].into_iter().flatten().collect()
}
