-- A lane that is held from turn to turn changes no column of an index, so that Postgres changes it within its page: the events in
-- flight change with each turn, that it is leased does not.
CREATE INDEX lane_leased ON lane (id) WHERE is_leased;
DROP INDEX lane_flight;
