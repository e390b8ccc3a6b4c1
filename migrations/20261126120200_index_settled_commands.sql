-- What is forgotten in time.
CREATE INDEX commands_settled_idx
    ON commands (settled_at)
 WHERE status IN ('DONE', 'CANCELLED');
