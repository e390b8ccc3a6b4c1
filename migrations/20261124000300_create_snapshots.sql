-- Folded states, a cache: any row may be deleted at any time.
CREATE TABLE snapshots (
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    -- The state's shape number; a program reads only its own.
    shape          bigint      NOT NULL,
    last_sequence  bigint      NOT NULL,
    state          json        NOT NULL,
    taken_at       timestamptz NOT NULL,
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id, shape),
    CONSTRAINT snapshots_last_sequence_check CHECK (last_sequence > 0)
);
