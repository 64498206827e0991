-- What is counted and skipped by, of one shelf; N stands for its number. Both tables speak of whole blocks of an organization's sequence alone: the transaction that
-- gives the last number of a block adds up what the block has here (fold.go). What follows the last whole block are at most 1023
-- events, which readers look at one by one. So a batch costs nothing more than before until a block is full, and then one row for
-- everything alike.

-- Which values of which field (audit.Field) a block has: events without them are not looked at. Written once.
CREATE TABLE presence_N (
  organization integer  NOT NULL,
  field        smallint NOT NULL,
  value        text COLLATE "C" NOT NULL, -- as the column of event_N has it; of numbers the digits
  block        bigint   NOT NULL,
  exact        bytea,                     -- the term, where the value is only its hash or goes on behind it
  PRIMARY KEY (organization, field, value, block)
);

-- How many events have a value, by the UTC hour of their time. Rows of the empty site are those of all events; field 0 with the
-- empty value counts events themselves. lag is the hour of the moment, which retention goes by, minus that hour. A field of 100 and
-- more is one without the 100, counted over the whole shelf; its hour and lag are 0.
CREATE TABLE hour_N (
  organization integer  NOT NULL,
  field        smallint NOT NULL,
  kind         smallint NOT NULL, -- the category, plus 4 for what was made in a sandbox
  hour         integer  NOT NULL, -- since 1970
  lag          integer  NOT NULL,
  count        bigint   NOT NULL,
  site         bytea    NOT NULL,
  value        bytea    NOT NULL, -- a term
  PRIMARY KEY (organization, site, field, value, hour, kind, lag)
) WITH (fillfactor = 70);
