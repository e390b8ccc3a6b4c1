//! What every failure of the gateway means: one row for each `exc_type` that it can name and for
//! each failure that we see ourselves. This table decides; statuses and texts never do.

use domain::bot::FailureClass;

use super::error::Sent;

/// Writes the enum and its table from the same rows, so that neither can miss one.
macro_rules! failures {
    (
        named { $($named:ident = $named_code:literal, $named_class:ident, $named_sent:ident;)* }
        own { $($own:ident = $own_code:literal, $own_class:ident, $own_sent:ident;)* }
    ) => {
        /// Why a call failed, finer than its class. Codes are stored: add one, never rename one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum PlatformErrorKind {
            $($named,)*
            $($own,)*
        }

        impl PlatformErrorKind {
            /// Every kind that the gateway names, with the name.
            pub const NAMED: &'static [(&'static str, Self)] =
                &[$((stringify!($named), Self::$named),)*];

            /// Every kind that we tell by other means.
            pub const OWN: &'static [Self] = &[$(Self::$own,)*];

            /// Our stable code of the kind.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$named => $named_code,)*
                    $(Self::$own => $own_code,)*
                }
            }

            /// What a careful client does about it.
            #[must_use]
            pub fn class(self) -> FailureClass {
                match self {
                    $(Self::$named => FailureClass::$named_class,)*
                    $(Self::$own => FailureClass::$own_class,)*
                }
            }

            /// Whether a write that ended so may have taken effect.
            #[must_use]
            pub fn sent(self) -> Sent {
                match self {
                    $(Self::$named => Sent::$named_sent,)*
                    $(Self::$own => Sent::$own_sent,)*
                }
            }
        }
    };
}

failures! {
    named {
        ChallengeRequired = "CHALLENGE_REQUIRED", PersonNeeded, NotSent;
        ChallengeError = "CHALLENGE", PersonNeeded, NotSent;
        ChallengeRedirection = "CHALLENGE_REDIRECTION", PersonNeeded, NotSent;
        ChallengeSelfieCaptcha = "CHALLENGE_SELFIE", PersonNeeded, NotSent;
        ChallengeUnknownStep = "CHALLENGE_UNKNOWN_STEP", PersonNeeded, NotSent;
        RecaptchaChallengeForm = "CHALLENGE_RECAPTCHA", PersonNeeded, NotSent;
        SelectContactPointRecoveryForm = "CHALLENGE_CONTACT_POINT", PersonNeeded, NotSent;
        SubmitPhoneNumberForm = "CHALLENGE_PHONE_NUMBER", PersonNeeded, NotSent;
        LegacyForceSetNewPasswordForm = "CHALLENGE_NEW_PASSWORD", PersonNeeded, NotSent;
        CheckpointRequired = "CHECKPOINT_REQUIRED", PersonNeeded, NotSent;
        CaptchaChallengeRequired = "CAPTCHA_REQUIRED", PersonNeeded, NotSent;
        ConsentRequired = "CONSENT_REQUIRED", PersonNeeded, NotSent;
        GeoBlockRequired = "GEO_BLOCK", PersonNeeded, NotSent;
        AccountSuspended = "ACCOUNT_SUSPENDED", PersonNeeded, NotSent;
        TermsAccept = "TERMS_ACCEPT", PersonNeeded, NotSent;
        TermsUnblock = "TERMS_UNBLOCK", PersonNeeded, NotSent;
        AboutUsError = "ABOUT_US", PersonNeeded, NotSent;
        SentryBlock = "SENTRY_BLOCK", PersonNeeded, NotSent;
        ProxyAddressIsBlocked = "LOGIN_TURNED_DOWN", PersonNeeded, NotSent;

        LoginRequired = "LOGIN_REQUIRED", LoginEnded, NotSent;
        ClientLoginRequired = "CLIENT_LOGIN_REQUIRED", LoginEnded, NotSent;
        ClientUnauthorizedError = "UNAUTHORIZED", LoginEnded, NotSent;
        PreLoginRequired = "NO_LOGIN_IN_SESSION", LoginEnded, NotSent;
        BadPassword = "BAD_PASSWORD", LoginEnded, NotSent;
        BadCredentials = "BAD_CREDENTIALS", LoginEnded, NotSent;
        InvalidNonce = "INVALID_NONCE", LoginEnded, NotSent;
        ReloginAttemptExceeded = "RELOGIN_EXCEEDED", LoginEnded, NotSent;
        TwoFactorRequired = "TWO_FACTOR_REQUIRED", LoginEnded, NotSent;

        FeedbackRequired = "FEEDBACK_REQUIRED", ActionBlocked, NotSent;

        PleaseWaitFewMinutes = "PLEASE_WAIT", SlowDown, NotSent;
        RateLimitError = "RATE_LIMIT", SlowDown, NotSent;
        ClientThrottledError = "THROTTLED", SlowDown, NotSent;

        UserNotFound = "USER_NOT_FOUND", SkipTarget, NotSent;
        MediaNotFound = "MEDIA_NOT_FOUND", SkipTarget, NotSent;
        MediaUnavailable = "MEDIA_UNAVAILABLE", SkipTarget, NotSent;
        InvalidMediaId = "INVALID_MEDIA_ID", SkipTarget, NotSent;
        InvalidTargetUser = "INVALID_TARGET_USER", SkipTarget, NotSent;
        PrivateAccount = "PRIVATE_ACCOUNT", SkipTarget, NotSent;
        CommentsDisabled = "COMMENTS_DISABLED", SkipTarget, NotSent;
        CommentUnavailable = "COMMENT_UNAVAILABLE", SkipTarget, NotSent;
        StoryNotFound = "STORY_NOT_FOUND", SkipTarget, NotSent;
        HashtagNotFound = "HASHTAG_NOT_FOUND", SkipTarget, NotSent;
        LocationNotFound = "LOCATION_NOT_FOUND", SkipTarget, NotSent;
        HashtagPageWarning = "HASHTAG_PAGE_WARNING", SkipTarget, NotSent;
        IsRegulatedC18Error = "AGE_RESTRICTED", SkipTarget, NotSent;
        DirectThreadNotFound = "THREAD_NOT_FOUND", SkipTarget, NotSent;
        ClientNotFoundError = "TARGET_NOT_FOUND", SkipTarget, NotSent;

        ConnectProxyError = "PLATFORM_UNREACHABLE", Transport, MaybeSent;
        ClientConnectionError = "PLATFORM_CONNECTION", Transport, MaybeSent;
        ClientRequestTimeout = "PLATFORM_TIMEOUT", Transport, MaybeSent;
        ClientUnknownError = "PLATFORM_NO_ANSWER", Transport, MaybeSent;
        ClientIncompleteReadError = "PLATFORM_INCOMPLETE", Transport, MaybeSent;
        ClientJSONDecodeError = "PLATFORM_NOT_JSON", Transport, MaybeSent;

        ValidationError = "FIELD_INVALID", ContractBroken, MaybeSent;
        ResponseValidationError = "ANSWER_INVALID", ContractBroken, MaybeSent;
        KeyError = "FIELD_MISSING", ContractBroken, MaybeSent;
        AssertionError = "ASSERTION", ContractBroken, MaybeSent;
        TypeError = "TYPE", ContractBroken, MaybeSent;
        WrongCursorError = "WRONG_CURSOR", ContractBroken, MaybeSent;

        UnknownError = "UNKNOWN", Unknown, NotSent;
        ClientForbiddenError = "FORBIDDEN", Unknown, NotSent;
        ClientBadRequestError = "BAD_REQUEST", Unknown, NotSent;
        ClientStatusFail = "STATUS_FAIL", Unknown, MaybeSent;
        ClientErrorWithTitle = "ERROR_WITH_TITLE", Unknown, MaybeSent;
    }
    own {
        // The gateway runs, but has no such session.
        SessionLost = "SESSION_LOST", SessionLost, NotSent;
        // The friendship call hides what the platform said; a rate limit looks like a bug there.
        FriendshipHidden = "FRIENDSHIP_HIDDEN", SlowDown, NotSent;
        // A login with a two-factor code that ended in `UnknownError`: the code was wrong.
        CodeTurnedDown = "CODE_TURNED_DOWN", LoginEnded, NotSent;
        // No connection to the gateway.
        NotConnected = "GATEWAY_NOT_CONNECTED", Transport, NotSent;
        // The caller's deadline left no time to begin.
        DeadlinePassed = "DEADLINE_PASSED", Transport, NotSent;
        // The gateway did not answer in time.
        NoAnswer = "GATEWAY_NO_ANSWER", Transport, MaybeSent;
        // The connection ended before the whole answer was there.
        AnswerLost = "GATEWAY_ANSWER_LOST", Transport, MaybeSent;
        // A 5xx that is not in the gateway's own form.
        GatewayFailed = "GATEWAY_FAILED", Transport, MaybeSent;
        // 404, 405, 422, 401 without a name: the request was wrong, or the gateway is another.
        RequestRefused = "REQUEST_REFUSED", ContractBroken, NotSent;
        // We could not form the request.
        RequestInvalid = "REQUEST_INVALID", ContractBroken, NotSent;
        // A 200 that does not have the documented form, or a redirect.
        AnswerUnreadable = "ANSWER_UNREADABLE", ContractBroken, MaybeSent;
        AnswerTooLarge = "ANSWER_TOO_LARGE", ContractBroken, MaybeSent;
        // Not a gateway, or not one that we know.
        VersionUnknown = "VERSION_UNKNOWN", ContractBroken, NotSent;
        // The session's export would let the gateway skip the check of certificates.
        SessionUnsafe = "SESSION_UNSAFE", ContractBroken, NotSent;
        // The gateway's URL names an account, and the call has none.
        AccountMissing = "ACCOUNT_MISSING", ContractBroken, NotSent;
        // A name or a status that is in no table.
        Unlisted = "UNLISTED", Unknown, MaybeSent;
    }
}

impl PlatformErrorKind {
    /// The kind of a name of the gateway's; `Unlisted` for any other.
    #[must_use]
    pub fn named(exc_type: &str) -> Self {
        Self::NAMED.iter().find(|(name, _)| *name == exc_type).map_or(Self::Unlisted, |(_, kind)| *kind)
    }

    /// What to tell a person, in our own words. The gateway's text is never shown.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::TwoFactorRequired => "the account asks for a two-factor code",
            Self::CodeTurnedDown => "the two-factor code was turned down",
            Self::BadPassword | Self::BadCredentials => {
                "Instagram turned the password down; it says so too when it distrusts the device"
            }
            Self::ProxyAddressIsBlocked => {
                "Instagram turned the login down; check the user name, then Instagram's own app"
            }
            Self::PrivateAccount => "the account is private",
            Self::CommentsDisabled => "comments are turned off there",
            Self::DeadlinePassed => "there was no time left for the call",
            Self::NotConnected => "the gateway cannot be reached",
            Self::VersionUnknown => "this gateway is not of a version that we know",
            Self::SessionUnsafe => "the stored session turns the check of certificates off",
            Self::AccountMissing => "the gateway's URL needs an account",
            Self::RequestRefused | Self::RequestInvalid => "the gateway does not take this request",
            kind => class_words(kind.class()),
        }
    }
}

fn class_words(class: FailureClass) -> &'static str {
    match class {
        FailureClass::PersonNeeded => "Instagram wants the account's owner to settle something in its own app",
        FailureClass::LoginEnded => "the login has ended; the owner has to log in again",
        FailureClass::ActionBlocked => "Instagram has blocked this kind of action for a while",
        FailureClass::SlowDown => "Instagram asks to slow down",
        FailureClass::SkipTarget => "the target is not there or cannot be acted on",
        FailureClass::Transport => "no usable answer came back",
        FailureClass::SessionLost => "the gateway has lost the session",
        FailureClass::ContractBroken => "the gateway does not keep its contract",
        FailureClass::Unknown => "Instagram refused without a reason that we know",
    }
}
