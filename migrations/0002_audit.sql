-- What the ledger needs to be watched by itself: live rows that are counted from an index alone, and totals by kind of event.

-- The work is counted by kind and state again and again. The index of the primary key has both now, so that a backlog is counted
-- without its rows, as soon as vacuum has seen them: of rows that only come, too, it is not left to the default (a fifth).
ALTER TABLE work DROP CONSTRAINT work_pkey, ADD CONSTRAINT work_pkey PRIMARY KEY (lane, no) INCLUDE (kind, state);
ALTER TABLE work SET (autovacuum_vacuum_insert_scale_factor = 0.05);

-- Totals are kept by kind: that of an event, `unreadable`, or `tombstone`. The version before kept what was read, tombstones and
-- duplicates by topic, and may go on for a while beside this one. This gives such totals to the kinds as an opening balance: to
-- each kind what its outcomes and its live rows account for; duplicates, of which the kind is not known, stay together under
-- `earlier`, with anything that did not add up before.
CREATE FUNCTION sort_tally() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- The last lock of any transaction that counts: whoever has counted has committed, and the others wait.
    LOCK TABLE tally IN SHARE ROW EXCLUSIVE MODE;
    WITH known (kind, code) AS (
        VALUES ('return', 0), ('refund', 1), ('shipment', 2), ('order', 3), ('alias', 4), ('unreadable', NULL),
               ('tombstone', NULL), ('earlier', NULL)
    ), old AS (
        DELETE FROM tally WHERE what <> 'final' AND kind NOT IN (SELECT kind FROM known) RETURNING what, total
    ), sums AS (
        SELECT coalesce(sum(total) FILTER (WHERE what = 'read'), 0) AS read,
               coalesce(sum(total) FILTER (WHERE what = 'tombstone'), 0) AS tombstones,
               coalesce(sum(total) FILTER (WHERE what = 'duplicate'), 0) AS duplicates
        FROM old
    ), live AS (
        SELECT kind AS code, count(*) AS live FROM work WHERE state <> 3 GROUP BY kind
    ), owed AS (
        SELECT k.kind, coalesce(max(l.live), 0)
                + coalesce(sum(t.total) FILTER (WHERE t.what <> 'read'), 0)
                - coalesce(sum(t.total) FILTER (WHERE t.what = 'read'), 0) AS total
        FROM known k LEFT JOIN live l ON l.code = k.code LEFT JOIN tally t ON t.kind = k.kind
        WHERE k.kind NOT IN ('tombstone', 'earlier') GROUP BY k.kind
    ), opening (what, kind, total) AS (
        SELECT 'read', kind, total FROM owed
        UNION ALL SELECT 'read', 'tombstone', tombstones FROM sums
        UNION ALL SELECT 'tombstone', 'tombstone', tombstones FROM sums
        UNION ALL SELECT 'read', 'earlier', read - tombstones - (SELECT sum(total) FROM owed) FROM sums
        UNION ALL SELECT 'duplicate', 'earlier', duplicates FROM sums
    )
    INSERT INTO tally AS t (what, kind, slot, total) SELECT what, kind, 0, total FROM opening WHERE total <> 0
    ON CONFLICT (what, kind, slot) DO UPDATE SET total = t.total + excluded.total;
END $$;
SELECT sort_tally();

-- A ledger that was restored from a dump may find itself in a cluster whose transaction ids are lower than those in its rows: old
-- outcomes would wait for years, and new ones would come before the place up to which all is published. From then on `base` is
-- added to every transaction id, here and in the default of history.xid.
ALTER TABLE cursor ADD COLUMN base bigint NOT NULL DEFAULT 0;

-- Raises the base where it has to be raised. With the owner's rights, since the default of a column is changed: the rule costs
-- nothing where nothing was ever restored.
CREATE FUNCTION fit_history() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    top bigint; -- the highest transaction id in the rows
    fit bigint;
BEGIN
    FOR attempt IN 1..2 LOOP
        SELECT greatest(c.xid, (SELECT h.xid FROM history h ORDER BY h.xid DESC, h.seq DESC LIMIT 1))::text::bigint,
               c.base + pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        INTO top, fit FROM cursor c WHERE c.name = 'outcomes';
        IF top < fit THEN
            RETURN false;
        END IF;
        -- Nobody writes outcomes under the old base any more once this is granted: look again.
        LOCK TABLE history IN ACCESS EXCLUSIVE MODE;
    END LOOP;
    fit := top + 1 - pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
    EXECUTE format('ALTER TABLE history ALTER COLUMN xid SET DEFAULT ((pg_current_xact_id()::text::bigint + %s)::text)::xid8', fit);
    UPDATE cursor SET base = fit WHERE name = 'outcomes';
    RETURN true;
END $$;

-- Where this ledger lives, and since when what it knows of Buy with Prime may be older than what Buy with Prime holds: rows that
-- find themselves in other tables, another cluster or another history of it were restored.
CREATE TABLE home (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    place      text,
    read_first text NOT NULL DEFAULT 'off', -- dispatch.read_first as it was at the last start
    doubted_at timestamptz                  -- with read_first, what was learned before is read again before it is relied on
);
INSERT INTO home DEFAULT VALUES;

CREATE FUNCTION whereabouts() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    cluster text := '';
BEGIN
    BEGIN
        SELECT concat_ws('/', s.system_identifier, c.timeline_id) INTO cluster FROM pg_control_system() s, pg_control_checkpoint() c;
    EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
        -- Not everybody may ask: the tables' own numbers are left.
    END;
    RETURN concat_ws('/', cluster, (SELECT oid FROM pg_database WHERE datname = current_database()), 'home'::regclass::oid);
END $$;
