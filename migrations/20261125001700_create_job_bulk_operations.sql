-- What was asked of many jobs at once, and what became of each. Like commands, these rows are no fold of the log: the
-- changes themselves are events of the jobs.
CREATE TABLE job_bulk_operations (
    operation_id   uuid        NOT NULL,
    bot_id         uuid        NOT NULL,
    change         text        NOT NULL,
    reason         text        NOT NULL,
    actor          text        NOT NULL,
    correlation_id uuid        NOT NULL,
    total          integer     NOT NULL,
    -- The engine's clock.
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    CONSTRAINT job_bulk_operations_pkey PRIMARY KEY (operation_id)
);

CREATE INDEX job_bulk_operations_bot_id_operation_id_idx ON job_bulk_operations (bot_id, operation_id);

CREATE TABLE job_bulk_results (
    operation_id uuid        NOT NULL,
    number       integer     NOT NULL,
    job_id       uuid        NOT NULL,
    status       text        NOT NULL,
    -- Why it was refused.
    code         text,
    message      text,
    -- The engine's clock.
    at           timestamptz,
    CONSTRAINT job_bulk_results_pkey PRIMARY KEY (operation_id, number),
    CONSTRAINT job_bulk_results_status_check CHECK (status IN ('PENDING', 'DONE', 'REFUSED'))
);
