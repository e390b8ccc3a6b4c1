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

/// Gives an error `code()` and `CODES`: a stable code for each variant.
macro_rules! codes {
    ($enum:ident { $($variant:ident = $code:literal),+ $(,)? }) => {
        impl $enum {
            /// Every code; each has a page in `docs/errors`.
            pub const CODES: &'static [&'static str] = &[$($code),+];

            /// A stable code.
            #[must_use]
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code),+
                }
            }
        }
    };
}
pub(crate) use codes;
