-- Orders are forgotten, too, and what is old is found however often the places of old rows were used again. Tables in the order in
-- which others lock them, `lane` last: nobody needs to wait for it while the indexes are built.

-- A block range's summary only ever widens: once new rows have taken the places of old ones, each range holds old and new, and a
-- question for what is old walks through all of them.
DROP INDEX seen_day;
CREATE INDEX seen_day ON seen (day);
DROP INDEX alias_change_old;
CREATE INDEX alias_change_old ON alias_change (changed_at);
CREATE INDEX quarantine_old ON quarantine (quarantined_at);

-- Those that are there already count from now on.
ALTER TABLE lane
    ADD COLUMN made_on date NOT NULL DEFAULT current_date, -- ids are given out in this order: the oldest lanes have the lowest
    ADD COLUMN used_on date NOT NULL DEFAULT current_date; -- the last use, or up to 30 days before it
