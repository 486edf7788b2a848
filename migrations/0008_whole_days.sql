-- Retention that can always take its next step: some days at a time, no outcome that nobody was told of, no walk through a table.

-- Days are made ahead and dropped as before, but only some in one transaction, since each dropped table takes some locks of
-- the server's shared table of them; and none with an outcome in it that is not published yet: it is still the only copy. Gives how
-- many days and rows went: more may be left where it is not zero.
CREATE OR REPLACE FUNCTION keep_history(ahead integer, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    days constant integer := 10;
    most constant integer := 5000;
    kept text;
    day date;
    old record;
    told record;
    is_open boolean;
    dropped integer := 0;
    gone integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bwp-sync keep_history'));
    SELECT xid, seq INTO told FROM cursor WHERE name = 'outcomes';
    FOREACH kept IN ARRAY ARRAY['history', 'attempt'] LOOP
        FOR day IN SELECT generate_series(current_date + 1, current_date + ahead, '1 day')::date LOOP
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                kept || '_' || to_char(day, 'YYYYMMDD'), kept, day, day + 1);
        END LOOP;
        gone := 0;
        FOR old IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = kept::regclass AND c.relname ~ ('^' || kept || '_\d{8}$')
                AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() - keep)::date
            ORDER BY c.relname
        LOOP
            EXIT WHEN gone = days;
            IF kept = 'history' THEN
                EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE (xid, seq) > ($1, $2))', old.relname)
                    INTO is_open USING told.xid, told.seq;
                CONTINUE WHEN is_open;
            END IF;
            EXECUTE format('DROP TABLE %I', old.relname);
            gone := gone + 1;
        END LOOP;
        dropped := dropped + gone;
    END LOOP;
    -- Days before the first that was made ahead.
    DELETE FROM history_default WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM history_default WHERE settled_at < now() - keep AND (xid, seq) <= (told.xid, told.seq) LIMIT most));
    GET DIAGNOSTICS gone = ROW_COUNT;
    dropped := dropped + gone;
    DELETE FROM attempt_default WHERE ctid = ANY(ARRAY(SELECT ctid FROM attempt_default WHERE at < now() - keep LIMIT most));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN dropped + gone;
END $$;

-- What is known of things is found by its age without a walk through all of it.
CREATE INDEX entity_old ON entity (changed_at);
