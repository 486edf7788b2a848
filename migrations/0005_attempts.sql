-- What was asked of Buy with Prime and what it answered, call by call, for whoever has to explain an order. Daily partitions, dropped
-- with those of history. Payers are masked before they get here.
CREATE TABLE attempt (
    at         timestamptz NOT NULL,     -- when the call began
    lane       bigint NOT NULL,
    operation  text NOT NULL,
    events     bigint[] NOT NULL,        -- sent for these; empty: a read
    request    text,                     -- its variables as JSON
    verdict    text NOT NULL,
    http       smallint,                 -- null: no answer
    code       text,
    message    text,
    request_id text,                     -- for Amazon's support
    took_ms    integer NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX attempt_lane ON attempt (lane, at);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;

-- Outcomes by their id, which holds source and id of their event: nothing but a hash of it is kept.
CREATE INDEX history_id ON history USING hash ((outcome::json ->> 'id'));

-- What operators did with the orders of a lane, and the lanes that became one with another.
CREATE INDEX act_lanes ON act USING gin ((subject -> 'lanes'));
CREATE INDEX lane_merged ON lane (merged_into) WHERE merged_into IS NOT NULL;

CREATE OR REPLACE FUNCTION keep_history(ahead integer, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    kept text;
    day date;
    old record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bwp-sync keep_history'));
    FOREACH kept IN ARRAY ARRAY['history', 'attempt'] LOOP
        FOR day IN SELECT generate_series(current_date + 1, current_date + ahead, '1 day')::date LOOP
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                kept || '_' || to_char(day, 'YYYYMMDD'), kept, day, day + 1);
        END LOOP;
        FOR old IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = kept::regclass AND c.relname ~ ('^' || kept || '_\d{8}$')
                AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() - keep)::date
        LOOP
            EXECUTE format('DROP TABLE %I', old.relname);
            dropped := dropped + 1;
        END LOOP;
    END LOOP;
    DELETE FROM history_default WHERE settled_at < now() - keep;
    DELETE FROM attempt_default WHERE at < now() - keep;
    RETURN dropped;
END $$;
