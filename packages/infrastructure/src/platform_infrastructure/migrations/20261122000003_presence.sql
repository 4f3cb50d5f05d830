-- migrate:up
CREATE TABLE presence_leases (
    node uuid CONSTRAINT presence_leases_pkey PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE TABLE presence (
    topic text NOT NULL,
    user_id text NOT NULL,
    node uuid NOT NULL CONSTRAINT presence_node_fkey
        REFERENCES presence_leases (node) ON DELETE CASCADE,
    CONSTRAINT presence_pkey PRIMARY KEY (topic, user_id, node)
);

CREATE INDEX presence_node_idx ON presence (node);

-- migrate:down
DROP TABLE presence;
DROP TABLE presence_leases;
