-- Rows of the alias table that said something else before: what they said, who had said it, and what took its place. Retention
-- drops the old ones.
CREATE TABLE alias_change (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- its sequence counts all changes that there ever were
    changed_at  timestamptz NOT NULL DEFAULT now(),
    lane        bigint NOT NULL,         -- as it was then; it may have been merged since
    kind        smallint NOT NULL,       -- 0 order, else as in name
    alias_type  text COLLATE "C" NOT NULL,
    alias_id    text COLLATE "C" NOT NULL,
    old_bwp_id  text,                    -- null: it was removed
    old_origin  smallint NOT NULL,
    old_version bigint,
    old_said_at timestamptz NOT NULL,
    new_bwp_id  text,
    new_origin  smallint NOT NULL
);
CREATE INDEX alias_change_row ON alias_change (lane, kind, alias_type, alias_id);
CREATE INDEX alias_change_old ON alias_change USING brin (changed_at);
