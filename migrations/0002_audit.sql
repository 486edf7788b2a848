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
