-- Two roles: the owner migrates, the daemon runs. Run once, as a superuser, in the daemon's database:
--
--   psql -d bwp_sync -f deploy/sql/roles.sql
--
-- Then `bwp-sync migrate` with a login that is a member of bwp_sync_owner and has `role = bwp_sync_owner` set, and
-- `bwp-sync run` with database.migrate_on_start = false and a login that is a member of bwp_sync_run.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bwp_sync_owner') THEN
        CREATE ROLE bwp_sync_owner NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bwp_sync_run') THEN
        CREATE ROLE bwp_sync_run NOLOGIN;
    END IF;
END $$;

GRANT CREATE, USAGE ON SCHEMA public TO bwp_sync_owner;
GRANT USAGE ON SCHEMA public TO bwp_sync_run;

-- Whatever the owner makes, now and in later migrations, the daemon may use, and no more: no DDL. Retention's partitions are made
-- and dropped by keep_history(), with its owner's rights.
ALTER DEFAULT PRIVILEGES FOR ROLE bwp_sync_owner IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO bwp_sync_run;
ALTER DEFAULT PRIVILEGES FOR ROLE bwp_sync_owner IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO bwp_sync_run;
ALTER DEFAULT PRIVILEGES FOR ROLE bwp_sync_owner IN SCHEMA public
    GRANT EXECUTE ON FUNCTIONS TO bwp_sync_run;
