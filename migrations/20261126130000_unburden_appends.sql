-- Every append inserts into or updates these tables, and PostgreSQL reads the source of each check constraint again in
-- every execution of such a statement: about a tenth of a small append's time. What the constraints said is what the
-- append itself computes from the head that it has locked, and what `audit verify` checks.
ALTER TABLE events
    DROP CONSTRAINT events_sequence_check,
    DROP CONSTRAINT events_position_check;

ALTER TABLE shards
    DROP CONSTRAINT shards_head_check,
    DROP CONSTRAINT shards_chain_hash_check;

ALTER TABLE batches
    DROP CONSTRAINT batches_positions_check;
