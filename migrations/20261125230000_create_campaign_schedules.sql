-- When each campaign runs, what became of its last due times, and its runs that are not over.
CREATE TABLE campaign_schedules (
    campaign_id   uuid        NOT NULL,
    bot_id        uuid        NOT NULL,
    archived      boolean     NOT NULL,
    -- None while the campaign runs by automation being enabled.
    schedule      jsonb,
    decided_until timestamptz,
    -- Who paused it.
    paused_by     text,
    -- Due times, since the campaign was made.
    planned       bigint      NOT NULL DEFAULT 0,
    skipped       bigint      NOT NULL DEFAULT 0,
    missed        bigint      NOT NULL DEFAULT 0,
    -- The last decisions as their events, newest first.
    decisions     jsonb       NOT NULL DEFAULT '[]',
    -- By the ids of their jobs.
    open_runs     jsonb       NOT NULL DEFAULT '{}',
    -- Of the last event, for those who follow the changes.
    position      bigint      NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT campaign_schedules_pkey PRIMARY KEY (campaign_id)
)
WITH (fillfactor = 70);

CREATE INDEX campaign_schedules_bot_id_idx ON campaign_schedules (bot_id);
CREATE INDEX campaign_schedules_position_idx ON campaign_schedules (position);
CREATE INDEX campaign_schedules_campaign_id_idx ON campaign_schedules (campaign_id) WHERE open_runs <> '{}';

-- Which bots run: schedules of others start nothing.
CREATE TABLE campaign_schedules_bots (
    bot_id   uuid    NOT NULL,
    running  boolean NOT NULL,
    -- Of the event that turned it.
    position bigint  NOT NULL,
    CONSTRAINT campaign_schedules_bots_pkey PRIMARY KEY (bot_id)
);

CREATE INDEX campaign_schedules_bots_position_idx ON campaign_schedules_bots (position);

-- Which run of which campaign a job is; the reactor's own.
CREATE TABLE campaign_due_jobs (
    job_id      uuid        NOT NULL,
    bot_id      uuid        NOT NULL,
    campaign_id uuid        NOT NULL,
    due_at      timestamptz NOT NULL,
    CONSTRAINT campaign_due_jobs_pkey PRIMARY KEY (job_id)
);

-- The reactor begins where the log stands when it is installed.
INSERT INTO projection_checkpoints (projection, shard, version, position, moved_at)
SELECT 'reactor_campaign_due', shard, 1, head, clock_timestamp()
  FROM shards;
