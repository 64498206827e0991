package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/erasure"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// forgets is the use cases around erasures: it notes what it is asked.
type forgets struct {
	asked erasure.Request
	who   string
	looks int
	list  []erasure.Erasure
}

func (f *forgets) serve(c *server.Config) { c.Query.Erasures = f }

func (f *forgets) Erase(_ context.Context, caller string, in erasure.Request) (erasure.Erasure, error) {
	f.asked, f.who = in, caller
	return f.list[0], nil
}

func (f *forgets) Look(_ context.Context, in erasure.Request) (erasure.Found, error) {
	f.asked = in
	f.looks++
	return erasure.Found{Events: 3, Memories: 1}, nil
}

func (f *forgets) Get(_ context.Context, _, id string) (erasure.Erasure, error) {
	for _, e := range f.list {
		if e.ID == id {
			return e, nil
		}
	}
	return erasure.Erasure{}, errs.New(errs.NotFound, "ERASURE_NOT_FOUND", "the organization has no such erasure")
}

func (f *forgets) List(_ context.Context, _, before string, limit int) (out []erasure.Erasure, err error) {
	for _, e := range f.list {
		if (before == "" || e.ID < before) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func fiveErasures() *forgets {
	f := &forgets{}
	for n := 5; n > 0; n-- {
		f.list = append(f.list, erasure.Erasure{ID: fmt.Sprintf("01a1fa35-0000-7000-8000-%012d", n), State: erasure.StateWaiting, Caller: "unix:0", Requested: time.Unix(9, 0),
			Due: time.Unix(10, 0), Subjects: []audit.Index{{Value: []byte{0xab}}}, Found: erasure.Found{Events: 7, Sessions: 6, Identities: 5, Authenticators: 4, Memories: 3}})
	}
	return f
}

func TestAnErasureIsAskedForAndShownWithoutThePerson(t *testing.T) {
	f := fiveErasures()
	w := newWorld(t, f.serve)
	c := posternv1.NewEventServiceClient(w.dial(t))
	r := &posternv1.EraseSubjectRequest{Parent: acme, AccountId: "acct-1", Email: "Ann@Partner-Postern-Demo.com", Reason: "she asked", RequestId: "r"}
	e, err := c.EraseSubject(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	if f.asked.Organization != "acme" || f.asked.AccountID != "acct-1" || f.asked.Email.String() == "" || f.asked.Reason != "she asked" || f.asked.RequestID != "r" || f.who == "" {
		t.Errorf("asked %+v by %q", f.asked, f.who)
	}
	if n := e.GetCounts(); e.GetName() != acme+"/erasures/"+f.list[0].ID || e.GetState() != posternv1.Erasure_STATE_WAITING || e.GetSubject() != "ab" || n.GetEvents() != 7 ||
		n.GetSessions() != 6 || n.GetIdentities() != 5 || n.GetAuthenticators() != 4 || n.GetProofs() != 3 || e.GetFinishTime() != nil || e.GetDueTime() == nil {
		t.Errorf("shown as %v", e)
	}
	r.DryRun = true
	if e, err = c.EraseSubject(testContext(t), r); err != nil || e.GetName() != "" || e.GetCounts().GetEvents() != 3 || f.looks != 1 {
		t.Errorf("a look: %v, %v", e, err)
	}
	if e, err = c.GetErasure(testContext(t), &posternv1.GetErasureRequest{Name: acme + "/erasures/" + f.list[2].ID}); err != nil || e.GetName() != acme+"/erasures/"+f.list[2].ID {
		t.Errorf("read: %v, %v", e, err)
	}
	for reason, name := range map[string]string{"ERASURE_NOT_FOUND": acme + "/erasures/x", "NAME_INVALID": acme + "/erasures/a/b"} {
		_, err := c.GetErasure(testContext(t), &posternv1.GetErasureRequest{Name: name})
		failed(t, err, map[string]string{"ERASURE_NOT_FOUND": "NOT_FOUND", "NAME_INVALID": "INVALID_ARGUMENT"}[reason], reason)
	}
	_, err = c.EraseSubject(testContext(t), &posternv1.EraseSubjectRequest{Parent: acme, AccountId: "acct-1", Reason: "she asked"})
	failed(t, err, "INVALID_ARGUMENT", "FIELD_REQUIRED")
}

func TestPagesOfErasuresJoinAndATokenIsGoodForItsQueryOnly(t *testing.T) {
	f := fiveErasures()
	w := newWorld(t, f.serve)
	c := posternv1.NewEventServiceClient(w.dial(t))
	r := &posternv1.ListErasuresRequest{Parent: acme, PageSize: 2}
	var seen []string
	var token string
	for {
		page, err := c.ListErasures(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetErasures() {
			seen = append(seen, e.GetName())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
		token = r.GetPageToken()
	}
	if len(seen) != 5 || seen[0] != acme+"/erasures/"+f.list[0].ID || seen[4] != acme+"/erasures/"+f.list[4].ID {
		t.Errorf("seen %v", seen)
	}
	for _, r := range []*posternv1.ListErasuresRequest{{Parent: "organizations/globex", PageToken: token}, {Parent: acme, PageToken: "AQID"}} {
		_, err := c.ListErasures(testContext(t), r)
		failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
	}
}

func TestAProcessWithoutErasuresSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewEventServiceClient(w.dial(t))
	_, err := c.EraseSubject(testContext(t), &posternv1.EraseSubjectRequest{Parent: acme, AccountId: "a", Reason: "x", RequestId: "r"})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
	_, err = c.GetErasure(testContext(t), &posternv1.GetErasureRequest{Name: acme + "/erasures/x"})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
	_, err = c.ListErasures(testContext(t), &posternv1.ListErasuresRequest{Parent: acme})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
}
