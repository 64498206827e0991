package audit

// What a process that does everything asks of its archive, grouped.

// BatchingArchive is an archive that stores batches one by one and several at once.
type BatchingArchive interface {
	Archive
	BatchArchive
}

// DeepReader reads more than events and flows one by one: what directories were, and many flows with their events.
type DeepReader interface {
	HistoryReader
	FlowScanner
}

// Overview is the side of an archive that sums up what it has.
type Overview interface {
	Counter
	Shelves
	Recovery
}

// People is the side of an archive that knows people, and forgets them.
type People interface {
	SubjectReader
	SubjectPruner
	SubjectDumper
	Eraser
}

// FullDumper gives every row of the record and of directories' history as it is stored.
type FullDumper interface {
	Dumper
	HistoryDumper
}
