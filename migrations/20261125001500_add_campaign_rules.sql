-- Whom campaigns leave alone and what they say. Campaigns of before let everybody through and say nothing.
ALTER TABLE campaigns
    ADD COLUMN filters    jsonb  NOT NULL DEFAULT '{}',
    ADD COLUMN text       text,
    ADD COLUMN stop_words text[] NOT NULL DEFAULT '{}';
