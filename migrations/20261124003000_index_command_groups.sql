-- How far a run is, settled commands included.
CREATE INDEX commands_group_kind_idx
    ON commands (group_key, kind)
 WHERE group_key IS NOT NULL;
