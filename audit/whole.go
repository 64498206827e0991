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

// FullDumper gives every row as it is stored.
type FullDumper interface {
	Dumper
	HistoryDumper
	SubjectDumper
}
