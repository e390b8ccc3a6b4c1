-- The settings are a fold of the log from now on, and a row is there once somebody has changed something. What was set
-- without an event is to be set again.
DELETE FROM engine_settings;

-- A change of the engine is about nobody's bot and nobody's login.
ALTER TABLE audit_trail ALTER COLUMN user_id DROP NOT NULL;
