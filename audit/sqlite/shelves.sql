-- What migration 3 adds. Shelves are explained in audit/shelf.go; the tables of one are in shelf.sql.

-- Which shelves there are. A number is never given twice. Shelf 0 is the table set of schema 1, taken over as it stands: its window
-- covers everything that was in it.
CREATE TABLE shelf (
  shelf   INTEGER PRIMARY KEY AUTOINCREMENT,
  keep    INTEGER NOT NULL CHECK (keep BETWEEN 1 AND 3650),
  start   INTEGER NOT NULL, -- milliseconds since 1970
  until   INTEGER NOT NULL, -- the same, exclusive
  strays  INTEGER NOT NULL, -- 1: something on it has a moment that its id does not tell
  dropped INTEGER           -- nanoseconds; NULL while it is part of the record. A dropped one waits for its space to be given back.
) STRICT;
CREATE UNIQUE INDEX shelf_place ON shelf (keep, start, until) WHERE dropped IS NULL;

-- Counts the changes of table shelf, so that a process knows when to read it again.
CREATE TABLE shelf_version (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  version  INTEGER NOT NULL
) STRICT;
INSERT INTO shelf_version VALUES (1, 0);

-- What each organization has on each shelf, by category: 1 sign-in, 2 administration, 3 activity. Sequences and times are NULL
-- without events, started is NULL without flows. It says where to look and what went.
CREATE TABLE shelf_content (
  organization   INTEGER NOT NULL,
  shelf          INTEGER NOT NULL,
  category       INTEGER NOT NULL,
  events         INTEGER NOT NULL,
  flows          INTEGER NOT NULL,
  first_sequence INTEGER,
  last_sequence  INTEGER,
  first_time     INTEGER,
  last_time      INTEGER,
  first_started  INTEGER,
  last_started   INTEGER,
  PRIMARY KEY (organization, shelf, category)
) STRICT, WITHOUT ROWID;
-- What lies on a shelf that is to go.
CREATE INDEX shelf_content_shelf ON shelf_content (shelf);

-- How many days each organization keeps what; those without a row keep all for 180.
CREATE TABLE retention (
  organization_uid TEXT    PRIMARY KEY,
  sign_in          INTEGER NOT NULL,
  administration   INTEGER NOT NULL,
  activity         INTEGER NOT NULL,
  hold             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was dropped, one row per organization, shelf and category.
CREATE TABLE pruned (
  number           INTEGER PRIMARY KEY,
  event_id         TEXT    NOT NULL,
  told             INTEGER NOT NULL, -- 1: its event is on its way
  organization_uid TEXT    NOT NULL,
  organization     TEXT    NOT NULL,
  keep             INTEGER NOT NULL,
  start            INTEGER NOT NULL,
  until            INTEGER NOT NULL,
  dropped          INTEGER NOT NULL,
  category         INTEGER NOT NULL,
  events           INTEGER NOT NULL,
  flows            INTEGER NOT NULL,
  first_sequence   INTEGER NOT NULL,
  last_sequence    INTEGER NOT NULL,
  first_time       INTEGER NOT NULL,
  last_time        INTEGER NOT NULL
) STRICT;
CREATE INDEX pruned_organization ON pruned (organization_uid);
CREATE INDEX pruned_untold ON pruned (number) WHERE told = 0;
CREATE INDEX pruned_event ON pruned (event_id);

-- Every type ever stored: spells out families without looking through shelves.
CREATE TABLE type_seen (
  type TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- The organization's id as last archived.
ALTER TABLE organization_sequence ADD COLUMN name TEXT NOT NULL DEFAULT '';
