-- The ledger. Locks are taken in one order everywhere: seen (by hash), order_name (by key), lane (by id), then what hangs
-- on a locked lane, tally (by key) last. There are no foreign keys to lane: each would lock its row once more. Whoever holds a lane's row lock owns its names, entities and work.

-- Identities of events, for duplicates. Bounded deletes by day keep it small; nothing else reads it.
CREATE TABLE seen (
    hash uuid PRIMARY KEY,               -- 128 bits of SHA-256 over (source, id)
    day  date NOT NULL DEFAULT current_date
);
CREATE INDEX seen_day ON seen USING brin (day);

-- One lane for each order of a target. Never deleted while anything names it.
CREATE TABLE lane (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target      text NOT NULL,
    bwp_id      text,                    -- the order's id at Buy with Prime, from a reference or an answer
    next_at     timestamptz,             -- due from here; while leased, the end of the lease; null: nothing to do
    lease_no    bigint NOT NULL DEFAULT 0, -- only grows; guards every write after a send
    is_leased   boolean NOT NULL DEFAULT false,
    is_dirty    boolean NOT NULL DEFAULT false, -- something arrived while it was leased
    touches     integer NOT NULL DEFAULT 0, -- leases in a row that ended without a settle
    flight      bigint[] NOT NULL DEFAULT '{}', -- events in the mutation that is in flight
    memo        jsonb,                   -- open intents, questions asked: what the lane remembers between turns
    merged_into bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX lane_due ON lane (target, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX lane_flight ON lane (id) WHERE flight <> '{}';

-- Every name of an order leads to its lane: identity and the alias table's rows of orders in one.
CREATE TABLE order_name (
    target     text COLLATE "C" NOT NULL,
    alias_type text COLLATE "C" NOT NULL, -- empty: the id is Buy with Prime's own
    id         text COLLATE "C" NOT NULL,
    lane       bigint NOT NULL,
    bwp_id     text,                     -- what the alias stands for; null: not known, or removed
    origin     smallint,                 -- 0 import, 1 topic, 2 Buy with Prime; null: only used as a reference so far
    version    bigint,
    said_at    timestamptz,
    PRIMARY KEY (target, alias_type, id)
);
CREATE INDEX order_name_lane ON order_name (lane);

-- The alias table's rows of the things of an order.
CREATE TABLE name (
    lane       bigint NOT NULL,
    kind       smallint NOT NULL,        -- 1 line item, 2 return, 3 refund, 4 package
    alias_type text COLLATE "C" NOT NULL,
    id         text COLLATE "C" NOT NULL,
    bwp_id     text,
    origin     smallint NOT NULL,
    version    bigint,
    said_at    timestamptz NOT NULL,
    PRIMARY KEY (lane, kind, alias_type, id)
);

-- What Buy with Prime is known to hold of each thing, and what settled snapshots said of it.
CREATE TABLE entity (
    lane       bigint NOT NULL,
    subject    text COLLATE "C" NOT NULL,
    doc        jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (lane, subject)
) WITH (fillfactor = 80);

CREATE SEQUENCE event_no;

-- Events that are not settled, and dead ones that can be retried. Written at intake, deleted at settle, not updated between
-- unless the event has to wait.
CREATE TABLE work (
    lane          bigint NOT NULL,
    no            bigint NOT NULL,       -- the order of arrival
    hash          uuid NOT NULL,
    kind          smallint NOT NULL,     -- 0 return, 1 refund, 2 shipment, 3 order
    state         smallint NOT NULL DEFAULT 0, -- 0 queued, 1 waiting, 2 retrying, 3 dead
    topic         text NOT NULL,
    partition     integer NOT NULL,
    "offset"      bigint NOT NULL,
    key           bytea,
    headers       bytea,
    value         bytea NOT NULL,
    received_at   timestamptz NOT NULL DEFAULT now(),
    waiting_since timestamptz,
    waits_for     jsonb,
    progress      jsonb,
    outcomes      integer NOT NULL DEFAULT 0, -- outcomes that it has had
    died          jsonb,                 -- the reason, where it is dead
    died_at       timestamptz,
    PRIMARY KEY (lane, no)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1);
CREATE INDEX work_parked ON work (state, received_at) WHERE state IN (1, 2);
CREATE INDEX work_dead ON work (hash) WHERE state = 3;
CREATE INDEX work_died ON work (died_at) WHERE state = 3;

-- Every outcome, once, in the order of settling. Daily partitions; retention drops whole ones.
CREATE SEQUENCE outcome_seq;
CREATE TABLE history (
    seq        bigint NOT NULL DEFAULT nextval('outcome_seq'),
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    settled_at timestamptz NOT NULL,
    lane       bigint,                   -- null: it could not be read
    no         bigint,
    kind       smallint,
    status     smallint NOT NULL,
    class      text,
    code       text,
    record_key bytea,                    -- of the published outcome
    outcome    text NOT NULL             -- the CloudEvent as it is published
) PARTITION BY RANGE (settled_at);
CREATE INDEX history_order ON history (xid, seq);
CREATE INDEX history_lane ON history (lane, no);
CREATE TABLE history_default PARTITION OF history DEFAULT;

-- Originals of dead and quarantined records, until they are published as dead letters.
CREATE TABLE dead_letter (
    seq       bigint PRIMARY KEY,        -- of the outcome
    topic     text NOT NULL,
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    key       bytea,
    headers   bytea,
    value     bytea NOT NULL
);

-- Records that could not be read, with their bytes.
CREATE TABLE quarantine (
    topic          text NOT NULL,
    partition      integer NOT NULL,
    "offset"       bigint NOT NULL,
    key            bytea,
    headers        bytea,
    value          bytea NOT NULL,
    reason         jsonb NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);

-- Running totals for the accounting identity, in slots so that replicas do not wait for one row.
CREATE TABLE tally (
    what  text NOT NULL,                 -- read, tombstone, duplicate, or final
    kind  text NOT NULL,                 -- a topic, or the kind of an event
    slot  smallint NOT NULL,
    total bigint NOT NULL,
    PRIMARY KEY (what, kind, slot)
) WITH (fillfactor = 50);

-- How far the publisher is, and which replica publishes.
CREATE TABLE cursor (
    name       text PRIMARY KEY,
    xid        xid8 NOT NULL,
    seq        bigint NOT NULL,
    holder     uuid,
    held_until timestamptz
);
INSERT INTO cursor (name, xid, seq) VALUES ('outcomes', '0', 0);

-- What the replicas have to agree on about a target.
CREATE TABLE target (
    name        text PRIMARY KEY,
    alias_types jsonb,                   -- under which events were taken in: they must not change while any of them waits
    not_before  timestamptz,             -- a Retry-After
    open_since  timestamptz,             -- the breaker is open
    open_for    interval NOT NULL DEFAULT '0' -- for how long it was open before: time that no event is charged for
);

-- What operators did: who, when, what, why.
CREATE TABLE act (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now(),
    who     text NOT NULL,
    what    text NOT NULL,
    subject jsonb NOT NULL,
    reason  text
);

-- Retention without the right to change the schema: daily partitions are made ahead and dropped here, with the owner's rights.
CREATE FUNCTION keep_history(ahead integer, keep interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    day date;
    old record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bwp-sync keep_history'));
    FOR day IN SELECT generate_series(current_date + 1, current_date + ahead, '1 day')::date LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS history_%s PARTITION OF history FOR VALUES FROM (%L) TO (%L)',
            to_char(day, 'YYYYMMDD'), day, day + 1);
    END LOOP;
    FOR old IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'history'::regclass AND c.relname ~ '^history_\d{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD') < (now() - keep)::date
    LOOP
        EXECUTE format('DROP TABLE %I', old.relname);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM history_default WHERE settled_at < now() - keep;
    RETURN dropped;
END $$;
