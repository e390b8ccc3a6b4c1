//! The enums of the schema: those of the domain and the read models, under their own names.

use async_graphql::Enum;

/// Mirrors enums of other crates; a variant that is missing here does not compile.
macro_rules! mirrored {
    ($($(#[$doc:meta])* $name:ident = $remote:tt { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Enum, Clone, Copy, PartialEq, Eq)]
            #[graphql(remote = $remote)]
            pub enum $name {
                $($(#[$variant_doc])* $variant),+
            }
        )+
    };
}

mirrored! {
    /// Where a bot stands. Automation acts in `RUNNING` alone.
    BotState = "domain::bot::BotState" {
        /// The user has no bot yet; initialize it.
        NotInitialized,
        /// No session. Link an account and log in.
        LoggedOut,
        /// A worker logs in now.
        LoggingIn,
        /// There is a session; nothing acts.
        LoggedIn,
        /// Automation acts.
        Running,
        /// Automation waits until it is resumed.
        Paused,
        /// Something needs a person; see the reason.
        Error,
    }

    /// Whether writes reach Instagram.
    Mode = "domain::bot::Mode" {
        /// Everything but the writes is done, and they are shown as simulated.
        DryRun,
        /// Writes reach Instagram.
        Live,
    }

    /// A kind of side effect on Instagram.
    ActionKind = "domain::bot::ActionKind" {
        /// Follows a person.
        Follow,
        /// Stops following a person.
        Unfollow,
        /// Likes a post.
        Like,
        /// Sees or likes a story.
        Story,
        /// Comments on a post.
        Comment,
        /// Sends a direct message.
        Dm,
    }

    /// What is counted against a limit.
    Counter = "domain::bot::Counter" {
        /// People followed.
        Follow,
        /// People no longer followed.
        Unfollow,
        /// Posts liked.
        Like,
        /// Stories seen or liked.
        Story,
        /// Comments.
        Comment,
        /// Direct messages.
        Dm,
        /// Calls of the gateway, of any kind.
        Request,
    }

    /// Over which time a limit counts; both windows roll.
    Window = "domain::bot::Window" {
        /// 60 minutes.
        Hour,
        /// 24 hours.
        Day,
    }

    /// Why an action has to wait.
    SuppressReason = "domain::bot::SuppressReason" {
        /// Instagram asked to slow down.
        SlowDown,
        /// Instagram blocked this kind of action.
        KindBlocked,
        /// This kind stopped after an answer that nobody understands; enabling automation again starts it.
        ModuleStopped,
        /// Outside the working hours.
        OutsideHours,
        /// Too soon after the last write.
        Pacing,
        /// The hour's limit is reached.
        HourLimit,
        /// The day's limit is reached.
        DayLimit,
        /// The limit of this kind is zero.
        LimitZero,
    }

    /// How an action in doubt was settled.
    Settlement = "domain::bot::Settlement" {
        /// It took effect.
        Performed,
        /// It had no effect.
        NotPerformed,
    }

    /// The class of a failure; what follows depends on it alone.
    FailureClass = "domain::bot::FailureClass" {
        /// A person has to settle it in Instagram's own app.
        PersonNeeded,
        /// The session ended; log in again.
        LoginEnded,
        /// This kind of action stops for a day or more.
        ActionBlocked,
        /// The account pauses, longer each time.
        SlowDown,
        /// This target is skipped.
        SkipTarget,
        /// No answer.
        Transport,
        /// The gateway lost the session.
        SessionLost,
        /// The gateway broke its contract.
        ContractBroken,
        /// An answer that nobody understands.
        Unknown,
    }

    /// What a campaign does to its targets.
    Module = "domain::campaign::Module" {
        /// Likes posts: those that the source gives, or the newest of the people that it gives.
        Like,
        /// Follows people: those that the source gives, or the authors of its posts.
        Follow,
        /// Stops following people whom it followed at least 14 days ago and who do not follow back.
        Unfollow,
        /// Looks at people's stories.
        StorySee,
        /// Likes people's stories.
        StoryLike,
        /// Comments on posts.
        Comment,
        /// Writes to people who follow the account or wrote to it.
        Dm,
    }

    /// Which posts of a hashtag or place.
    HashtagTab = "domain::campaign::HashtagTab" {
        /// Those that Instagram puts first.
        Top,
        /// The newest.
        Recent,
    }

    /// What becomes of a run that is due while another of its campaign is not over.
    Overlap = "domain::campaign::schedule::Overlap" {
        /// It is skipped.
        Skip,
        /// It starts when those before it are over.
        Queue,
        /// It starts, and those before it are cancelled.
        CancelPrevious,
    }

    /// Where a run stands that is not over.
    RunStage = "domain::campaign::Stage" {
        /// Behind another.
        Waiting,
        /// It may start, or runs.
        Released,
        /// It was asked to end.
        Cancelling,
    }

    /// What a user may see and do.
    Role = "domain::user::Role" {
        /// Their own bot.
        User,
        /// Also the users, their states, names and counters.
        Admin,
    }

    /// Where a job stands.
    JobState = "domain::job::JobState" {
        /// It is not there.
        NotCreated,
        /// It has not begun.
        Pending,
        /// It runs, sleeps or waits; see what it waits for.
        Running,
        /// A person paused it; its timers stand still.
        Paused,
        /// It was asked to end, and cleans up.
        Cancelling,
        /// Today's code does not fit its history; it stands still until a person acts.
        NeedsAttention,
        /// It is done.
        Completed,
        /// It ended with an error.
        Failed,
        /// It ended as it was asked to.
        Cancelled,
        /// It was ended at once, without cleaning up.
        Terminated,
        /// Another job goes on in its place.
        Continued,
    }

    /// What is asked of many jobs at once.
    JobChange = "domain::job::JobChange" {
        /// Stand still.
        Pause,
        /// Go on after a pause.
        Resume,
        /// End after cleaning up.
        Cancel,
        /// End at once.
        Terminate,
        /// Run again from the step that failed, or from where history and code part.
        Retry,
        /// Be more or less urgent among the jobs of the bot.
        Prioritize,
    }

    /// How urgent a job is among those of its bot. Of each level some jobs begin whatever is above it, and bots take
    /// turns, whatever the priorities of their jobs are.
    JobPriority = "domain::job::JobPriority" {
        /// It has time.
        Low,
        /// As jobs are that nobody asked for.
        Normal,
        /// As jobs are that a person asked for.
        High,
        /// Before all others of its bot.
        Urgent,
    }

    /// Why a job is there.
    JobOrigin = "projections::jobs::OriginKind" {
        /// A campaign was due.
        Campaign,
        /// A person asked.
        Person,
        /// Another job started it.
        Parent,
        /// It goes on where another stopped because its history was long.
        Continued,
        /// It repeats another up to a step and goes on differently.
        Forked,
    }

    /// Where an action stands.
    ActionStatus = "projections::actions::ActionStatus" {
        /// It has to wait and was never reserved.
        Suppressed,
        /// Reserved and not settled.
        Open,
        /// Instagram took it.
        Performed,
        /// A dry run showed what it would have done.
        Simulated,
        /// Instagram said no.
        Refused,
        /// It surely had no effect.
        Failed,
        /// Whether it had an effect is not known; settle it.
        InDoubt,
        /// It was in doubt, and it took effect.
        ReconciledPerformed,
        /// It was in doubt, and it had no effect.
        ReconciledNotPerformed,
    }
}
