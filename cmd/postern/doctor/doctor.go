// Package doctor looks at what a process would run on, and says what operators get wrong: what is wrong, why it matters, and what
// mends it.
//
// Purpose: one command before the first start, and one when something is strange. Invariant: it changes nothing, makes nothing, and
// says of everything it could not look at that it could not. It must never show a key or a password, and never start a part of the
// process. First file to read: doctor.go; each other file is a group of checks.
package doctor

import (
	"context"
	"time"

	"github.com/postern-audit/postern/internal/config"
)

// Level says how a check came out.
type Level string

// The levels.
const (
	OK      Level = "OK"
	Warn    Level = "WARN"    // works, and somebody should know
	Fail    Level = "FAIL"    // the process does not start like this, or a promise does not hold
	Skipped Level = "SKIPPED" // not looked at: what it needs failed before
)

// Finding is what one check says.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"` // its name, which does not change
	Found string `json:"found"`
	Why   string `json:"why,omitempty"` // it matters; for what is not OK
	Fix   string `json:"fix,omitempty"` // a command or a setting; for what is not OK
}

// Examination is one look at everything.
type Examination struct {
	Config config.Config
	Now    func() time.Time

	findings []Finding
}

// timeFor is how long one group of checks may take: what hangs is a finding, too.
const timeFor = 15 * time.Second

// Run looks at everything and returns what it found, in a fixed order.
func (e *Examination) Run(ctx context.Context) []Finding {
	e.findings = nil
	e.settings()
	e.machine()
	e.keys()
	redis := e.redis(ctx)
	archive := e.archive(ctx)
	e.together(redis, archive)
	e.sidecar(ctx)
	return e.findings
}

// Worst is the worst level among findings. What was skipped counts for nothing by itself: something else failed.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		if f.Level == Fail || f.Level == Warn && worst == OK {
			worst = f.Level
		}
	}
	return worst
}

func (e *Examination) ok(check, found string) {
	e.findings = append(e.findings, Finding{Level: OK, Check: check, Found: found})
}

func (e *Examination) skip(check, because string) {
	e.findings = append(e.findings, Finding{Level: Skipped, Check: check, Found: because})
}

func (e *Examination) bad(level Level, check, found, why, fix string) {
	e.findings = append(e.findings, Finding{Level: level, Check: check, Found: found, Why: why, Fix: fix})
}
