-- The few actions that are reserved and not settled; one a bot at the most.
CREATE INDEX actions_bot_id_idx
    ON actions (bot_id)
 WHERE status = 'OPEN';
