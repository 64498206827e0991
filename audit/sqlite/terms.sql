-- The tables of one shelf that count what is on it; # is its number. Migration 4 adds them to shelves that exist.

-- In which runs of 1024 sequence numbers a value of a field (audit.Terms) occurs: leads filters on fields without an index past
-- what cannot match. A run has rows from when the organization's record has gone past it; what is younger is read.
CREATE TABLE term_# (
  organization INTEGER NOT NULL,
  field        INTEGER NOT NULL,
  value        TEXT    NOT NULL,
  block        INTEGER NOT NULL,
  PRIMARY KEY (organization, field, value, block)
) STRICT, WITHOUT ROWID;

-- How many events have a value, by quarters of an hour: one row per week of Event.Time, of all sites (site '') and of each. Field 0
-- is every event, sites are a field of all sites. Written a run at a time, as term_# is. quarters is explained in quarters.go.
CREATE TABLE term_count_# (
  organization INTEGER NOT NULL,
  site         TEXT    NOT NULL,
  field        INTEGER NOT NULL,
  value        TEXT    NOT NULL,
  week         INTEGER NOT NULL,
  category     INTEGER NOT NULL,
  sandbox      INTEGER NOT NULL,
  events       INTEGER NOT NULL,
  quarters     BLOB    NOT NULL,
  PRIMARY KEY (organization, site, field, value, week, category, sandbox)
) STRICT, WITHOUT ROWID;
