-- What the record says of people (audit.SubjectRow), at organizations and at their sites: kept in step with events by the transaction
-- that stores them. Not on shelves: a person is seen again and again. Who was last seen before the edge of sign-ins is not shown,
-- and deleted by the pruner.
CREATE TABLE subject (
  organization INTEGER NOT NULL REFERENCES organization_sequence,
  subject      BLOB    NOT NULL, -- blind index of the account id
  place        TEXT    NOT NULL, -- '': the row of the organization; else which site (stored.Place)
  site         TEXT    NOT NULL, -- site id
  last         INTEGER NOT NULL,
  class        INTEGER NOT NULL,
  last_mfa     INTEGER NOT NULL,
  body         BLOB    NOT NULL, -- one state-format byte and a postern.store.v1.SubjectRecord
  PRIMARY KEY (organization, subject, place)
) STRICT, WITHOUT ROWID;
-- Lists, the latest seen first, of an organization ('') or a site; and who is to be forgotten.
CREATE INDEX subject_seen ON subject (organization, site, last DESC, subject);
