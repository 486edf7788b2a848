-- The two logins of deploy/compose.yaml: one migrates as the owner, one runs. Their passwords are for that file alone.
CREATE ROLE bwp_sync_migrate LOGIN PASSWORD 'migrate' IN ROLE bwp_sync_owner;
ALTER ROLE bwp_sync_migrate SET role = 'bwp_sync_owner';
CREATE ROLE bwp_sync_daemon LOGIN PASSWORD 'daemon' IN ROLE bwp_sync_run;
