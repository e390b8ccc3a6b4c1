-- How urgent a job is among those of its bot. The projection builds the rows again.
ALTER TABLE jobs ADD COLUMN priority text NOT NULL DEFAULT 'NORMAL';

-- What a change of many jobs sets.
ALTER TABLE job_bulk_operations ADD COLUMN priority text;
