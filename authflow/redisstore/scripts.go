package redisstore

import (
	_ "embed" // the scripts

	"github.com/postern-audit/postern/internal/redisx"
)

var (
	//go:embed commit.lua
	commitText string
	//go:embed read.lua
	readText string
	//go:embed append.lua
	appendEventsText string
	//go:embed close_tally.lua
	closeTallyText string
	//go:embed lease.lua
	leaseText string
	//go:embed done.lua
	doneText string
	//go:embed head.lua
	headText string
	//go:embed outbox_head.lua
	outboxHeadText string
	//go:embed forget.lua
	forgetText string
)

// scripts are made once per store; a Script is immutable.
type scripts struct {
	commit, read, append, closeTally, done, head, forget *redisx.Script
}

func newScripts() scripts {
	return scripts{
		commit: redisx.NewScript(commitText), read: redisx.NewScript(readText), append: redisx.NewScript(appendEventsText),
		closeTally: redisx.NewScript(closeTallyText), done: redisx.NewScript(doneText),
		head: redisx.NewScript(headText), forget: redisx.NewScript(forgetText),
	}
}
