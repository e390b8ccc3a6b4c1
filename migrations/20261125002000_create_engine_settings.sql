-- How much the engine does at a time, changed while it runs; every process follows it.
CREATE TABLE engine_settings (
    only_one   boolean     NOT NULL DEFAULT true,
    -- Grows with every change.
    revision   bigint      NOT NULL,
    settings   jsonb       NOT NULL,
    updated_at timestamptz NOT NULL,
    updated_by text        NOT NULL,
    CONSTRAINT engine_settings_pkey PRIMARY KEY (only_one),
    CONSTRAINT engine_settings_only_one CHECK (only_one)
);

INSERT INTO engine_settings (revision, settings, updated_at, updated_by)
VALUES (1, '{}', '-infinity', 'system:migration');
