package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
)

// connections keeps what it was given, and finds what a test sets.
type connections struct {
	mu    sync.Mutex
	calls []convert.ConnectionSecret
	who   []string
	found []policy.Finding
	fail  error
}

func (c *connections) take(who string, in convert.ConnectionSecret) (*policy.Organization, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls, c.who = append(c.calls, in), append(c.who, who)
	return connected(), c.fail
}

func (c *connections) SetSecret(_ context.Context, who string, in convert.ConnectionSecret) (*policy.Organization, error) {
	return c.take(who, in)
}

func (c *connections) ClearSecret(_ context.Context, who string, in convert.ConnectionSecret) (*policy.Organization, error) {
	return c.take(who, in)
}

func (c *connections) Test(_ context.Context, uid string, conn *policy.Connection) []policy.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(c.found, policy.Finding{Severity: policy.SeverityOK, What: uid, Detail: conn.ID})
}

// connected is acme with connections, not in order.
func connected() *policy.Organization {
	return &policy.Organization{UID: acmeUID, ID: "acme", Stamp: policy.Stamp{7}, Connections: []policy.Connection{
		{ID: "okta", UID: "u-okta"}, {ID: "adfs", UID: "u-adfs"}, {ID: "google", UID: "u-google"}}}
}

// connectedDirectory is the directory of that organization.
type connectedDirectory struct{ directory }

func (d connectedDirectory) Organization(ctx context.Context, uid string) (*policy.Organization, error) {
	if _, err := d.directory.Organization(ctx, uid); err != nil {
		return nil, err
	}
	return connected(), nil
}

func connectedWorld(t *testing.T, change func(*server.Config)) (*world, posternv1.DirectoryServiceClient) {
	t.Helper()
	w := newWorld(t, func(c *server.Config) {
		c.Directory = connectedDirectory{}
		if change != nil {
			change(c)
		}
	})
	return w, posternv1.NewDirectoryServiceClient(w.dial(t))
}

const okta = "organizations/acme/connections/okta"

func TestAConnectionIsGivenWithTheVersionOfItsOrganization(t *testing.T) {
	_, client := connectedWorld(t, func(c *server.Config) {
		c.Forms.Organization = func(o *policy.Organization) *posternv1.Organization {
			return &posternv1.Organization{Etag: fmt.Sprintf("%x", o.Stamp[:1])}
		}
	})
	got, err := client.GetConnection(testContext(t), &posternv1.GetConnectionRequest{Name: okta})
	if err != nil || got.GetName() != okta || got.GetEtag() != "07" {
		t.Errorf("%v, %v", got, err)
	}
	for name, want := range map[string][2]string{
		"organizations/acme/connections/none":  {"NOT_FOUND", "CONNECTION_NOT_FOUND"},
		"organizations/other/connections/okta": {"NOT_FOUND", "ORGANIZATION_NOT_FOUND"},
		"organizations/acme/sites/okta":        {"INVALID_ARGUMENT", "NAME_INVALID"},
		"":                                     {"INVALID_ARGUMENT", "NAME_INVALID"},
	} {
		_, err := client.GetConnection(testContext(t), &posternv1.GetConnectionRequest{Name: name})
		failed(t, err, want[0], want[1])
		_, err = client.TestConnection(testContext(t), &posternv1.TestConnectionRequest{Name: name})
		failed(t, err, want[0], want[1])
	}
}

func TestConnectionsAreListedInPagesByID(t *testing.T) {
	_, client := connectedWorld(t, nil)
	var got []string
	r := &posternv1.ListConnectionsRequest{Parent: "organizations/acme", PageSize: 2}
	for {
		page, err := client.ListConnections(testContext(t), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.GetConnections() {
			got = append(got, c.GetId())
		}
		if r.PageToken = page.GetNextPageToken(); r.PageToken == "" {
			break
		}
	}
	if s := strings.Join(got, " "); s != "adfs google okta" {
		t.Errorf("%s", s)
	}
	organizations, err := client.ListOrganizations(testContext(t), &posternv1.ListOrganizationsRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.ListConnections(testContext(t), &posternv1.ListConnectionsRequest{Parent: "organizations/acme", PageToken: organizations.GetNextPageToken()})
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestASecretGoesToItsUseCaseAndNowhereElse(t *testing.T) {
	w, client := connectedWorld(t, nil)
	const secret, key = "canary0client0secret", "canary0private0key\n"
	set := func(change func(*posternv1.SetConnectionSecretRequest)) error {
		r := &posternv1.SetConnectionSecretRequest{Name: okta, RequestId: "r-1", Secret: &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: secret}}
		if change != nil {
			change(r)
		}
		_, err := client.SetConnectionSecret(testContext(t), r)
		return err
	}
	pem := func(r *posternv1.SetConnectionSecretRequest) {
		r.Etag, r.Secret = "07", &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: key}
	}
	for _, change := range []func(*posternv1.SetConnectionSecretRequest){nil, pem} {
		if err := set(change); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.ClearConnectionSecret(testContext(t), &posternv1.ClearConnectionSecretRequest{Name: okta, RequestId: "r-2", Etag: "08"}); err != nil {
		t.Fatal(err)
	}
	calls := w.connections.calls
	if len(calls) != 3 || string(calls[0].Secret.Reveal()) != secret || calls[0].PrivateKey || string(calls[1].Secret.Reveal()) != key ||
		!calls[1].PrivateKey || calls[1].Etag != "07" || !calls[2].Secret.IsZero() || calls[2].Etag != "08" ||
		calls[0].Organization != "acme" || calls[0].Connection != "okta" || calls[2].RequestID != "r-2" || w.connections.who[0] == "" {
		t.Errorf("%+v", calls)
	}
	for name, c := range map[string]struct {
		change func(*posternv1.SetConnectionSecretRequest)
		reason string
	}{
		"no name":       {func(r *posternv1.SetConnectionSecretRequest) { r.Name = "" }, "NAME_INVALID"},
		"no request id": {func(r *posternv1.SetConnectionSecretRequest) { r.RequestId = "" }, "FIELD_REQUIRED"},
		"no secret":     {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = nil }, "FIELD_REQUIRED"},
		"a bad etag":    {func(r *posternv1.SetConnectionSecretRequest) { r.Etag = "a b" }, "FIELD_INVALID"},
		"an empty key": {func(r *posternv1.SetConnectionSecretRequest) {
			pem(r)
			r.GetSecret().(*posternv1.SetConnectionSecretRequest_PrivateKeyPem).PrivateKeyPem = ""
		}, "FIELD_REQUIRED"},
		"a short secret":  {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = clientSecret(secret[:7]) }, "FIELD_INVALID"},
		"a long secret":   {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = clientSecret(strings.Repeat(secret, 52)) }, "FIELD_INVALID"},
		"a line break":    {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = clientSecret(secret + "\n") }, "FIELD_INVALID"},
		"a long key":      {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = privateKey(strings.Repeat(key, 900)) }, "FIELD_INVALID"},
		"a key of zeroes": {func(r *posternv1.SetConnectionSecretRequest) { r.Secret = privateKey(key + "\x00") }, "FIELD_INVALID"},
	} {
		t.Run(name, func(t *testing.T) { failed(t, set(c.change), "INVALID_ARGUMENT", c.reason) })
	}
	w.connections.fail = errs.New(errs.FailedPrecondition, "CONNECTION_TAKES_NO_SECRET", "it takes none")
	failed(t, set(nil), "FAILED_PRECONDITION", "CONNECTION_TAKES_NO_SECRET")
	if s := w.log.String() + fmt.Sprintf("%+v", w.outbox.take()); strings.Contains(s, "canary0") {
		t.Errorf("a secret shows: %s", s)
	}
}

func clientSecret(s string) *posternv1.SetConnectionSecretRequest_ClientSecret {
	return &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: s}
}

func privateKey(s string) *posternv1.SetConnectionSecretRequest_PrivateKeyPem {
	return &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: s}
}

func TestATestOfAConnectionAnswersWhatWasFound(t *testing.T) {
	w, client := connectedWorld(t, nil)
	w.connections.found = []policy.Finding{{Severity: policy.SeverityError, What: "keys", Detail: "none", Fix: "publish some"}}
	r, err := client.TestConnection(testContext(t), &posternv1.TestConnectionRequest{Name: okta})
	if err != nil || len(r.GetFindings()) != 2 {
		t.Fatalf("%v, %v", r, err)
	}
	f := r.GetFindings()[0]
	if f.GetSeverity() != posternv1.ConnectionFinding_SEVERITY_ERROR || f.GetWhat() != "keys" || f.GetDetail() != "none" || f.GetFix() != "publish some" {
		t.Errorf("%v", f)
	}
	if f = r.GetFindings()[1]; f.GetSeverity() != posternv1.ConnectionFinding_SEVERITY_OK || f.GetWhat() != acmeUID || f.GetDetail() != "okta" {
		t.Errorf("%v", f)
	}
	_, without := connectedWorld(t, func(c *server.Config) { c.Query.Tester = nil })
	_, err = without.TestConnection(testContext(t), &posternv1.TestConnectionRequest{Name: okta})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
}

// hangs tests until it is told to stop.
type hangs struct{ ended chan struct{} }

func (h hangs) Test(ctx context.Context, _ string, _ *policy.Connection) []policy.Finding {
	<-ctx.Done()
	close(h.ended)
	return nil
}

func TestATestOfAConnectionEndsWithTheCall(t *testing.T) {
	h := hangs{make(chan struct{})}
	_, client := connectedWorld(t, func(c *server.Config) { c.Query.Tester = h })
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	_, _ = client.TestConnection(ctx, &posternv1.TestConnectionRequest{Name: okta}) // either side may see first that time is up
	select {
	case <-h.ended:
	case <-testContext(t).Done():
		t.Error("the test goes on")
	}
}
