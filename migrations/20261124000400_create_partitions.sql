-- Who works on which bots: one row for each virtual partition of the bot id.
CREATE TABLE partitions (
    partition integer     NOT NULL,
    -- Both NULL: nobody's.
    writer_id uuid,
    -- The first epoch of the unbroken run of leases under which the owner took it.
    epoch     bigint,
    -- This server's clock.
    taken_at  timestamptz,
    CONSTRAINT partitions_pkey PRIMARY KEY (partition),
    CONSTRAINT partitions_partition_check CHECK (partition BETWEEN 0 AND 63),
    CONSTRAINT partitions_owner_check CHECK (num_nulls(writer_id, epoch, taken_at) IN (0, 3))
)
WITH (fillfactor = 50);

INSERT INTO partitions (partition)
SELECT generate_series(0, 63);

-- The writers that want a share of the partitions. Who is not a live writer does not count.
CREATE TABLE partition_members (
    writer_id uuid NOT NULL,
    CONSTRAINT partition_members_pkey PRIMARY KEY (writer_id)
);
