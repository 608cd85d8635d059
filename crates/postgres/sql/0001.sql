-- 1: revocations in one order, single use by the hour, lineage. Run as hardtack_plane, which owns all of it.
-- Moments are whole seconds since 1970.

CREATE SCHEMA hardtack;
REVOKE ALL ON SCHEMA hardtack FROM PUBLIC;
GRANT USAGE ON SCHEMA hardtack TO hardtack_gateway, hardtack_publisher;

CREATE TABLE hardtack.migration (
    number integer PRIMARY KEY,
    made timestamptz NOT NULL DEFAULT now()
);

-- The one row that gives the order. Whoever writes an event locks it first, and keeps it until the commit.
CREATE TABLE hardtack.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bytea NOT NULL CHECK (octet_length(epoch) = 16),
    number bigint NOT NULL DEFAULT 0 CHECK (number >= 0),
    -- Events up to this number are kept no longer.
    gone bigint NOT NULL DEFAULT 0 CHECK (gone >= 0),
    -- The latest moment that was told, and when the clock last jumped.
    latest bigint,
    jumped bigint,
    -- The longest life of a grant that any verifier accepts, in seconds.
    longest bigint NOT NULL DEFAULT 0,
    forgotten_until bigint,
    -- The server and the tables to which the epoch belongs.
    system bigint NOT NULL,
    timeline text NOT NULL,
    database oid NOT NULL,
    relation oid NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE hardtack.event (
    number bigint PRIMARY KEY,
    change text NOT NULL
);

CREATE TABLE hardtack.revocation (
    sequence bigint PRIMARY KEY,
    -- SHA-256 of what is revoked: the same is revoked once.
    what bytea NOT NULL UNIQUE CHECK (octet_length(what) = 32),
    revoked bigint NOT NULL,
    expires bigint,
    entry text NOT NULL
);
CREATE INDEX revocation_expires ON hardtack.revocation (expires) WHERE expires IS NOT NULL;

CREATE TABLE hardtack.request (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 16),
    asked bytea NOT NULL CHECK (octet_length(asked) = 32),
    receipts text NOT NULL,
    until bigint NOT NULL
);
CREATE INDEX request_until ON hardtack.request (until);

-- The counter and the marks never fall, whoever asks.
CREATE FUNCTION hardtack.head_goes_on() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'the head of the log is never taken away';
    END IF;
    IF NEW.number < OLD.number OR NEW.gone < OLD.gone OR NEW.latest IS DISTINCT FROM greatest(OLD.latest, NEW.latest)
        OR NEW.forgotten_until IS DISTINCT FROM greatest(OLD.forgotten_until, NEW.forgotten_until) THEN
        RAISE EXCEPTION 'the head of the log never goes back';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER head_goes_on BEFORE UPDATE OR DELETE ON hardtack.head
    FOR EACH ROW EXECUTE FUNCTION hardtack.head_goes_on();
CREATE TRIGGER head_stays BEFORE TRUNCATE ON hardtack.head
    FOR EACH STATEMENT EXECUTE FUNCTION hardtack.head_goes_on();

-- Which call-bound presentations were used: a partition for each hour of expiry, which is dropped as a whole.
CREATE TABLE hardtack.used (
    id bytea NOT NULL CHECK (octet_length(id) = 64),
    audience text NOT NULL CHECK (octet_length(audience) <= 1024),
    expires bigint NOT NULL,
    PRIMARY KEY (id, expires)
) PARTITION BY RANGE (expires);

CREATE TABLE hardtack.used_hour (
    hour bigint PRIMARY KEY
);

-- Whatever expires up to this moment counts as used. A partition is there only for an hour after it.
CREATE TABLE hardtack.used_mark (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until bigint NOT NULL DEFAULT 0
);
INSERT INTO hardtack.used_mark DEFAULT VALUES;

-- Makes the partition of a moment of expiry. The row of the mark keeps what forgets from running at the same time.
CREATE FUNCTION hardtack.make_hour(expires bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this bigint := expires / 3600;
    mark bigint;
    name text := format('used_%s', this);
BEGIN
    IF expires IS NULL OR expires < 0 OR expires > 253402300799 THEN
        RAISE EXCEPTION 'no moment of expiry';
    END IF;
    -- No presentation lives so long: whoever makes hours that nobody needs makes none that stays.
    IF expires > extract(epoch FROM clock_timestamp()) + 8 * 86400 THEN
        RETURN 'full';
    END IF;
    -- Nobody waits for an hour that is there. The mark is looked at by whoever claims.
    IF EXISTS (SELECT FROM hardtack.used_hour WHERE hour = this) THEN
        RETURN 'made';
    END IF;
    SELECT until INTO STRICT mark FROM hardtack.used_mark FOR UPDATE;
    IF expires <= mark THEN
        RETURN 'forgotten';
    END IF;
    -- Another may have made it meanwhile.
    IF EXISTS (SELECT FROM hardtack.used_hour WHERE hour = this) THEN
        RETURN 'made';
    END IF;
    -- Three weeks of hours, more than from the mark to the last that is made: nobody fills the disk with empty tables.
    IF (SELECT count(*) FROM hardtack.used_hour) >= 512 THEN
        RETURN 'full';
    END IF;
    EXECUTE format('CREATE TABLE hardtack.%I (LIKE hardtack.used INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE hardtack.used ATTACH PARTITION hardtack.%I FOR VALUES FROM (%s) TO (%s)',
        name, this * 3600, (this + 1) * 3600);
    INSERT INTO hardtack.used_hour VALUES (this);
    RETURN 'made';
END
$$;

CREATE TABLE hardtack.seen (
    id bytea PRIMARY KEY CHECK (octet_length(id) = 64),
    expires bigint NOT NULL,
    block text NOT NULL CHECK (octet_length(block) <= 16384)
);
CREATE INDEX seen_expires ON hardtack.seen (expires);

CREATE TABLE hardtack.seen_size (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    blocks bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO hardtack.seen_size DEFAULT VALUES;

-- Takes note of blocks, each once, as it was told first, up to a million. "lost" were not told of, which is counted.
CREATE FUNCTION hardtack.saw(ids bytea[], expire bigint[], blocks_told text[], lost_before bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    room bigint;
    fresh bigint;
    made bigint;
BEGIN
    SELECT 1000000 - blocks INTO STRICT room FROM hardtack.seen_size FOR UPDATE;
    SELECT count(DISTINCT told.id) INTO fresh FROM unnest(ids) AS told(id)
        WHERE NOT EXISTS (SELECT FROM hardtack.seen WHERE seen.id = told.id);
    INSERT INTO hardtack.seen (id, expires, block)
        SELECT id, expires, block FROM (
            SELECT DISTINCT ON (told.id) told.id, told.expires, told.block, told.place
            FROM unnest(ids, expire, blocks_told) WITH ORDINALITY AS told(id, expires, block, place)
            WHERE NOT EXISTS (SELECT FROM hardtack.seen WHERE seen.id = told.id)
            ORDER BY told.id, told.place
        ) AS first ORDER BY place LIMIT greatest(room, 0);
    GET DIAGNOSTICS made = ROW_COUNT;
    UPDATE hardtack.seen_size
        SET blocks = blocks + made,
            -- Counted up to a bound, so that a number that is told never makes it overflow.
            lost = least(lost + least(greatest(lost_before, 0), 1000000) + fresh - made, 4000000000000000);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA hardtack FROM PUBLIC;
GRANT SELECT ON hardtack.migration, hardtack.head, hardtack.event, hardtack.revocation TO hardtack_gateway, hardtack_publisher;
GRANT INSERT ON hardtack.used TO hardtack_gateway;
GRANT SELECT ON hardtack.used_mark, hardtack.seen, hardtack.seen_size TO hardtack_gateway;
GRANT EXECUTE ON FUNCTION hardtack.make_hour(bigint) TO hardtack_gateway;
GRANT EXECUTE ON FUNCTION hardtack.saw(bytea[], bigint[], text[], bigint) TO hardtack_gateway;
