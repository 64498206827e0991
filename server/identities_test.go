package server_test

import (
	"strings"
	"testing"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

func TestPagesOfIdentitiesJoinAndATokenIsGoodForItsQueryOnly(t *testing.T) {
	e := &elsewhere{}
	for i := range 7 {
		e.links = append(e.links, authflow.Link{Identity: authflow.IdentityKey{byte(i)}, AccountID: acctMia})
	}
	w := newWorld(t, e.serve)
	c := posternv1.NewIdentityServiceClient(w.dial(t))
	r := &posternv1.ListIdentitiesRequest{Parent: acme, PageSize: 3}
	seen := map[string]bool{}
	var token string
	for {
		page, err := c.ListIdentities(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.GetIdentities() {
			seen[i.GetName()] = true
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
		token = r.GetPageToken()
	}
	if len(seen) != 7 || token == "" {
		t.Errorf("%d identities seen: %v", len(seen), seen)
	}
	for name, r := range map[string]*posternv1.ListIdentitiesRequest{
		"another account": {Parent: acme, AccountId: "acct-2", PageToken: token}, "a made-up token": {Parent: acme, PageToken: "AQID"},
	} {
		_, err := c.ListIdentities(testContext(t), r)
		failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
		if d := w.one(t).Denial; d.Method != "/postern.v1.IdentityService/ListIdentities" {
			t.Errorf("%s: recorded as %+v", name, d)
		}
	}
	e.say(authflow.Answer{}, errs.New(errs.NotFound, "ORGANIZATION_NOT_FOUND", "there is none"))
	_, err := c.ListIdentities(testContext(t), &posternv1.ListIdentitiesRequest{Parent: "organizations/nobody"})
	failed(t, err, "NOT_FOUND", "ORGANIZATION_NOT_FOUND")
}

func TestAnIdentityIsUnlinkedByNameAndForAReason(t *testing.T) {
	e := &elsewhere{}
	w := newWorld(t, e.serve)
	c := posternv1.NewIdentityServiceClient(w.dial(t))
	good := acme + "/identities/" + strings.Repeat("0b", 32)
	if _, err := c.UnlinkIdentity(testContext(t), &posternv1.UnlinkIdentityRequest{Name: good, RequestId: "r", Reason: "left"}); err != nil {
		t.Fatal(err)
	}
	calls := e.calls()
	if len(calls) != 1 || calls[0].(authflow.UnlinkInput).Identity[0] != 0x0b || calls[0].(authflow.UnlinkInput).Reason != "left" {
		t.Errorf("asked %+v", calls)
	}
	for reason, r := range map[string]*posternv1.UnlinkIdentityRequest{
		"FIELD_REQUIRED": {Name: good, RequestId: "r"}, "NAME_INVALID": {Name: strings.ToUpper(good), RequestId: "r", Reason: "left"},
		"FIELD_INVALID": {Name: good, RequestId: "r", Reason: strings.Repeat("x", 513)},
	} {
		_, err := c.UnlinkIdentity(testContext(t), r)
		failed(t, err, "INVALID_ARGUMENT", reason)
		if d := w.one(t).Denial; d.Reason != reason {
			t.Errorf("recorded as %+v", d)
		}
	}
	if len(e.calls()) != 0 {
		t.Error("the use case was reached")
	}
	e.say(authflow.Answer{}, errs.New(errs.Unavailable, "NOT_RECORDED", "try again"))
	_, err := c.UnlinkIdentity(testContext(t), &posternv1.UnlinkIdentityRequest{Name: good, RequestId: "r", Reason: "left"})
	failed(t, err, "UNAVAILABLE", "NOT_RECORDED")
}

func TestIdentitiesWithoutTheirPartsDoNotStart(t *testing.T) {
	for want, i := range map[string]*server.Identities{
		"Identities.Keeper": {MAC: mac{}}, "Identities.MAC": {Keeper: &elsewhere{}},
	} {
		w := &world{outbox: newOutbox(), flows: newFlows(), archive: &archive{}, factors: &factors{}, connections: &connections{}, domains: &domains{}, log: &syncBuffer{}}
		c := w.config()
		c.Identities = i
		if _, err := server.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", want, err)
		}
	}
}
