-- The event log. The first seven columns are postgres-es's, same names and types,
-- so that postgres-es reads this table as it is.
CREATE TABLE events (
    aggregate_type text        NOT NULL,
    aggregate_id   text        NOT NULL,
    sequence       bigint      NOT NULL,
    event_type     text        NOT NULL,
    event_version  text        NOT NULL,
    payload        json        NOT NULL,
    metadata       json        NOT NULL,
    shard          integer     NOT NULL,
    -- Gapless within the shard, in commit order.
    position       bigint      NOT NULL,
    -- Derived from the request id and the event's index in the request.
    event_id       uuid        NOT NULL,
    -- The engine's clock, as in the metadata.
    recorded_at    timestamptz NOT NULL,
    CONSTRAINT events_pkey PRIMARY KEY (aggregate_type, aggregate_id, sequence),
    CONSTRAINT events_position_key UNIQUE (shard, position),
    CONSTRAINT events_event_id_key UNIQUE (event_id),
    CONSTRAINT events_sequence_check CHECK (sequence >= 0),
    CONSTRAINT events_position_check CHECK (position > 0)
);

-- The head of each shard: where the next batch goes, and the hash that it continues.
CREATE TABLE shards (
    shard      integer NOT NULL,
    head       bigint  NOT NULL,
    chain_hash bytea   NOT NULL,
    CONSTRAINT shards_pkey PRIMARY KEY (shard),
    CONSTRAINT shards_head_check CHECK (head >= 0),
    CONSTRAINT shards_chain_hash_check CHECK (octet_length(chain_hash) = 32)
)
WITH (fillfactor = 10);

-- The chain of an empty shard starts at 32 zero bytes.
INSERT INTO shards (shard, head, chain_hash)
VALUES (0, 0, decode(repeat('00', 32), 'hex'));

-- One row for each committed batch: what the stored bytes must hash to.
CREATE TABLE batches (
    shard          integer NOT NULL,
    first_position bigint  NOT NULL,
    last_position  bigint  NOT NULL,
    merkle_root    bytea   NOT NULL,
    chain_hash     bytea   NOT NULL,
    writer_id      uuid    NOT NULL,
    epoch          bigint  NOT NULL,
    CONSTRAINT batches_pkey PRIMARY KEY (shard, first_position),
    CONSTRAINT batches_positions_check CHECK (last_position >= first_position)
);
