-- What people trusted to us, sealed; never in an event.
CREATE TABLE account_secrets (
    secret_id  uuid        NOT NULL,
    user_id    uuid        NOT NULL,
    purpose    text        NOT NULL,
    -- Which key of the keyring sealed it.
    key_id     text,
    sealed     bytea,
    -- This server's clock.
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at  timestamptz,
    CONSTRAINT account_secrets_pkey PRIMARY KEY (secret_id),
    CONSTRAINT account_secrets_purpose_check CHECK (purpose IN ('PASSWORD', 'SESSION', 'VERIFICATION_CODE')),
    -- An erased one keeps its row, so that its id is never used again, and nothing else.
    CONSTRAINT account_secrets_erased_check
        CHECK (num_nulls(key_id, sealed) = CASE WHEN erased_at IS NULL THEN 0 ELSE 2 END)
);

CREATE INDEX account_secrets_user_idx
    ON account_secrets (user_id)
 WHERE erased_at IS NULL;

CREATE INDEX account_secrets_key_idx
    ON account_secrets (key_id)
 WHERE erased_at IS NULL;

-- Password hashes of people's logins. An event names its hash by id.
CREATE TABLE user_credentials (
    credential_id uuid        NOT NULL,
    user_id       uuid        NOT NULL,
    password_hash text        NOT NULL,
    -- This server's clock.
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT user_credentials_pkey PRIMARY KEY (credential_id)
);

CREATE INDEX user_credentials_user_idx
    ON user_credentials (user_id);
