-- The tables of one shelf; # is its number. Those of shelf 0 have names without "_#".
--
-- position = organization number * 2^40 + sequence, as in migration 1: it is unique over all shelves, so pages merge by it.

-- Times are nanoseconds since 1970, 0 when absent. body is one state-format byte and a postern.store.v1.EventRecord without
-- its sealed part and indexes (type 'unreadable': the outbox entry as it came). Erasure sets salt, sealed and index to NULL;
-- the digest stays. Small columns come first, so that filters do not read through bodies.
CREATE TABLE event_# (
  position        INTEGER PRIMARY KEY,
  id              TEXT    NOT NULL,
  time            INTEGER NOT NULL,
  recorded_time   INTEGER NOT NULL,
  type            TEXT    NOT NULL,
  outcome         INTEGER NOT NULL,
  site            TEXT,
  flow            TEXT,
  step            INTEGER NOT NULL,
  connection      TEXT,
  reason          TEXT,
  class           INTEGER NOT NULL,
  method          TEXT,
  factor          TEXT,
  evidence        INTEGER NOT NULL,
  rule            TEXT,             -- of the decision
  target_type     TEXT,
  target_id       TEXT,
  caller          TEXT,
  support_code    TEXT,
  flags           INTEGER NOT NULL, -- 1 forked, 2 unreadable, 4 stray: its moment is recorded_time, not that of its id, 8 sandbox
  personal_salt   BLOB,
  personal_sealed BLOB,
  personal_digest BLOB,
  personal_index  BLOB,             -- the event's rows of event_index_#, so that erasing and reading need no index by event
  body            BLOB    NOT NULL
) STRICT;

-- Each event once, however often its batch is sent; GetEvent.
CREATE UNIQUE INDEX event_id_# ON event_# (id);
-- A flow's events; finds a second event for the same step.
CREATE INDEX event_flow_# ON event_# (flow, step) WHERE flow IS NOT NULL;
-- A site's record: the question asked most.
CREATE INDEX event_site_# ON event_# (site) WHERE site IS NOT NULL;
-- "Every denied sign-in", "every policy change": rare types among millions of events.
CREATE INDEX event_type_# ON event_# (type);

-- Blind indexes of sealed fields. A value is keyed by organization already.
CREATE TABLE event_index_# (
  purpose  INTEGER NOT NULL,
  value    BLOB    NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (purpose, value, position)
) STRICT, WITHOUT ROWID;

-- Earliest and latest time in each run of 1024 sequence numbers: turns a time range into a range of positions, since
-- late events make time and sequence disagree. One row per 1024 events instead of an index entry for each.
CREATE TABLE event_span_# (
  organization INTEGER NOT NULL,
  block        INTEGER NOT NULL,
  min_time     INTEGER NOT NULL,
  max_time     INTEGER NOT NULL,
  PRIMARY KEY (organization, block)
) STRICT, WITHOUT ROWID;

-- One row per recorded flow, kept in step with its events by the transaction that stores them (audit.FlowRow).
CREATE TABLE flow_# (
  flow           INTEGER PRIMARY KEY,
  id             TEXT    NOT NULL,
  organization   INTEGER NOT NULL,
  partition      INTEGER NOT NULL,
  name           TEXT    NOT NULL, -- the organization's id
  site           TEXT    NOT NULL,
  site_uid       TEXT    NOT NULL,
  support_code   TEXT    NOT NULL,
  correlation_id TEXT    NOT NULL,
  class          INTEGER NOT NULL,
  provisional    INTEGER NOT NULL,
  started        INTEGER NOT NULL,
  ended          INTEGER,          -- NULL while open
  ending         INTEGER NOT NULL,
  reason         TEXT    NOT NULL,
  last_step      INTEGER NOT NULL,
  last_time      INTEGER NOT NULL,
  start_event    TEXT    NOT NULL,
  bind_event     TEXT    NOT NULL,
  end_event      TEXT    NOT NULL,
  places         TEXT    NOT NULL DEFAULT '', -- numbers of other shelves with events of the flow, as "3,12"
  stray          INTEGER,          -- its moment in milliseconds where the id does not tell it
  terms          TEXT    NOT NULL DEFAULT '' -- audit.TermSet
) STRICT;

-- GetFlow, and the row an event belongs to.
CREATE UNIQUE INDEX flow_id_# ON flow_# (id);
-- Lists, newest first.
CREATE INDEX flow_started_# ON flow_# (organization, started, id);
-- The same for one site.
CREATE INDEX flow_site_# ON flow_# (organization, site, started, id);
-- What the help desk is told on the telephone.
CREATE INDEX flow_code_# ON flow_# (organization, support_code);
-- Recovery after lost Redis data; only the open ones, so it stays small.
CREATE INDEX flow_open_# ON flow_# (partition, id) WHERE ended IS NULL;

-- Blind indexes of a flow: those of its events.
CREATE TABLE flow_index_# (
  purpose INTEGER NOT NULL,
  value   BLOB    NOT NULL,
  flow    INTEGER NOT NULL,
  PRIMARY KEY (purpose, value, flow)
) STRICT, WITHOUT ROWID;
