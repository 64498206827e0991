package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/postgres"
	"github.com/postern-audit/postern/audit/sqlite"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	hotel         = "organizations/hotel"
	hotelSite     = hotel + "/sites/desk"
	hotelDocument = `
organization: hotel
sites: [{id: desk}]
connections: [{id: google, kind: SOCIAL}, {id: firm, kind: SSO, protocol: OIDC}]
`
	leaves, stays = "guest-who-leaves", "guest-who-stays"
)

func hotelMail(account string) string { return account + "@hotel-postern-demo.com" }

// hotelStory is two people who sign in by every method, and one of whom is forgotten.
type hotelStory struct {
	ward
	p *process
}

func (h *hotelStory) start(account string, lifetime time.Duration, steps ...*posternv1.StepReport) *posternv1.FlowAnswer {
	h.t.Helper()
	r := &posternv1.StartFlowRequest{Parent: hotelSite, RequestId: h.id(), Subject: &posternv1.Subject{Email: hotelMail(account)}, Steps: steps,
		Context: &posternv1.Context{Ip: "203.0.113.7", UserAgent: "agent of " + account, DeviceId: "device of " + account}}
	if lifetime > 0 {
		r.Lifetime = durationpb.New(lifetime)
	}
	a, err := h.p.signIn().StartFlow(h.ctx(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *hotelStory) finish(flow string) {
	h.t.Helper()
	_, err := h.p.signIn().FinishFlow(h.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: h.id(), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if err != nil {
		h.t.Fatal(err)
	}
}

// person signs in by every method, with a code, and keeps a session.
func (h *hotelStory) person(account string) {
	h.t.Helper()
	who := &posternv1.Subject{AccountId: account, Email: hotelMail(account), EmailVerified: proto.Bool(true), DisplayName: "Name of " + account}
	for _, s := range []*posternv1.StepReport{
		{Type: "password.verified"}, {Type: "passwordless.verified", Method: "magic_link"}, {Type: "passwordless.verified", Method: "passkey"},
		{Type: "social.verified", Connection: "google"}, {Type: "sso.verified", Connection: "firm"},
	} {
		s.Subject = who
		a := h.start(account, 0, &posternv1.StepReport{Type: "password.rejected", Reason: "BAD_CREDENTIALS"}, s)
		h.finish(a.GetFlow())
		_, err := h.p.signIn().RecordSession(h.ctx(), &posternv1.RecordSessionRequest{Parent: hotelSite, RequestId: h.id(), Flow: a.GetFlow(),
			Event: posternv1.RecordSessionRequest_EVENT_STARTED, SessionHandle: []byte("session handle " + account + s.GetType() + s.GetMethod())})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	e, err := authenticators(h.p).EnrollTotp(h.ctx(), &posternv1.EnrollTotpRequest{
		Parent: hotel, RequestId: h.id(), AccountId: account, Reason: "story", Issuer: "Hotel", Label: account})
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := authenticators(h.p).ConfirmTotp(h.ctx(), &posternv1.ConfirmTotpRequest{Name: e.GetAuthenticator().GetName(), RequestId: h.id(),
		Code: oathtool(h.t, e.GetSecret(), time.Now().Unix()/30)}); err != nil {
		h.t.Fatal(err)
	}
}

// recorded waits until the archive has at least so many events of the hotel, and all that were recorded by now.
func (h *hotelStory) recorded(atLeast int) (events []*posternv1.Event) {
	h.t.Helper()
	marker := h.id()
	a, err := posternv1.NewEventServiceClient(h.p.conn).EmitTestEvent(h.ctx(), &posternv1.EmitTestEventRequest{Parent: hotel, RequestId: marker})
	if err == nil {
		err = eventually(30*time.Second, func(context.Context) (err error) {
			if events, err = h.p.record(hotel); err != nil {
				return err
			}
			if n := len(events); n < atLeast || hotel+"/events/"+events[n-1].GetId() != a.GetName() && !hasEvent(events, a.GetName()) {
				return fmt.Errorf("%d events", n)
			}
			return nil
		})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return events
}

func hasEvent(events []*posternv1.Event, name string) bool {
	for _, e := range events {
		if hotel+"/events/"+e.GetId() == name {
			return true
		}
	}
	return false
}

// says reports whether an event names an account anywhere.
func says(e *posternv1.Event, account string) bool {
	b, _ := proto.Marshal(e)
	return bytes.Contains(b, []byte(account))
}

// erasure follows an erasure to its end.
func (h *hotelStory) done(name string) *posternv1.Erasure {
	h.t.Helper()
	var e *posternv1.Erasure
	err := eventually(60*time.Second, func(ctx context.Context) (err error) {
		if e, err = posternv1.NewEventServiceClient(h.p.conn).GetErasure(ctx, &posternv1.GetErasureRequest{Name: name}); err != nil {
			return err
		}
		if e.GetState() != posternv1.Erasure_STATE_DONE {
			return fmt.Errorf("%v", e)
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

func TestAPersonIsForgottenInSQLite(t *testing.T) {
	t.Parallel()
	forgetOne(t, newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s", "POSTERN_LOG_LEVEL=debug"), func(r *rig) (audit.Reader, error) {
		return sqlite.Open(context.Background(), filepath.Join(r.data, "archive.db"), time.Now)
	})
}

func TestAPersonIsForgottenInPostgreSQL(t *testing.T) {
	t.Parallel()
	forgetOne(t, newPostgresRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s", "POSTERN_LOG_LEVEL=debug"), func(r *rig) (audit.Reader, error) {
		return postgres.Open(context.Background(), postgres.Options{URL: strings.TrimPrefix(r.env[len(r.env)-1], "POSTERN_ARCHIVE_URL="), Now: time.Now})
	})
}

// forgetOne has two people sign in by every method, forgets one of them while the process is killed, and looks everywhere.
func forgetOne(t *testing.T, r *rig, open func(*rig) (audit.Reader, error)) {
	h := &hotelStory{ward: ward{t: t}, p: r.start("all", "signin", "archiver", "api")}
	h.p.apply(hotel, hotelDocument)
	h.person(leaves)
	h.person(stays)
	before := h.recorded(40)
	kept := h.traces(open, before, stays)
	h.start(leaves, 2*time.Second, &posternv1.StepReport{Type: "password.verified", Subject: &posternv1.Subject{AccountId: leaves}}) // under way
	h.lookFor(leaves)
	before = h.recorded(len(before) + 3)
	gone := h.traces(open, before, leaves)

	events := posternv1.NewEventServiceClient(h.p.conn)
	ask := &posternv1.EraseSubjectRequest{Parent: hotel, AccountId: leaves, Email: hotelMail(leaves), Reason: "checked out", RequestId: h.id(), DryRun: true}
	look, err := events.EraseSubject(h.ctx(), ask)
	if err != nil || look.GetCounts().GetSessions() != 5 || look.GetCounts().GetAuthenticators() != 1 || look.GetCounts().GetProofs() != 1 || look.GetCounts().GetEvents() < 10 {
		t.Fatalf("a look: %v, %v", look, err)
	}
	ask.DryRun = false
	asked, err := events.EraseSubject(h.ctx(), ask)
	if err != nil {
		t.Fatal(err)
	}
	h.p.kill()
	h.p.run()
	h.p.awaitServing()
	if again, err := events.EraseSubject(h.ctx(), ask); err != nil || again.GetName() != asked.GetName() {
		t.Errorf("asked again: %v, %v", again, err)
	}
	e := h.done(asked.GetName())
	if c := e.GetCounts(); c.GetSessions() != 5 || c.GetAuthenticators() != 1 || c.GetProofs() < 1 || c.GetEvents() < 10 {
		t.Errorf("counts %v", c)
	}

	after := h.recorded(len(before) + 3)
	h.compare(before, after)
	h.find(leaves, 0)
	h.find(stays, len(kept.ids))
	if _, err := authenticators(h.p).GetAuthenticator(h.ctx(), &posternv1.GetAuthenticatorRequest{Name: hotel + "/authenticators/" + e.GetSubject()}); reason(err) != "AUTHENTICATOR_NOT_FOUND" {
		t.Errorf("the authenticator: %v", err)
	}
	list, err := authenticators(h.p).ListAuthenticators(h.ctx(), &posternv1.ListAuthenticatorsRequest{Parent: hotel})
	if err != nil || len(list.GetAuthenticators()) != 1 {
		t.Errorf("authenticators %v, %v", list, err)
	}
	if now := h.traces(open, after, stays); len(now.sealed) != len(kept.sealed) {
		t.Errorf("who stays has %d sealed parts, had %d", len(now.sealed), len(kept.sealed))
	}
	h.search(gone, kept)
}

// compare: events keep their place, and say no more who it was.
func (h *hotelStory) compare(before, after []*posternv1.Event) {
	h.t.Helper()
	erased := 0
	for i, b := range before {
		a := after[i]
		if a.GetId() != b.GetId() || a.GetType() != b.GetType() || a.GetReason() != b.GetReason() || a.GetSequence() != b.GetSequence() {
			h.t.Errorf("event %d was %v and is %v", i+1, b, a)
		}
		if says(b, leaves) {
			erased++
			if a.GetPersonal() != nil || a.GetPersonalState() != "ERASED" {
				h.t.Errorf("event %d says %v", i+1, a)
			}
		} else if says(b, stays) && !proto.Equal(a, b) {
			h.t.Errorf("event %d of who stays was %v and is %v", i+1, b, a)
		}
	}
	if erased < 10 {
		h.t.Errorf("only %d events were erased", erased)
	}
	types := map[string]int{}
	for _, e := range after {
		types[e.GetType()]++
		if says(e, leaves) {
			h.t.Errorf("an event says %v", e)
		}
	}
	if types["subject.erasure_requested"] != 1 || types["subject.erased"] != 1 || types["sign_in.abandoned"] != 1 {
		h.t.Errorf("types %v", types)
	}
}

// find searches for a person.
func (h *hotelStory) find(account string, want int) {
	h.t.Helper()
	page, err := posternv1.NewEventServiceClient(h.p.conn).ListEvents(h.ctx(), &posternv1.ListEventsRequest{Parent: hotel, PageSize: 1000,
		Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{AccountIds: []string{account}}}})
	if err != nil || (want == 0) != (len(page.GetEvents()) == 0) {
		h.t.Errorf("%s is found in %d events, %v", account, len(page.GetEvents()), err)
	}
}

// lookFor searches for a person in a way that is told at once, and waits until the record says so.
func (h *hotelStory) lookFor(account string) {
	h.t.Helper()
	if _, err := posternv1.NewEventServiceClient(h.p.conn).CountEvents(h.ctx(), &posternv1.CountEventsRequest{Parent: hotel,
		Filter: &posternv1.EventFilter{Exclude: &posternv1.EventMatch{Emails: []string{hotelMail(account)}}}}); err != nil {
		h.t.Fatal(err)
	}
	if err := eventually(30*time.Second, func(context.Context) error {
		events, err := h.p.record(hotel)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.GetType() == "log.searched" && says(e, account) {
				return nil
			}
		}
		return errors.New("no event tells of the search")
	}); err != nil {
		h.t.Fatal(err)
	}
}

// personTraces are what the archive holds of a person: ciphertexts, and what finds them.
type personTraces struct {
	ids             []string
	sealed, indexes [][]byte
}

// traces reads the archive itself, as a copy of it would be read.
func (h *hotelStory) traces(open func(*rig) (audit.Reader, error), events []*posternv1.Event, account string) (out personTraces) {
	h.t.Helper()
	a, err := open(h.p.rig)
	if err != nil {
		h.t.Fatal(err)
	}
	defer a.(interface{ Close() error }).Close()
	for _, e := range events {
		if !says(e, account) {
			continue
		}
		stored, err := a.Event(h.t.Context(), e.GetOrganizationUid(), e.GetId())
		if err != nil || stored.Sealed == nil {
			h.t.Fatalf("%v: %v", e, err)
		}
		out.ids = append(out.ids, e.GetId())
		out.sealed = append(out.sealed, stored.Sealed.Data)
		for _, x := range stored.Indexes {
			if x.Purpose == audit.IndexAccount || x.Purpose == audit.IndexEmail || x.Purpose == audit.IndexName {
				out.indexes = append(out.indexes, x.Value)
			}
		}
	}
	return out
}

// search looks for what was erased in the files of the archive and the process: not even its ciphertext is there any more. In
// PostgreSQL's own files dead rows stay until they are vacuumed: those are not looked at.
func (h *hotelStory) search(gone, kept personTraces) {
	h.t.Helper()
	found := 0
	err := filepath.WalkDir(h.p.rig.data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, trace := range append(gone.sealed, gone.indexes...) {
			if bytes.Contains(b, trace) {
				h.t.Errorf("a trace is in %s", path)
				break
			}
		}
		for _, text := range []string{leaves, stays} {
			if f := form(b, text); f != "" {
				h.t.Errorf("%s is in %s as %s", text, path, f)
			}
		}
		for _, trace := range kept.sealed {
			if bytes.Contains(b, trace) {
				found++
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if h.p.rig.postgres == nil && found < len(kept.sealed) {
		h.t.Errorf("%d of %d parts of who stays are found: the search does not see the archive", found, len(kept.sealed))
	}
	for _, text := range []string{leaves, stays, "agent of guest", "device of guest", "Name of guest"} {
		for _, key := range h.p.rig.redis.Client().Keys(h.t.Context(), "*").Val() {
			if dump := h.p.rig.redis.Client().Dump(h.t.Context(), key).Val(); form([]byte(key+dump), text) != "" {
				h.t.Errorf("%s stands in Redis under %s", text, key)
			}
		}
	}
}
