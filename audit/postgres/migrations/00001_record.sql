-- +goose Up
-- Forward only: there is no way down. A binary that finds a newer version here refuses to start.
--
-- What an archive keeps lies on shelves (audit.Shelf): the events of one window of time that are kept for the same number of
-- days. Each shelf has five tables of its own, event_N, term_N, flow_N, flow_term_N and span_N, which shelf.go makes and which
-- go together with DROP TABLE: no row of the record is ever deleted. They are plain tables and not partitions of a common
-- parent, since making or dropping a partition would lock out everybody who uses the parent, and a plan over all of them would
-- be made for every page; which shelves a question needs is known from shelf_content before it is asked.
--
-- Texts that came from outside are stored as they are when they are short, valid and without NUL, else as a hash behind a
-- control character (text.go): an index row cannot be long. The whole text is then in the event's body, or in a column "exact".

-- What belongs together: compared with Redis at every start.
CREATE TABLE installation (
  only_row           integer PRIMARY KEY CHECK (only_row = 1),
  id                 text    NOT NULL,
  partitions         integer NOT NULL,
  state_format       integer NOT NULL,
  master_fingerprint text    NOT NULL,
  hash_fingerprint   text    NOT NULL,
  created            bigint  NOT NULL
);

-- The fencing token of each partition's archiver.
CREATE TABLE partition_epoch (
  partition integer PRIMARY KEY,
  epoch     bigint  NOT NULL,
  holder    text    NOT NULL
) WITH (fillfactor = 50);

-- Wrapped keyset of each organization: without it, and the master keyset, sealed parts are gone.
CREATE TABLE organization_key (
  organization_uid text COLLATE "C" PRIMARY KEY,
  wrapped          bytea NOT NULL,
  exact            bytea NOT NULL -- the uid, byte by byte
);

-- One row per organization with events: its number here, and where its record stands. Appends lock it.
CREATE TABLE organization (
  organization     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (organization BETWEEN 1 AND 4194303),
  uid              text COLLATE "C" NOT NULL UNIQUE,
  exact            bytea  NOT NULL,            -- the uid, byte by byte
  name             bytea  NOT NULL DEFAULT '', -- the organization's id, as last archived
  last_sequence    bigint NOT NULL DEFAULT 0 CHECK (last_sequence BETWEEN 0 AND 1099511627775),
  last_recorded    bigint NOT NULL DEFAULT 0,
  highest_revision bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- How long an organization's events are kept, in days; every organization with events has a row. Dropping a shelf locks it.
CREATE TABLE organization_retention (
  uid            text COLLATE "C" PRIMARY KEY,
  sign_in        integer NOT NULL,
  administration integer NOT NULL,
  activity       integer NOT NULL,
  hold           boolean NOT NULL
);

-- The shelves. Moments are milliseconds since 1970. A shelf with strays has events or flows whose moment is not that of their
-- id: an id is looked for on it whatever the id says.
CREATE TABLE shelf (
  shelf     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  keep      integer NOT NULL,
  starts    bigint  NOT NULL,
  ends      bigint  NOT NULL,
  strays    boolean NOT NULL DEFAULT false,
  UNIQUE (keep, starts)
);
CREATE INDEX shelf_ends ON shelf (ends);

-- What an organization has on a shelf, by category (0 sign-in, 1 administration, 2 activity). The range of started is that of
-- flow rows, and bounds it from outside.
CREATE TABLE shelf_content (
  organization   integer  NOT NULL REFERENCES organization,
  shelf          integer  NOT NULL REFERENCES shelf,
  category       smallint NOT NULL,
  events         bigint   NOT NULL,
  flows          bigint   NOT NULL,
  first_sequence bigint   NOT NULL,
  last_sequence  bigint   NOT NULL,
  first_time     bigint   NOT NULL,
  last_time      bigint   NOT NULL,
  first_started  bigint   NOT NULL,
  last_started   bigint   NOT NULL,
  PRIMARY KEY (organization, shelf, category)
) WITH (fillfactor = 50);
CREATE INDEX shelf_content_shelf ON shelf_content (shelf);

-- What went with dropped shelves: one row per organization, and its parts by category. Kept for good: ranges in which sequence
-- numbers may be missing.
CREATE TABLE pruned (
  pruned       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event_id     text COLLATE "C" NOT NULL UNIQUE,
  organization integer NOT NULL REFERENCES organization,
  name         bytea   NOT NULL,
  keep         integer NOT NULL,
  starts       bigint  NOT NULL,
  ends         bigint  NOT NULL,
  dropped      bigint  NOT NULL,
  told         boolean NOT NULL DEFAULT false
);
CREATE INDEX pruned_untold ON pruned (pruned) WHERE NOT told;
CREATE INDEX pruned_organization ON pruned (organization, pruned);

CREATE TABLE pruned_part (
  pruned         bigint   NOT NULL REFERENCES pruned,
  category       smallint NOT NULL,
  events         bigint   NOT NULL,
  flows          bigint   NOT NULL,
  first_sequence bigint   NOT NULL,
  last_sequence  bigint   NOT NULL,
  first_time     bigint   NOT NULL,
  last_time      bigint   NOT NULL,
  PRIMARY KEY (pruned, category)
);
