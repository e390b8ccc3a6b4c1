//! What must never be seen: the session, its export, and a login. Each hides itself in `Debug`
//! and wipes its memory when dropped. None of them can be serialised.

use std::fmt;

use zeroize::Zeroizing;

/// Names a login at the gateway; whoever holds it can act as the account.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId(Zeroizing<String>);

impl SessionId {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: for the request header and for sealing, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The exported session, opaque to us: device identity and login in one text of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionBlob(Zeroizing<String>);

impl SessionBlob {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// From the vault's opened bytes; `None` when they are no text.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(Self::new)
    }

    /// The text itself: for the import and for sealing, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What a person typed to log an account in.
#[derive(Clone)]
pub struct LoginCredentials {
    username: Zeroizing<String>,
    password: Zeroizing<String>,
    verification_code: Option<Zeroizing<String>>,
    locale: Option<String>,
    timezone_offset_s: Option<i32>,
}

impl LoginCredentials {
    #[must_use]
    pub fn new(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            username: Zeroizing::new(username.into()),
            password: Zeroizing::new(password.into()),
            verification_code: None,
            locale: None,
            timezone_offset_s: None,
        }
    }

    /// Adds the two-factor code of this one attempt.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.verification_code = Some(Zeroizing::new(code.into()));
        self
    }

    /// Adds where the person is, such as `en_US` and the offset of the zone in seconds.
    #[must_use]
    pub fn with_place(mut self, locale: Option<String>, timezone_offset_s: Option<i32>) -> Self {
        self.locale = locale;
        self.timezone_offset_s = timezone_offset_s;
        self
    }

    pub(super) fn username(&self) -> &str {
        &self.username
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn verification_code(&self) -> Option<&str> {
        self.verification_code.as_deref().map(String::as_str)
    }

    pub(super) fn locale(&self) -> Option<&str> {
        self.locale.as_deref()
    }

    pub(super) fn timezone_offset_s(&self) -> Option<i32> {
        self.timezone_offset_s
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(hidden)")
    }
}

impl fmt::Debug for SessionBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionBlob(hidden)")
    }
}

impl fmt::Debug for LoginCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginCredentials(hidden)")
    }
}
