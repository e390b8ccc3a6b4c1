//! Names and codes of enums, written once, so that no list of them can miss a variant.

/// Gives an enum `name()` and `NAMES`: its variants' own names, in order.
macro_rules! variants {
    ($enum:ident, $name_doc:literal, [$($variant:ident),+ $(,)?]) => {
        impl $enum {
            /// Every name, in order.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),+];

            #[doc = $name_doc]
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => stringify!($variant)),+
                }
            }
        }
    };
}
pub(crate) use variants;

/// Gives an error `code()` and `CODES`: a stable code for each variant, or that of the error that a variant holds.
macro_rules! codes {
    ($enum:ident { $($variant:ident = $code:literal),+ $(,)? } $(and of { $($other:ident),+ })?) => {
        impl $enum {
            /// Every code of its own; each has a page in `docs/errors`.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// A stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)+
                    $($(Self::$other(inner) => inner.code(),)+)?
                }
            }
        }
    };
}
pub(crate) use codes;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::any_event::DecodeError;
    use crate::bot::BotError;
    use crate::campaign::CampaignError;
    use crate::campaign::schedule::ScheduleError;
    use crate::campaign::template::{RenderError, TemplateError};
    use crate::engine::EngineError;
    use crate::metadata::MetadataError;
    use crate::user::UserError;

    #[test]
    fn codes_are_unique_and_say_whose_they_are() {
        let all = [
            ("BOT_", BotError::CODES),
            ("CAMPAIGN_", CampaignError::CODES),
            ("TEMPLATE_", TemplateError::CODES),
            ("TEMPLATE_RENDERS_", RenderError::CODES),
            ("SCHEDULE_", ScheduleError::CODES),
            ("USER_", UserError::CODES),
            ("EVENT_", DecodeError::CODES),
            ("METADATA_", MetadataError::CODES),
            ("ENGINE_", EngineError::CODES),
        ];
        let mut seen = BTreeSet::new();
        for (prefix, codes) in all {
            for code in codes {
                assert!(code.starts_with(prefix), "{code}");
                assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
                assert!(seen.insert(*code), "{code} is used twice");
            }
        }
    }

    #[test]
    fn a_variant_answers_its_own_code_which_is_in_the_list() {
        let error = BotError::NoAccount;
        assert_eq!(error.code(), "BOT_NO_ACCOUNT");
        assert!(BotError::CODES.contains(&error.code()));
    }
}
