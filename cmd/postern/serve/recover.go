package serve

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/recovery"
)

// runningMark names a file that is there while a process with the embedded store runs: one left behind tells of a kill.
const runningMark = "running"

// recoverLost brings an embedded store that was killed in line with the archive, and says what was lost. With a real Redis
// there is nothing to do: what was acknowledged is there.
func (p *process) recoverLost(ctx context.Context) error {
	if !p.c.Embedded() {
		return nil
	}
	mark := filepath.Join(p.c.DataDir, runningMark)
	_, err := os.Stat(mark)
	killed := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &ConfigError{err}
	}
	// What the snapshot still holds of the outbox goes first: the archive must say all it can.
	if err := p.work.archiver.Flush(ctx); err != nil {
		return unfit("archive", err)
	}
	report, err := recovery.Run(ctx, recovery.Config{
		Partitions: p.c.Partitions, Archive: p.stores.archive, Flows: p.stores.flows, Directory: p.stores.directory, APIKeys: p.work.keyStore,
		Outbox: p.stores.flows.Outbox(), Codec: p.stores.codec, Keys: p.stores.keyring,
		Namer: p.stores.namer, Now: p.clock.Now, NewID: newID})
	if err != nil {
		return unfit("recovery", err)
	}
	if err := p.stores.embedded.Save(ctx); err != nil { // a kill from now on finds at least an installation
		return unfit("embedded store", err)
	}
	p.tellLost(ctx, killed, report)
	if err := os.WriteFile(mark, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return &ConfigError{err}
	}
	p.unmark = func() error { return os.Remove(mark) }
	return nil
}

// tellLost says what a kill of the process before cost.
func (p *process) tellLost(ctx context.Context, killed bool, r recovery.Report) {
	if !killed {
		if !r.Empty() {
			p.log.WarnContext(ctx, "the archive is still ahead of the embedded store", "flows_ended", r.FlowsEnded, "flows_set_back", r.FlowsSetBack,
				"organizations_lost", r.Organizations, "organizations_set_back", r.Changed)
		}
		return
	}
	saved := "never"
	if !p.stores.savedAt.IsZero() {
		saved = p.stores.savedAt.UTC().Format(time.RFC3339)
	}
	text := []string{"what was not archived after the snapshot"}
	for _, part := range []struct {
		n    int
		text string
	}{
		{r.FlowsEnded, "open sign-ins, ended ABANDONED with STORE_LOST: " + strconv.Itoa(r.FlowsEnded)},
		{r.FlowsSetBack, "sign-ins that were further on than the snapshot: " + strconv.Itoa(r.FlowsSetBack)},
		{len(r.Organizations), "whole organizations, apply their documents again: " + strings.Join(r.Organizations, ", ")},
		{len(r.Changed), "last changes of organizations, apply their documents again: " + strings.Join(r.Changed, ", ")},
	} {
		if part.n > 0 {
			text = append(text, part.text)
		}
	}
	p.log.WarnContext(ctx, "RECOVERED: the process before this one was killed, and the embedded store was set back to its last snapshot",
		"snapshot", saved, "lost", strings.Join(text, "; "), "flows_ended", r.FlowsEnded, "flows_set_back", r.FlowsSetBack,
		"organizations_lost", r.Organizations, "organizations_set_back", r.Changed)
}
