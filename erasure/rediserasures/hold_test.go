package rediserasures_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/errs"
)

// TestAHoldThatComesAfterTheRequestStopsIt: what is on hold is kept, whatever was asked for before, until the hold is lifted.
func TestAHoldThatComesAfterTheRequestStopsIt(t *testing.T) {
	each(t, func(w *world) {
		w.furnish("acme", "canary-alice")
		uid := w.uids["acme"]
		w.archive.left[uid], w.archive.archived = 4, w.now.Add(24*time.Hour)
		asked := w.ask("1")
		w.onHold = uid
		if _, err := w.cases.Erase(w.Context(), "unix:0", w.request("2")); !errs.Is(err, "ORGANIZATION_ON_HOLD") {
			w.Errorf("asked during the hold: %v", err)
		}
		for range 3 {
			w.round()
			w.now = w.now.Add(31 * time.Second)
		}
		if e := w.get(asked.ID); e.State != erasure.StateRunning || w.archive.left[uid] != 4 || w.held("acme", "canary-alice") != 5 {
			w.Errorf("on hold: %+v", e)
		}
		w.onHold = ""
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateDone || e.Found.Events != 4 || w.held("acme", "canary-alice") != 0 {
			w.Errorf("after it: %+v", e)
		}
	})
}

func TestAHoldStopsTheSecondLook(t *testing.T) {
	each(t, func(w *world) {
		uid := w.uids["acme"]
		asked := w.ask("1")
		w.round()
		w.archive.left[uid], w.archive.archived = 1, w.now.Add(24*time.Hour)
		w.now, w.onHold = w.now.Add(2*time.Second), uid
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateWaiting || w.archive.left[uid] != 1 {
			w.Errorf("%+v", e)
		}
	})
}
