-- The tables of one shelf, with those of counts.sql; N stands for its number. Times are nanoseconds since 1970, 0 when absent; moments milliseconds.
--
-- position = organization number * 2^40 + sequence: the events of an organization lie together in sequence order, and every
-- index ends with it, so that "site X, in sequence order, from here on" is one seek and a walk.

-- body is one state-format byte and a postern.store.v1.EventRecord without its sealed part and indexes (type 'unreadable': the
-- outbox entry as it came). Erasure sets salt, sealed and index to NULL; the digest stays. An id is 16 bytes for a UUID, else
-- a hash; the text is in the body.
CREATE TABLE event_N (
  position        bigint   PRIMARY KEY,
  moment          bigint   NOT NULL,
  time            bigint   NOT NULL,
  recorded_time   bigint   NOT NULL,
  step            integer  NOT NULL,
  category        smallint NOT NULL,
  outcome         smallint NOT NULL,
  class           smallint NOT NULL,
  flags           smallint NOT NULL, -- 1 forked, 2 unreadable, 4 sandbox
  evidence        smallint NOT NULL,
  id              bytea    NOT NULL,
  flow            bytea,
  type            text COLLATE "C" NOT NULL,
  site            text COLLATE "C",
  connection      text COLLATE "C",
  reason          text COLLATE "C",
  method          text COLLATE "C",
  factor          text COLLATE "C",
  rule            text COLLATE "C",
  target_type     text COLLATE "C",
  target_id       text COLLATE "C",
  caller          text COLLATE "C",
  support_code    text COLLATE "C",
  personal_salt   bytea,
  personal_sealed bytea,
  personal_digest bytea,
  personal_index  bytea, -- the event's rows of term_N, so that erasing and reading need no index by event
  body            bytea NOT NULL
);
ALTER TABLE event_N ALTER COLUMN personal_sealed SET STORAGE EXTERNAL; -- ciphertext does not compress
CREATE UNIQUE INDEX event_N_id ON event_N (id);
CREATE INDEX event_N_flow ON event_N (flow, position) WHERE flow IS NOT NULL;
CREATE INDEX event_N_site ON event_N (site, position) WHERE site IS NOT NULL;
CREATE INDEX event_N_type ON event_N (type, position);
CREATE INDEX event_N_reason ON event_N (reason, position) WHERE reason IS NOT NULL;
CREATE INDEX event_N_code ON event_N (support_code, position) WHERE support_code IS NOT NULL;

-- Blind indexes of sealed fields: purpose and value. A value is keyed by organization already.
CREATE TABLE term_N (
  term     bytea  NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (term, position)
);

-- Earliest and latest time in each run of 1024 sequence numbers: turns a time range into a range of positions, since late
-- events make time and sequence disagree.
CREATE TABLE span_N (
  organization integer NOT NULL,
  block        bigint  NOT NULL,
  min_time     bigint  NOT NULL,
  max_time     bigint  NOT NULL,
  PRIMARY KEY (organization, block)
) WITH (fillfactor = 50);

-- One row per recorded flow, kept in step with its events by the transaction that stores them (audit.FlowRow).
CREATE TABLE flow_N (
  id             bytea    PRIMARY KEY,
  organization   integer  NOT NULL,
  partition      integer  NOT NULL,
  moment         bigint   NOT NULL,
  started        bigint   NOT NULL,
  ended          bigint,           -- NULL while open
  last_time      bigint   NOT NULL,
  steps          bigint   NOT NULL, -- bit n-1: step n is stored; what else is, in more_steps
  more_steps     integer[],
  last_step      integer  NOT NULL,
  class          smallint NOT NULL,
  ending         smallint NOT NULL,
  provisional    boolean  NOT NULL,
  name           text COLLATE "C" NOT NULL, -- the organization's id
  site           text COLLATE "C" NOT NULL,
  site_uid       text COLLATE "C" NOT NULL,
  support_code   text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  reason         text COLLATE "C" NOT NULL,
  start_event    text COLLATE "C" NOT NULL,
  bind_event     text COLLATE "C" NOT NULL,
  end_event      text COLLATE "C" NOT NULL,
  exact          bytea, -- all texts byte by byte, where one of them cannot stand in its column
  terms          text COLLATE "C" NOT NULL DEFAULT '' -- audit.TermSet
) WITH (fillfactor = 70);
CREATE INDEX flow_N_started ON flow_N (organization, started, id);
CREATE INDEX flow_N_site ON flow_N (organization, site, started, id);
CREATE INDEX flow_N_code ON flow_N (organization, support_code);
CREATE INDEX flow_N_open ON flow_N (partition, id) WHERE ended IS NULL;

-- Blind indexes of a flow: those of its events.
CREATE TABLE flow_term_N (
  term bytea NOT NULL,
  id   bytea NOT NULL,
  PRIMARY KEY (term, id)
);
