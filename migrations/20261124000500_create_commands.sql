-- The durable command stream that workers consume.
CREATE TABLE commands (
    command_id       uuid        NOT NULL,
    bot_id           uuid        NOT NULL,
    -- The virtual partition of bot_id.
    partition        integer     NOT NULL,
    kind             text        NOT NULL,
    payload          json        NOT NULL,
    -- A second command with the same key is the first one.
    dedupe_key       text,
    -- What can be cancelled together, such as a run.
    group_key        uuid,
    -- The lower, the sooner.
    priority         smallint    NOT NULL,
    -- The engine's clock, which can be far from this server's.
    not_before       timestamptz NOT NULL,
    status           text        NOT NULL DEFAULT 'PENDING',
    -- Failures that count, so far.
    attempt          integer     NOT NULL DEFAULT 0,
    max_attempts     integer     NOT NULL,
    -- How often it was claimed; tells one claim of a writer from the next.
    claims           bigint      NOT NULL DEFAULT 0,
    -- How often its owner was lost while it ran.
    recoveries       integer     NOT NULL DEFAULT 0,
    claimed_by       uuid,
    claim_epoch      bigint,
    -- It was cancelled while it ran: it must not run again.
    cancel_requested boolean     NOT NULL DEFAULT false,
    -- Why it is where it is: the last failure, snooze, hold or cancellation.
    reason_code      text,
    reason           text,
    result           json,
    correlation_id   uuid        NOT NULL,
    causation_id     uuid        NOT NULL,
    actor            text        NOT NULL,
    -- This server's clock, for people.
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_at       timestamptz,
    settled_at       timestamptz,
    CONSTRAINT commands_pkey PRIMARY KEY (command_id),
    CONSTRAINT commands_status_check
        CHECK (status IN ('PENDING', 'RUNNING', 'HELD', 'DONE', 'DEAD', 'CANCELLED')),
    CONSTRAINT commands_claim_check
        CHECK (status <> 'RUNNING' OR claimed_by IS NOT NULL AND claim_epoch IS NOT NULL),
    CONSTRAINT commands_partition_check CHECK (partition BETWEEN 0 AND 63),
    CONSTRAINT commands_max_attempts_check CHECK (max_attempts > 0)
)
-- Rows change a few times each and the due ones are read all the time: keep dead rows few.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE UNIQUE INDEX commands_dedupe_key
    ON commands (dedupe_key)
 WHERE dedupe_key IS NOT NULL;

-- What the claim walks: equal priority and partition, then in the order of the claim.
CREATE INDEX commands_pending_idx
    ON commands (priority, partition, not_before, command_id)
 WHERE status = 'PENDING';

-- Never two of one bot at a time.
CREATE UNIQUE INDEX commands_running_bot_key
    ON commands (bot_id)
 WHERE status = 'RUNNING';

CREATE INDEX commands_open_bot_idx
    ON commands (bot_id)
 WHERE status IN ('PENDING', 'RUNNING', 'HELD');

CREATE INDEX commands_open_group_idx
    ON commands (group_key)
 WHERE status IN ('PENDING', 'RUNNING', 'HELD') AND group_key IS NOT NULL;

CREATE INDEX commands_dead_idx
    ON commands (settled_at)
 WHERE status = 'DEAD';
