-- Sessions of signed-in people. Times are this server's clock.
CREATE TABLE web_sessions (
    session_id           uuid        NOT NULL,
    -- SHA-256 of the token, which is kept nowhere.
    token_hash           bytea       NOT NULL,
    user_id              uuid        NOT NULL,
    role                 text        NOT NULL,
    must_change_password boolean     NOT NULL,
    created_at           timestamptz NOT NULL,
    last_seen_at         timestamptz NOT NULL,
    -- The absolute end; the idle end follows from last_seen_at.
    expires_at           timestamptz NOT NULL,
    CONSTRAINT web_sessions_pkey PRIMARY KEY (session_id),
    CONSTRAINT web_sessions_token_hash_key UNIQUE (token_hash),
    CONSTRAINT web_sessions_token_hash_check CHECK (octet_length(token_hash) = 32)
);

CREATE INDEX web_sessions_user_id_idx ON web_sessions (user_id);

-- Names that only one user may have; claimed before the command that needs them.
CREATE TABLE identity_claims (
    kind       text        NOT NULL,
    value      text        NOT NULL,
    owner      uuid        NOT NULL,
    claimed_at timestamptz NOT NULL,
    CONSTRAINT identity_claims_pkey PRIMARY KEY (kind, value),
    CONSTRAINT identity_claims_kind_check CHECK (kind IN ('USERNAME', 'INSTAGRAM_ACCOUNT', 'FIRST_ADMIN'))
);
