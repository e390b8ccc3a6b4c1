-- What people see of jobs, and what a process that takes over a partition has to know of them.
CREATE TABLE jobs (
    job_id              uuid        NOT NULL,
    bot_id              uuid        NOT NULL,
    partition           integer     NOT NULL,
    workflow            text        NOT NULL,
    -- Why it is there: CAMPAIGN, PERSON, PARENT, CONTINUED or FORKED, and by which other job.
    origin_kind         text        NOT NULL,
    origin_job_id       uuid,
    origin_index        integer,
    campaign_id         uuid,
    due_at              timestamptz,
    -- The job that goes on in its place.
    next_job_id         uuid,
    state               text        NOT NULL,
    -- Why a person paused, cancelled, ended or reset it.
    reason              text,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    ended_at            timestamptz,
    updated_at          timestamptz NOT NULL,
    -- When something is to be done next; none while it waits for others, is paused or over.
    wake_at             timestamptz,
    -- Whether its code can go on now, as far as the history tells.
    runnable            boolean     NOT NULL,
    waiting_for         text,
    step_index          integer,
    step_name           text,
    attempts            integer     NOT NULL,
    -- A step failed and is tried again.
    retrying            boolean     NOT NULL,
    failure_code        text,
    failure_message     text,
    failure_at          timestamptz,
    end_code            text,
    end_message         text,
    result              jsonb,
    divergence_index    integer,
    divergence_recorded  text,
    divergence_attempted text,
    last_actor          text        NOT NULL,
    last_sequence       bigint      NOT NULL,
    -- Of the first event, for the order of lists.
    first_position      bigint      NOT NULL,
    -- What of the journal is open, for the fold alone.
    journal             jsonb       NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (job_id)
)
WITH (fillfactor = 70);

CREATE INDEX jobs_first_position_idx ON jobs (first_position);
CREATE INDEX jobs_bot_id_first_position_idx ON jobs (bot_id, first_position);
CREATE INDEX jobs_campaign_id_first_position_idx
    ON jobs (campaign_id, first_position)
 WHERE campaign_id IS NOT NULL;
CREATE INDEX jobs_origin_job_id_idx
    ON jobs (origin_job_id)
 WHERE origin_job_id IS NOT NULL;
-- The few that are not done: most jobs have completed.
CREATE INDEX jobs_state_first_position_idx
    ON jobs (state, first_position)
 WHERE state <> 'COMPLETED';
CREATE INDEX jobs_partition_bot_id_idx
    ON jobs (partition, bot_id)
 WHERE state IN ('PENDING', 'RUNNING', 'PAUSED', 'CANCELLING');

-- Whose job an entry is about: only the first one of a job says so.
CREATE INDEX audit_trail_aggregate_id_idx
    ON audit_trail (aggregate_id)
 WHERE event_type = 'JobCreated';
