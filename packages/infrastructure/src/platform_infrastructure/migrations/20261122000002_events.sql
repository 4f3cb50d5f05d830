-- migrate:up
CREATE TABLE event_heads (
    topic text CONSTRAINT event_heads_pkey PRIMARY KEY,
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    number bigint NOT NULL DEFAULT 0,
    used_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE event_log (
    topic text NOT NULL CONSTRAINT event_log_topic_fkey
        REFERENCES event_heads (topic) ON DELETE CASCADE,
    number bigint NOT NULL,
    data bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT event_log_pkey PRIMARY KEY (topic, number)
);

CREATE INDEX event_log_at_idx ON event_log (at);

CREATE TABLE event_outbox (
    number bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT event_outbox_pkey PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    topic text NOT NULL,
    data bytea NOT NULL
);

-- migrate:down
DROP TABLE event_outbox;
DROP TABLE event_log;
DROP TABLE event_heads;
