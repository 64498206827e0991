-- +goose Up
-- Forward only: there is no way down. A binary that finds a newer version here refuses to start.
--
-- position = organization number * 2^40 + sequence. It is the rowid, so the events of an organization lie together in
-- sequence order, and every index on event ends with it by nature: "site X, in sequence order, from here on" is one seek
-- and a walk. That is why no index repeats organization or sequence. A later split by period copies ranges of position;
-- nothing but event_index and event_span refers to it.

-- What belongs together: compared with Redis at every start.
CREATE TABLE installation (
  only_row           INTEGER PRIMARY KEY CHECK (only_row = 1),
  id                 TEXT    NOT NULL,
  partitions         INTEGER NOT NULL,
  state_format       INTEGER NOT NULL,
  master_fingerprint TEXT    NOT NULL,
  hash_fingerprint   TEXT    NOT NULL,
  created            INTEGER NOT NULL
) STRICT;

-- The fencing token of each partition's archiver.
CREATE TABLE partition_epoch (
  partition INTEGER PRIMARY KEY,
  epoch     INTEGER NOT NULL,
  holder    TEXT    NOT NULL
) STRICT;

-- Wrapped keyset of each organization: without it, and the master keyset, sealed parts are gone.
CREATE TABLE organization_key (
  organization_uid TEXT PRIMARY KEY,
  wrapped          BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per organization with events: its number here, and where its record stands.
CREATE TABLE organization_sequence (
  organization     INTEGER PRIMARY KEY CHECK (organization BETWEEN 1 AND 4194303),
  organization_uid TEXT    NOT NULL UNIQUE,
  last_sequence    INTEGER NOT NULL CHECK (last_sequence BETWEEN 0 AND 1099511627775),
  last_recorded    INTEGER NOT NULL,
  highest_revision INTEGER NOT NULL
) STRICT;

-- Times are nanoseconds since 1970, 0 when absent. body is one state-format byte and a postern.store.v1.EventRecord without
-- its sealed part and indexes (type 'unreadable': the outbox entry as it came). Erasure sets salt, sealed and index to NULL;
-- the digest stays. Small columns come first, so that filters do not read through bodies.
CREATE TABLE event (
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
  flags           INTEGER NOT NULL, -- 1 forked, 2 unreadable
  personal_salt   BLOB,
  personal_sealed BLOB,
  personal_digest BLOB,
  personal_index  BLOB,             -- the event's rows of event_index, so that erasing and reading need no index by event
  body            BLOB    NOT NULL
) STRICT;

-- Each event once, however often its batch is sent; GetEvent.
CREATE UNIQUE INDEX event_id ON event (id);
-- A flow's events; finds a second event for the same step.
CREATE INDEX event_flow ON event (flow, step) WHERE flow IS NOT NULL;
-- A site's record: the question asked most.
CREATE INDEX event_site ON event (site) WHERE site IS NOT NULL;
-- "Every denied sign-in", "every policy change": rare types among millions of events.
CREATE INDEX event_type ON event (type);

-- Blind indexes of sealed fields. A value is keyed by organization already.
CREATE TABLE event_index (
  purpose  INTEGER NOT NULL,
  value    BLOB    NOT NULL,
  position INTEGER NOT NULL,
  PRIMARY KEY (purpose, value, position)
) STRICT, WITHOUT ROWID;

-- Earliest and latest time in each run of 1024 sequence numbers: turns a time range into a range of positions, since
-- late events make time and sequence disagree. One row per 1024 events instead of an index entry for each.
CREATE TABLE event_span (
  organization INTEGER NOT NULL,
  block        INTEGER NOT NULL,
  min_time     INTEGER NOT NULL,
  max_time     INTEGER NOT NULL,
  PRIMARY KEY (organization, block)
) STRICT, WITHOUT ROWID;

-- One row per recorded flow, kept in step with its events by the transaction that stores them (audit.FlowRow).
CREATE TABLE flow (
  flow           INTEGER PRIMARY KEY,
  id             TEXT    NOT NULL,
  organization   INTEGER NOT NULL REFERENCES organization_sequence,
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
  end_event      TEXT    NOT NULL
) STRICT;

-- GetFlow, and the row an event belongs to.
CREATE UNIQUE INDEX flow_id ON flow (id);
-- Lists, newest first.
CREATE INDEX flow_started ON flow (organization, started, id);
-- The same for one site.
CREATE INDEX flow_site ON flow (organization, site, started, id);
-- What the help desk is told on the telephone.
CREATE INDEX flow_code ON flow (organization, support_code);
-- Recovery after lost Redis data; only the open ones, so it stays small.
CREATE INDEX flow_open ON flow (partition, id) WHERE ended IS NULL;

-- Blind indexes of a flow's subject: those of its events, without networks.
CREATE TABLE flow_index (
  purpose INTEGER NOT NULL,
  value   BLOB    NOT NULL,
  flow    INTEGER NOT NULL,
  PRIMARY KEY (purpose, value, flow)
) STRICT, WITHOUT ROWID;
