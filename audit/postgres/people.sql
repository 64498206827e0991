-- What the record says of people (audit.SubjectRow), at organizations and at their sites: kept in step with events by the transaction
-- that stores them. Not on shelves: a person is seen again and again. Who was last seen before the edge of sign-ins is not shown,
-- and deleted by the pruner.
CREATE TABLE subject (
  organization integer  NOT NULL REFERENCES organization,
  subject      bytea    NOT NULL, -- blind index of the account id, as in term_N
  place        text COLLATE "C" NOT NULL, -- '': the row of the organization; else which site (stored.Place)
  site         text COLLATE "C" NOT NULL, -- site id
  last         bigint   NOT NULL,
  last_mfa     bigint   NOT NULL,
  class        smallint NOT NULL,
  body         bytea    NOT NULL, -- one state-format byte and a postern.store.v1.SubjectRecord
  PRIMARY KEY (organization, subject, place)
) WITH (fillfactor = 70);
-- Lists, the latest seen first, of an organization ('') or a site; and who is to be forgotten.
CREATE INDEX subject_seen ON subject (organization, site, last DESC, subject);
