-- A lane that keeps killing its holders, or that cannot be read, rests until then.
ALTER TABLE lane ADD COLUMN parked_until timestamptz;
CREATE INDEX lane_parked ON lane (parked_until) WHERE parked_until IS NOT NULL;

-- Replicas that live, to share what is limited for all of them together. Heartbeats need not survive a crash of the server.
CREATE UNLOGGED TABLE replica (
    id      uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 50);
