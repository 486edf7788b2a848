-- What a large shop needs: names found by their id alone, what a row replaced by its name, and waking that does not push itself in
-- front of everything else.

CREATE INDEX order_name_id ON order_name (id);
CREATE INDEX name_id ON name (id);
CREATE INDEX alias_change_name ON alias_change (alias_id, alias_type, kind);

-- Lanes whose waiting events a name has woken. Only some of a target's are due at once; the others follow as soon as these have been
-- taken up, so that a hundred thousand of them do not stand in front of what has just arrived. A row goes when its lane has been.
CREATE TABLE waking (
    lane   bigint PRIMARY KEY,
    target text NOT NULL,
    is_due boolean NOT NULL,             -- false: it is not its turn yet
    no     bigint GENERATED ALWAYS AS IDENTITY -- whose turn comes first
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX waking_turn ON waking (target, is_due, no);
