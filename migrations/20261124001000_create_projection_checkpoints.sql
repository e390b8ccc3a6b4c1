-- How far each projection has read the log. A row moves in the transaction that writes its projection's rows.
CREATE TABLE projection_checkpoints (
    projection text        NOT NULL,
    shard      integer     NOT NULL,
    -- The shape of the rows; a program that has another one rebuilds them or stands back.
    version    integer     NOT NULL,
    position   bigint      NOT NULL,
    -- This server's clock.
    moved_at   timestamptz NOT NULL,
    CONSTRAINT projection_checkpoints_pkey PRIMARY KEY (projection, shard),
    CONSTRAINT projection_checkpoints_position_check CHECK (position >= 0)
)
WITH (fillfactor = 50);

-- Events that a projection could not take, and all later ones of their streams, until somebody retries them.
CREATE TABLE projection_parked (
    projection     text        NOT NULL,
    shard          integer     NOT NULL,
    position       bigint      NOT NULL,
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    sequence       bigint      NOT NULL,
    event_type     text        NOT NULL,
    code           text        NOT NULL,
    reason         text        NOT NULL,
    -- This server's clock.
    parked_at      timestamptz NOT NULL,
    CONSTRAINT projection_parked_pkey PRIMARY KEY (projection, shard, position)
);

CREATE INDEX projection_parked_stream_idx
    ON projection_parked (projection, shard, aggregate_type, aggregate_id, position);

-- Reactors begin where the log stands when they are installed: what happened before asks for no work.
INSERT INTO projection_checkpoints (projection, shard, version, position, moved_at)
SELECT reactor, shard, 1, head, clock_timestamp()
  FROM shards
 CROSS JOIN (VALUES ('reactor_accounts'), ('reactor_automation')) AS installed (reactor);
