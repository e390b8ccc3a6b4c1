-- Whom a bot has met: the person that an action is about is its target, or the owner in the target of a post or story.
CREATE INDEX actions_bot_id_split_part_idx
    ON actions (bot_id,
                (CASE WHEN kind IN ('FOLLOW', 'UNFOLLOW', 'DM') THEN target ELSE split_part(target, '_', 2) END))
 WHERE mode = 'LIVE';
