-- +goose Up
-- Where the record is kept: '' is nowhere in particular.
ALTER TABLE installation ADD COLUMN region text NOT NULL DEFAULT '';
