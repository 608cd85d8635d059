-- The three roles of Hardtack's database. Run once for each database, connected to it, by a superuser or whoever owns it and may create
-- roles: psql --set ON_ERROR_STOP=1 --file roles.sql DATABASE. None of the three can log in: make users of your own, and grant each the
-- one role that it needs. To run it again changes nothing.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['hardtack_plane', 'hardtack_gateway', 'hardtack_publisher'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role);
    END LOOP;
    -- Nobody else is let in, and nobody fills the disk with temporary tables.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    -- Whoever migrates makes the schema "hardtack", as this role.
    EXECUTE format('GRANT CREATE ON DATABASE %I TO hardtack_plane', current_database());
END
$$;
