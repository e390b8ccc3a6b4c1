//! What the mutations of a bot take and give.

/// Payloads with the bot as it is after the mutation.
macro_rules! bot_payloads {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(async_graphql::SimpleObject)]
            pub struct $name {
                /// The bot as it is now.
                bot: $crate::graphql::bot::Bot,
                /// Why it was refused; empty when it was done.
                user_errors: Vec<$crate::graphql::error::UserError>,
            }

            impl From<$crate::graphql::ask::BotAnswer> for $name {
                fn from(answer: $crate::graphql::ask::BotAnswer) -> Self {
                    Self { bot: answer.bot, user_errors: answer.user_errors }
                }
            }
        )+
    };
}
pub(super) use bot_payloads;

/// Inputs that say nothing but when they are a repetition.
macro_rules! plain_inputs {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, async_graphql::InputObject)]
            pub struct $name {
                /// Repeated with the same key and input, the mutation is not done again but answered as the first time.
                pub idempotency_key: Option<String>,
            }
        )+
    };
}
pub(super) use plain_inputs;
