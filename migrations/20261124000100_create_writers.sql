-- One row for each process that appends events. Times are this server's clock.
CREATE SEQUENCE writer_epochs AS bigint;

CREATE TABLE writers (
    writer_id     uuid        NOT NULL,
    -- From writer_epochs: no two registrations of any writer share one.
    epoch         bigint      NOT NULL,
    lease_until   timestamptz NOT NULL,
    -- Host and process, for people.
    name          text        NOT NULL,
    registered_at timestamptz NOT NULL,
    CONSTRAINT writers_pkey PRIMARY KEY (writer_id),
    CONSTRAINT writers_epoch_key UNIQUE (epoch)
)
WITH (fillfactor = 50);
