-- +goose Up
-- What directories were: written by the transaction that stores the event which brings it, and not subject to the retention of
-- events. organization is the number in organization_sequence, sequence that of the event: it orders commits, also across a
-- store that was set back and counts revisions again. Records are postern.store.v1 records as Redis has them, without anything
-- secret or personal.

-- One row per directory commit: which one was the newest at a moment.
CREATE TABLE history_commit (
  organization INTEGER NOT NULL REFERENCES organization_sequence,
  sequence     INTEGER NOT NULL,
  revision     INTEGER NOT NULL,
  recorded     INTEGER NOT NULL,
  back_to      INTEGER,          -- the store was set back to this revision: audit.DirectoryWrite
  PRIMARY KEY (organization, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_moment ON history_commit (organization, recorded, sequence);
CREATE INDEX history_revision ON history_commit (organization, revision, sequence);
CREATE INDEX history_set_back ON history_commit (organization, sequence) WHERE back_to IS NOT NULL;

-- One row per commit that wrote the organization's record (an OrganizationRecord without secrets), with its event: that one
-- must outlast its own retention. Erasure sets salt and sealed to NULL here as it does in event; the digest stays.
CREATE TABLE history_organization (
  version         INTEGER PRIMARY KEY,
  organization    INTEGER NOT NULL REFERENCES organization_sequence,
  sequence        INTEGER NOT NULL,
  revision        INTEGER NOT NULL,
  recorded        INTEGER NOT NULL,
  policy          INTEGER NOT NULL, -- 1: the event says that the policy was written
  personal_salt   BLOB,
  personal_sealed BLOB,
  personal_digest BLOB,
  body            BLOB    NOT NULL, -- of the event, as in event
  record          BLOB    NOT NULL  -- last: lists do not read through it
) STRICT;
CREATE UNIQUE INDEX history_organization_sequence ON history_organization (organization, sequence);
-- Versions, newest first.
CREATE INDEX history_organization_revision ON history_organization (organization, revision, sequence);
-- Revisions of the policy, newest first.
CREATE INDEX history_organization_policy ON history_organization (organization, revision, sequence) WHERE policy = 1;

-- One row per domain or claim and commit that wrote it or took it away. A million claims are a million rows: nothing that the
-- row of their commit says is repeated here.
CREATE TABLE history_item (
  organization INTEGER NOT NULL REFERENCES organization_sequence,
  key          BLOB    NOT NULL, -- audit.DirectoryKey
  sequence     INTEGER NOT NULL,
  record       BLOB,             -- DomainRecord or ClaimRecord; NULL: gone
  PRIMARY KEY (organization, key, sequence)
) STRICT, WITHOUT ROWID;
