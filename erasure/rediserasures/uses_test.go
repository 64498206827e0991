package rediserasures_test

import (
	"testing"
	"time"

	"github.com/postern-audit/postern/erasure"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// session gives canary-alice a session that began and was last recorded to be used so long ago; 0: it was never used.
func (w *world) session(n byte, began, used time.Duration) {
	w.Helper()
	uid, account := w.uids["acme"], w.account("acme", "canary-alice")
	m := &storev1.SessionRecord{OrganizationUid: uid, SubjectKey: account[:], Started: stamp(w.now.Add(-began))}
	if used > 0 {
		m.LastUse = stamp(w.now.Add(-used))
	}
	w.put(w.names.Of(uid).Session([32]byte{n}), m)
}

// counted is when what is counted in the present hour is on record.
func (w *world) counted() time.Time {
	return w.now.Truncate(time.Hour).Add(time.Hour + 2*time.Minute)
}

// TestUsesOfASessionThatAreStillCountedAreWaitedFor: a session's record says when a use was last news, which may be long ago though
// there were others in this hour.
func TestUsesOfASessionThatAreStillCountedAreWaitedFor(t *testing.T) {
	for name, used := range map[string]time.Duration{"recorded this hour": time.Minute, "recorded hours ago": 5 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.session(1, 6*time.Hour, used)
				asked := w.ask("1")
				w.round()
				if e := w.get(asked.ID); !e.Until.Equal(w.counted()) {
					w.Errorf("%+v", e)
				}
			})
		})
	}
	t.Run("never", func(t *testing.T) {
		each(t, func(w *world) {
			w.session(1, 6*time.Hour, 0)
			asked := w.ask("1")
			w.round()
			if e := w.get(asked.ID); !e.Until.Equal(w.now) {
				w.Errorf("%+v", e)
			}
		})
	})
}

func TestUsesOfASessionThatTheLastSignInLeftAreWaitedForAsWell(t *testing.T) {
	each(t, func(w *world) {
		asked := w.ask("1")
		w.round()
		w.session(1, time.Second, time.Second)
		w.archive.archived = w.now.Add(24 * time.Hour)
		w.now = w.now.Add(2 * time.Second)
		w.round()
		e := w.get(asked.ID)
		if until := w.counted(); e.State != erasure.StateWaiting || !e.Until.Equal(until) || !e.Due.Equal(until) || w.held("acme", "canary-alice") != 0 {
			w.Fatalf("%+v", e)
		}
		w.now = e.Until.Add(time.Hour)
		w.session(2, time.Minute, time.Second) // of somebody who came back
		w.archive.left[w.uids["acme"]] = 1     // what was counted
		w.round()
		w.now = w.now.Add(2 * time.Second)
		w.round()
		if e := w.get(asked.ID); e.State != erasure.StateDone || e.Found.Events != 1 || e.Found.Sessions != 2 {
			w.Errorf("%+v", e)
		}
	})
}
