package directorytest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
)

// Revoker moves the moment before which proofs count no more: authflow.ProofBounds.
type Revoker interface {
	RevokeProofs(ctx context.Context, organizationUID, siteUID string, notBefore time.Time, ev audit.Event, key policy.ApplyKey) (time.Time, string, error)
}

var moment = time.Date(2026, 11, 20, 12, 0, 0, 5, time.UTC)

// full is an organization as read, with something in every field.
func full(t *testing.T, h *Harness) *policy.Organization {
	t.Helper()
	o := rich(t, created(t, h, "org-"+newID()[24:]))
	must(t, h, policy.Change{Organization: o, WritePolicy: true})
	return current(t, h.Directory, o.UID)
}

var revokeCases = map[string]func(*testing.T, *Harness){
	"a bound binds every process at once, with one event, and nothing else changes": func(t *testing.T, h *Harness) {
		for name, site := range map[string]bool{"organization": false, "site": true} {
			o := full(t, h)
			current(t, h.Second, o.UID)
			want := *o
			want.Sites = append([]policy.Site(nil), o.Sites...)
			uid := ""
			if site {
				uid = o.Sites[0].UID
				want.Sites[0].ProofsNotBefore = moment
			} else {
				want.ProofsNotBefore = moment
			}
			before := len(h.Events(t, o.UID))
			e := event(o, audit.TypeProofsRevoked)
			at, id, err := h.Directory.RevokeProofs(t.Context(), o.UID, uid, moment, e, requestKey())
			if err != nil || !at.Equal(moment) || id != e.ID {
				t.Fatalf("%s: %v, %s, %v", name, at, id, err)
			}
			for process, d := range map[string]policy.Directory{"same": h.Directory, "other": h.Second} {
				got := current(t, d, o.UID)
				if got.PolicyStamp == o.PolicyStamp || got.Stamp == o.Stamp {
					t.Errorf("%s, %s process: the stamps did not move", name, process)
				}
				want.Stamp, want.PolicyStamp, want.Revision, want.Updated = got.Stamp, got.PolicyStamp, o.Revision+1, got.Updated
				if d := cmp.Diff(&want, got, same); d != "" {
					t.Errorf("%s, %s process (-want +got):\n%s", name, process, d)
				}
			}
			if o.ProofsNotBefore.Equal(moment) || o.Sites[0].ProofsNotBefore.Equal(moment) {
				t.Errorf("%s: what was read before has changed", name)
			}
			if events := h.Events(t, o.UID)[before:]; len(events) != 1 || events[0].ID != e.ID || events[0].Revision != o.Revision+1 ||
				len(events[0].Changes) != 1 || events[0].Changes[0].After != moment.Format(time.RFC3339Nano) || len(e.Changes) != 0 {
				t.Errorf("%s: %+v", name, events)
			}
		}
	},
	"the same request gets the first answer, another with its id is refused": func(t *testing.T, h *Harness) {
		o := full(t, h)
		key, e := requestKey(), event(o, audit.TypeProofsRevoked)
		if _, _, err := h.Directory.RevokeProofs(t.Context(), o.UID, "", moment, e, key); err != nil {
			t.Fatal(err)
		}
		before := h.Dump(t)
		at, id, err := h.Second.RevokeProofs(t.Context(), o.UID, "", moment.Add(time.Hour), event(o, audit.TypeProofsRevoked), key)
		if err != nil || !at.Equal(moment) || id != e.ID {
			t.Errorf("%v, %s, %v", at, id, err)
		}
		key.Digest[0] ^= 1
		if _, _, err := h.Second.RevokeProofs(t.Context(), o.UID, "", moment, e, key); !errs.Is(err, "REQUEST_ID_REUSED") {
			t.Errorf("another request: %v", err)
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
	},
	"a bound never moves back": func(t *testing.T, h *Harness) {
		o := full(t, h)
		for _, uid := range []string{"", o.Sites[0].UID} {
			late := moment.Add(time.Hour)
			for _, at := range []time.Time{late, moment} {
				if got, _, err := h.Directory.RevokeProofs(t.Context(), o.UID, uid, at, event(o, audit.TypeProofsRevoked), requestKey()); err != nil || !got.Equal(late) {
					t.Errorf("site %q at %v: %v, %v", uid, at, got, err)
				}
			}
		}
		if got := current(t, h.Second, o.UID); !got.ProofsNotBefore.Equal(moment.Add(time.Hour)) || !got.Sites[0].ProofsNotBefore.Equal(moment.Add(time.Hour)) {
			t.Errorf("%v, %v", got.ProofsNotBefore, got.Sites[0].ProofsNotBefore)
		}
	},
	"what is not there, or not whole, is refused and writes nothing": func(t *testing.T, h *Harness) {
		o := full(t, h)
		stranger := event(o, audit.TypeProofsRevoked)
		stranger.OrganizationUID = newID()
		before := h.Dump(t)
		for name, c := range map[string]struct {
			organization, site string
			at                 time.Time
			e                  audit.Event
			key                policy.ApplyKey
			want               errs.Kind
		}{
			"site":         {o.UID, newID(), moment, event(o, audit.TypeProofsRevoked), requestKey(), errs.NotFound},
			"organization": {stranger.OrganizationUID, "", moment, stranger, requestKey(), errs.NotFound},
			"event":        {o.UID, "", moment, stranger, requestKey(), errs.Internal},
			"moment":       {o.UID, "", time.Time{}, event(o, audit.TypeProofsRevoked), requestKey(), errs.Internal},
			"key":          {o.UID, "", moment, event(o, audit.TypeProofsRevoked), policy.ApplyKey{}, errs.Internal},
		} {
			if _, _, err := h.Directory.RevokeProofs(t.Context(), c.organization, c.site, c.at, c.e, c.key); errs.KindOf(err) != c.want || err == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if h.Dump(t) != before {
			t.Error("something was written")
		}
	},
	"a record of the wrong type at any place stops the whole commit": func(t *testing.T, h *Harness) {
		for i := range 4 {
			o := full(t, h)
			key := requestKey()
			name := h.Touched(policy.Change{Organization: o, Request: key})[i]
			undo := h.Spoil(t, name)
			before := h.Dump(t)
			if _, _, err := h.Directory.RevokeProofs(t.Context(), o.UID, "", moment, event(o, audit.TypeProofsRevoked), key); err == nil {
				t.Errorf("place %d: it worked", i)
			}
			if h.Dump(t) != before {
				t.Errorf("place %d (%s): something was written", i, name)
			}
			undo()
		}
	},
	"of racing calls with one key one happens, and other changes do not stop it": func(t *testing.T, h *Harness) {
		o := full(t, h)
		key := requestKey()
		var wait sync.WaitGroup
		ids := make([]string, 6)
		for i := range ids {
			d := h.Directory
			if i%2 == 1 {
				d = h.Second
			}
			wait.Go(func() {
				var err error
				if _, ids[i], err = d.RevokeProofs(t.Context(), o.UID, "", moment.Add(time.Duration(i)), event(o, audit.TypeProofsRevoked), key); err != nil {
					t.Errorf("%v", err)
				}
			})
		}
		wait.Go(func() {
			for n := range byte(10) {
				for {
					_, _, err := h.Second.Commit(t.Context(), policy.Change{Organization: current(t, h.Second, o.UID), AddClaims: []policy.ClaimRecord{claim(n)}})
					if err == nil {
						break
					}
					if !errs.Is(err, "ETAG_MISMATCH") {
						t.Errorf("%v", err)
						return
					}
				}
			}
		})
		wait.Wait()
		revoked := 0
		for _, e := range h.Events(t, o.UID) {
			if e.Type == audit.TypeProofsRevoked {
				revoked++
			}
		}
		for _, id := range ids {
			if id != ids[0] || id == "" {
				t.Errorf("%v", ids)
				break
			}
		}
		if got := current(t, h.Directory, o.UID); revoked != 1 || got.ProofsNotBefore.Before(moment) {
			t.Errorf("%d events, bound %v", revoked, got.ProofsNotBefore)
		}
		if page, err := h.Directory.Domains(t.Context(), o.UID, policy.Domain{}, 1); err != nil || page.ClaimCount != 10 {
			t.Errorf("%+v, %v", page, err)
		}
	},
}
