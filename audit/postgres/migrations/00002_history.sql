-- +goose Up
-- What directories were: written by the transaction that stores the event which brings it, and not subject to the retention of
-- events. sequence is that of the event: it orders commits, also across a store that was set back and counts revisions again.
-- Records are postern.store.v1 records as Redis has them, without anything secret or personal.

-- One row per directory commit: which one was the newest at a moment.
CREATE TABLE history_commit (
  organization integer NOT NULL REFERENCES organization,
  sequence     bigint  NOT NULL,
  revision     bigint  NOT NULL,
  recorded     bigint  NOT NULL,
  back_to      bigint,          -- the store was set back to this revision: audit.DirectoryWrite
  PRIMARY KEY (organization, sequence)
);
CREATE INDEX history_moment ON history_commit (organization, recorded, sequence);
CREATE INDEX history_revision ON history_commit (organization, revision, sequence);
CREATE INDEX history_set_back ON history_commit (organization, sequence) WHERE back_to IS NOT NULL;

-- One row per commit that wrote the organization's record (an OrganizationRecord without secrets), with its event: that one
-- must outlast its own retention. Erasure sets salt and sealed to NULL here as it does in event_N; the digest stays.
CREATE TABLE history_organization (
  organization    integer NOT NULL REFERENCES organization,
  sequence        bigint  NOT NULL,
  revision        bigint  NOT NULL,
  recorded        bigint  NOT NULL,
  policy          boolean NOT NULL, -- the event says that the policy was written
  personal_salt   bytea,
  personal_sealed bytea,
  personal_digest bytea,
  body            bytea   NOT NULL, -- of the event, as in event_N
  record          bytea   NOT NULL,
  PRIMARY KEY (organization, sequence)
);
-- Versions, newest first.
CREATE INDEX history_organization_revision ON history_organization (organization, revision, sequence);
-- Revisions of the policy, newest first.
CREATE INDEX history_organization_policy ON history_organization (organization, revision, sequence) WHERE policy;

-- One row per domain or claim and commit that wrote it or took it away. A million claims are a million rows: nothing that the
-- row of their commit says is repeated here.
CREATE TABLE history_item (
  organization integer NOT NULL REFERENCES organization,
  key          bytea   NOT NULL, -- audit.DirectoryKey, or its hash where it is long
  sequence     bigint  NOT NULL,
  record       bytea,            -- DomainRecord or ClaimRecord; NULL: gone
  PRIMARY KEY (organization, key, sequence)
);
