-- First answers of mutations, by the key that the client chose. Hashes of inputs and answers are sealed: both may
-- tell of passwords. Times are this server's clock.
CREATE TABLE idempotency_keys (
    user_id         uuid        NOT NULL,
    key             text        NOT NULL,
    -- Of the command. Kept here, so that it is the same after a crash; fresh, so that a key may be used again
    -- when its row is gone.
    request_id      uuid        NOT NULL,
    fingerprint     bytea       NOT NULL,
    fingerprint_key text        NOT NULL,
    answer          bytea,
    answer_key      text,
    -- Who executes it now, and until when others wait for that.
    attempt         uuid        NOT NULL,
    busy_until      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_request_id_key UNIQUE (request_id),
    CONSTRAINT idempotency_keys_key_check CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_answer_check CHECK ((answer IS NULL) = (answer_key IS NULL))
);

CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at);
