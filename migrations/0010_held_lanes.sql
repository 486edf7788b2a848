-- A lane that is held from turn to turn changes no column of an index, so that Postgres changes it within its page: the events in
-- flight change with each turn, that it is leased does not. The index that goes comes first: it takes the table's strongest lock at
-- once, and nobody who holds a lane's row waits for it the other way round.
DROP INDEX lane_flight;
CREATE INDEX lane_leased ON lane (id) WHERE is_leased;
