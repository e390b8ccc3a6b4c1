//! The names of the bot's states and of what surrounds them; stored, so never renamed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An enum whose text form is the same in events, tables, the API and messages.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stored name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { what: stringify!($name), name: text.to_owned() }),
                }
            }
        }
    };
}
pub(crate) use named;

/// A name that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a {what}")]
pub struct UnknownName {
    pub what: &'static str,
    pub name: String,
}

named!(
    /// Where a bot stands. Automation acts in `Running` alone.
    BotState {
        NotInitialized = "NOT_INITIALIZED",
        LoggedOut = "LOGGED_OUT",
        LoggingIn = "LOGGING_IN",
        LoggedIn = "LOGGED_IN",
        Running = "RUNNING",
        Paused = "PAUSED",
        Error = "ERROR",
    }
);

named!(
    /// Whether writes reach the platform.
    Mode {
        DryRun = "DRY_RUN",
        Live = "LIVE",
    }
);

named!(
    /// A kind of side effect on the platform.
    ActionKind {
        Follow = "FOLLOW",
        Unfollow = "UNFOLLOW",
        Like = "LIKE",
        Story = "STORY",
        Comment = "COMMENT",
        Dm = "DM",
    }
);

named!(
    /// Over which time a limit counts.
    Window {
        Hour = "HOUR",
        Day = "DAY",
    }
);

named!(
    /// Why an action has to wait.
    SuppressReason {
        /// The platform asked to slow down.
        SlowDown = "SLOW_DOWN",
        /// The platform blocked this kind of action.
        KindBlocked = "KIND_BLOCKED",
        /// This kind stopped after an answer that we do not understand; a person enables it again.
        ModuleStopped = "MODULE_STOPPED",
        OutsideHours = "OUTSIDE_HOURS",
        /// Too soon after the last write.
        Pacing = "PACING",
        HourLimit = "HOUR_LIMIT",
        DayLimit = "DAY_LIMIT",
        /// The limit of this kind is zero.
        LimitZero = "LIMIT_ZERO",
    }
);

named!(
    /// Why a login did not succeed.
    LoginFailureReason {
        WrongPassword = "WRONG_PASSWORD",
        WrongTwoFactorCode = "WRONG_TWO_FACTOR_CODE",
        WrongAccount = "WRONG_ACCOUNT",
        /// The worker died between asking and recording; not tried again by itself.
        Interrupted = "INTERRUPTED",
        GatewayUnavailable = "GATEWAY_UNAVAILABLE",
        SlowDown = "SLOW_DOWN",
        /// The stored password could not be unsealed.
        SecretUnavailable = "SECRET_UNAVAILABLE",
        Other = "OTHER",
    }
);

named!(
    /// How an action in doubt was settled.
    Settlement {
        Performed = "PERFORMED",
        NotPerformed = "NOT_PERFORMED",
    }
);
