-- What operators stopped, on all replicas: since when, who, and why.

-- While a target is paused its breaker's time does not count beside the pause's: the pause takes the clock of `open_for` over from
-- an open breaker, and hands it back.
ALTER TABLE target
    ADD COLUMN paused_since timestamptz,
    ADD COLUMN paused_by    text,
    ADD COLUMN paused_why   text;

-- Topics that are not read. A row for each.
CREATE TABLE paused_topic (
    name  text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    who   text NOT NULL,
    why   text
);
