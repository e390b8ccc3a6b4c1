-- What people see. Every row is a fold of the log and may be built again from it; every instant is
-- the engine's, taken from the events. A rebuild makes each table LIKE the live one, so constraints
-- and indexes have the names that PostgreSQL itself gives, and there are no foreign keys.

CREATE TABLE users (
    user_id              uuid        NOT NULL,
    username             text        NOT NULL,
    role                 text        NOT NULL,
    active               boolean     NOT NULL,
    must_change_password boolean     NOT NULL,
    credential_id        uuid        NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL,
    CONSTRAINT users_pkey PRIMARY KEY (user_id),
    CONSTRAINT users_username_key UNIQUE (username)
);

-- One a user.
CREATE TABLE instagram_accounts (
    account_id         uuid        NOT NULL,
    user_id            uuid        NOT NULL,
    username           text        NOT NULL,
    zone               text        NOT NULL,
    platform_pk        text,
    password_secret_id uuid        NOT NULL,
    session_secret_id  uuid,
    session_key_id     text,
    session_expires_at timestamptz,
    linked_at          timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    CONSTRAINT instagram_accounts_pkey PRIMARY KEY (account_id),
    CONSTRAINT instagram_accounts_user_id_key UNIQUE (user_id)
);

CREATE TABLE bot_status (
    bot_id                 uuid        NOT NULL,
    state                  text        NOT NULL,
    -- Why the bot is where it is, when there is more to say than the state.
    reason                 text,
    -- What is switched on.
    mode                   text,
    enablement_id          uuid,
    enabled_at             timestamptz,
    -- Step 1 of 2, waiting for the second.
    authorized_plan_hash   text,
    authorized_mode        text,
    authorized_at          timestamptz,
    -- The login and its session.
    login_attempt          integer     NOT NULL,
    login_failures         integer     NOT NULL,
    login_failure          text,
    retry_not_before       timestamptz,
    two_factor_pending     boolean     NOT NULL,
    challenge_kind         text,
    session_expires_at     timestamptz,
    connection_verified_at timestamptz,
    connection_failure     text,
    -- What the platform asked for.
    slow_down_step         integer,
    slow_down_until        timestamptz,
    slow_down_code         text,
    -- By kind of action: until when it is blocked; why its module stopped.
    kind_blocks            jsonb       NOT NULL,
    stopped_modules        jsonb       NOT NULL,
    -- As the person chose them; none, unless they were changed.
    limits                 jsonb,
    effective_limits       jsonb,
    limits_raise_at        timestamptz,
    last_sequence          bigint      NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    CONSTRAINT bot_status_pkey PRIMARY KEY (bot_id)
)
WITH (fillfactor = 70);

CREATE INDEX bot_status_state_bot_id_idx ON bot_status (state, bot_id);

CREATE TABLE bot_counters (
    bot_id     uuid        NOT NULL,
    -- The account's day.
    local_day  date        NOT NULL,
    kind       text        NOT NULL,
    mode       text        NOT NULL,
    reserved   integer     NOT NULL DEFAULT 0,
    performed  integer     NOT NULL DEFAULT 0,
    simulated  integer     NOT NULL DEFAULT 0,
    refused    integer     NOT NULL DEFAULT 0,
    failed     integer     NOT NULL DEFAULT 0,
    in_doubt   integer     NOT NULL DEFAULT 0,
    suppressed integer     NOT NULL DEFAULT 0,
    open       integer     NOT NULL
               GENERATED ALWAYS AS (reserved - performed - simulated - refused - failed - in_doubt) STORED,
    updated_at timestamptz NOT NULL,
    CONSTRAINT bot_counters_pkey PRIMARY KEY (bot_id, local_day, kind, mode),
    CONSTRAINT bot_counters_open_check CHECK (open >= 0),
    CONSTRAINT bot_counters_in_doubt_check CHECK (in_doubt >= 0)
)
WITH (fillfactor = 70);

-- The mode of each action that is open or in doubt: outcomes do not repeat it.
CREATE TABLE bot_counters_open (
    bot_id    uuid NOT NULL,
    action_id uuid NOT NULL,
    mode      text NOT NULL,
    CONSTRAINT bot_counters_open_pkey PRIMARY KEY (bot_id, action_id)
);

CREATE TABLE campaigns (
    campaign_id uuid        NOT NULL,
    bot_id      uuid        NOT NULL,
    name        text        NOT NULL,
    module      text        NOT NULL,
    source      jsonb       NOT NULL,
    max_targets integer     NOT NULL,
    revision    integer     NOT NULL,
    archived    boolean     NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT campaigns_pkey PRIMARY KEY (campaign_id)
);

CREATE INDEX campaigns_bot_id_campaign_id_idx ON campaigns (bot_id, campaign_id);

CREATE TABLE campaign_runs (
    run_id         uuid        NOT NULL,
    bot_id         uuid        NOT NULL,
    campaign_id    uuid        NOT NULL,
    enablement_id  uuid        NOT NULL,
    mode           text        NOT NULL,
    targets        integer,
    started_at     timestamptz,
    finished_at    timestamptz,
    -- Why it ended early.
    stopped_by     text,
    -- Of the first event, for the order of lists.
    first_position bigint      NOT NULL,
    updated_at     timestamptz NOT NULL,
    CONSTRAINT campaign_runs_pkey PRIMARY KEY (run_id)
);

CREATE INDEX campaign_runs_bot_id_first_position_idx ON campaign_runs (bot_id, first_position);

CREATE TABLE actions (
    action_id        uuid        NOT NULL,
    bot_id           uuid        NOT NULL,
    run_id           uuid        NOT NULL,
    campaign_id      uuid        NOT NULL,
    kind             text        NOT NULL,
    target           text        NOT NULL,
    mode             text        NOT NULL,
    status           text        NOT NULL,
    local_day        date        NOT NULL,
    -- Gateway calls that it was reserved with.
    requests         integer,
    -- Why it was refused, failed or is in doubt; how its outcome is known.
    class            text,
    code             text,
    evidence         text,
    -- The last time that it had to wait.
    suppressions     integer     NOT NULL,
    suppressed_at    timestamptz,
    suppress_reason  text,
    suppress_counter text,
    suppress_window  text,
    frees_at         timestamptz,
    reserved_at      timestamptz,
    settled_at       timestamptz,
    -- Of the first event, for the order of lists.
    first_position   bigint      NOT NULL,
    updated_at       timestamptz NOT NULL,
    CONSTRAINT actions_pkey PRIMARY KEY (action_id)
)
WITH (fillfactor = 70);

CREATE INDEX actions_bot_id_first_position_idx ON actions (bot_id, first_position);
CREATE INDEX actions_run_id_status_idx ON actions (run_id, status);
CREATE INDEX actions_bot_id_status_first_position_idx ON actions (bot_id, status, first_position);

CREATE TABLE audit_trail (
    shard          integer     NOT NULL,
    position       bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    recorded_at    timestamptz NOT NULL,
    actor          text        NOT NULL,
    -- Whose bot and whose login it is about; the same UUID, but a user may have no bot.
    bot_id         uuid,
    user_id        uuid        NOT NULL,
    event_type     text        NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    sequence       bigint      NOT NULL,
    correlation_id uuid        NOT NULL,
    causation_id   uuid        NOT NULL,
    request_id     uuid        NOT NULL,
    -- For people; without secrets.
    summary        text        NOT NULL,
    payload        jsonb       NOT NULL,
    CONSTRAINT audit_trail_pkey PRIMARY KEY (position, shard)
);

CREATE INDEX audit_trail_user_id_position_idx ON audit_trail (user_id, position);
CREATE INDEX audit_trail_actor_position_idx ON audit_trail (actor, position);
CREATE INDEX audit_trail_correlation_id_position_idx ON audit_trail (correlation_id, position);
CREATE INDEX audit_trail_event_type_position_idx ON audit_trail (event_type, position);

-- Whose campaign it is: only its first event says so.
CREATE TABLE audit_trail_campaigns (
    campaign_id uuid NOT NULL,
    bot_id      uuid NOT NULL,
    CONSTRAINT audit_trail_campaigns_pkey PRIMARY KEY (campaign_id)
);
