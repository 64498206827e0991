// Package export makes files of an organization's record.
//
// Purpose: take a question (filter, format), make the file in the background, a few at a time, keep it until its time is over, and
// hand it to whoever has a link. Invariant: what a file holds is every event the filter chooses up to the record's last one when it was
// asked for, in sequence order and each once, whoever is killed where; a job that was made, ended, fetched or removed without its event
// cannot exist. It must never hold more of the record in memory than a few pages, put a filter, a link or a cell into a log or an
// error, or let one process write to a file that another one writes. First file to read: job.go, then jobs.go, worker.go and making.go.
package export
