package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// domains keeps what it was given, and has the domains a test sets, in order.
type domains struct {
	mu    sync.Mutex
	calls []any
	who   []string
	all   []*posternv1.Domain
	fail  error
}

func (d *domains) take(who string, in any) (*posternv1.Domain, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls, d.who = append(d.calls, in), append(d.who, who)
	return &posternv1.Domain{Name: fmt.Sprint(len(d.calls))}, d.fail
}

func (d *domains) Create(_ context.Context, who string, in convert.NewDomain) (*posternv1.Domain, error) {
	return d.take(who, in)
}

func (d *domains) Get(_ context.Context, organization string, name policy.Domain) (*posternv1.Domain, error) {
	return d.take(organization, name)
}

func (d *domains) Update(_ context.Context, who string, in convert.DomainUpdate) (*posternv1.Domain, error) {
	return d.take(who, in)
}

func (d *domains) Verify(_ context.Context, who string, in convert.DomainChange) (*posternv1.Domain, error) {
	return d.take(who, in)
}

func (d *domains) ConfirmRemoval(_ context.Context, who string, in convert.DomainChange) (*posternv1.Domain, error) {
	return d.take(who, in)
}

func (d *domains) Delete(_ context.Context, who string, in convert.DomainChange) error {
	_, err := d.take(who, in)
	return err
}

func (d *domains) List(_ context.Context, _ string, after policy.Domain, limit int) ([]*posternv1.Domain, error) {
	var out []*posternv1.Domain
	for _, x := range d.all {
		if x.GetDomain() > after.String() && len(out) < limit {
			out = append(out, x)
		}
	}
	return out, d.fail
}

func domainClient(t *testing.T) (*domains, posternv1.DirectoryServiceClient) {
	t.Helper()
	w := newWorld(t, nil)
	return w.domains, posternv1.NewDirectoryServiceClient(w.dial(t))
}

func TestACallAboutADomainReachesItsUseCaseWhole(t *testing.T) {
	d, client := domainClient(t)
	example, err := policy.ParseDomain("example-x.com")
	if err != nil {
		t.Fatal(err)
	}
	const name = "organizations/acme/domains/example-x.com"
	ctx := testContext(t)
	for _, err := range []error{
		second(client.CreateDomain(ctx, &posternv1.CreateDomainRequest{Parent: "organizations/acme", Domain: "Example-X.com.", IncludeSubdomains: true,
			LapseAfter: durationpb.New(8 * 24 * time.Hour), RequestId: "r", Reason: "why"})),
		second(client.GetDomain(ctx, &posternv1.GetDomainRequest{Name: name})),
		second(client.VerifyDomain(ctx, &posternv1.VerifyDomainRequest{Name: name, RequestId: "r"})),
		second(client.ConfirmDomainRemoval(ctx, &posternv1.ConfirmDomainRemovalRequest{Name: name, RequestId: "r", Etag: "e", Reason: "why"})),
		second(client.DeleteDomain(ctx, &posternv1.DeleteDomainRequest{Name: name, RequestId: "r", Etag: "e", Reason: "why"})),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []any{
		convert.NewDomain{Organization: "acme", Domain: example, Subdomains: true, LapseAfter: 8 * 24 * time.Hour, RequestID: "r", Reason: "why"},
		example,
		convert.DomainChange{Organization: "acme", Domain: example, RequestID: "r"},
		convert.DomainChange{Organization: "acme", Domain: example, RequestID: "r", Etag: "e", Reason: "why"},
		convert.DomainChange{Organization: "acme", Domain: example, RequestID: "r", Etag: "e", Reason: "why"},
	}
	if len(d.calls) != len(want) {
		t.Fatalf("%v", d.calls)
	}
	for i := range want {
		if d.calls[i] != want[i] {
			t.Errorf("call %d: %+v, want %+v", i, d.calls[i], want[i])
		}
		if i != 1 && !strings.HasPrefix(d.who[i], "unix:") {
			t.Errorf("call %d by %q", i, d.who[i])
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestDomainsThatNobodyCanProveReachNoUseCase(t *testing.T) {
	d, client := domainClient(t)
	create := func(change func(*posternv1.CreateDomainRequest)) error {
		r := &posternv1.CreateDomainRequest{Parent: "organizations/acme", Domain: "example-x.com", RequestId: "r"}
		change(r)
		return second(client.CreateDomain(testContext(t), r))
	}
	for text, reason := range map[string]string{
		"gmail.com": "DOMAIN_FREE_MAIL", "co.uk": "DOMAIN_PUBLIC_SUFFIX", "127.0.0.1": "DOMAIN_NUMERIC", "a.localhost": "DOMAIN_SPECIAL_USE",
		"*.example-x.com": "DOMAIN_WILDCARD", "": "FIELD_REQUIRED", "https://example-x.com": "DOMAIN_INVALID", strings.Repeat("x", 2000): "FIELD_INVALID",
	} {
		failed(t, create(func(r *posternv1.CreateDomainRequest) { r.Domain = text }), "INVALID_ARGUMENT", reason)
	}
	failed(t, create(func(r *posternv1.CreateDomainRequest) { r.RequestId = "" }), "INVALID_ARGUMENT", "FIELD_REQUIRED")
	failed(t, create(func(r *posternv1.CreateDomainRequest) { r.Parent = "acme" }), "INVALID_ARGUMENT", "NAME_INVALID")
	failed(t, create(func(r *posternv1.CreateDomainRequest) { r.LapseAfter = durationpb.New(time.Hour) }), "INVALID_ARGUMENT", "FIELD_INVALID")
	for _, name := range []string{"", "organizations/acme/domains/", "organizations/acme/domains/Example-x.com", "organizations/acme/domains/com", "organizations/acme/domains/1.2.3.4"} {
		failed(t, second(client.GetDomain(testContext(t), &posternv1.GetDomainRequest{Name: name})), "INVALID_ARGUMENT", "NAME_INVALID")
		failed(t, second(client.VerifyDomain(testContext(t), &posternv1.VerifyDomainRequest{Name: name, RequestId: "r"})), "INVALID_ARGUMENT", "NAME_INVALID")
		failed(t, second(client.DeleteDomain(testContext(t), &posternv1.DeleteDomainRequest{Name: name, RequestId: "r"})), "INVALID_ARGUMENT", "NAME_INVALID")
		failed(t, second(client.ConfirmDomainRemoval(testContext(t), &posternv1.ConfirmDomainRemovalRequest{Name: name, RequestId: "r"})), "INVALID_ARGUMENT", "NAME_INVALID")
	}
	if len(d.calls) != 0 {
		t.Errorf("%v", d.calls)
	}
	d.fail = policy.DomainTaken()
	failed(t, create(func(*posternv1.CreateDomainRequest) {}), "ALREADY_EXISTS", "DOMAIN_TAKEN")
}

func TestDomainsAreListedInPagesAndByState(t *testing.T) {
	d, client := domainClient(t)
	for i := range 7 {
		d.all = append(d.all, &posternv1.Domain{Domain: fmt.Sprintf("d%d-x.com", i), State: posternv1.Domain_State(1 + i%2)})
	}
	pages := func(state posternv1.Domain_State) (got []string) {
		r := &posternv1.ListDomainsRequest{Parent: "organizations/acme", PageSize: 3, State: state}
		for range 10 {
			page, err := client.ListDomains(testContext(t), r)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range page.GetDomains() {
				got = append(got, x.GetDomain())
			}
			if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
				return got
			}
		}
		t.Fatal("it never ends")
		return nil
	}
	if got := pages(posternv1.Domain_STATE_UNSPECIFIED); len(got) != 7 || got[6] != "d6-x.com" {
		t.Errorf("%v", got)
	}
	if got := pages(posternv1.Domain_STATE_VERIFIED); len(got) != 3 || got[0] != "d1-x.com" {
		t.Errorf("%v", got)
	}
	first, err := client.ListDomains(testContext(t), &posternv1.ListDomainsRequest{Parent: "organizations/acme", PageSize: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*posternv1.ListDomainsRequest{
		{Parent: "organizations/acme", PageToken: first.GetNextPageToken(), State: posternv1.Domain_STATE_PENDING}, {Parent: "organizations/acme", PageToken: "x"},
	} {
		_, err := client.ListDomains(testContext(t), r)
		failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
	}
	_, err = client.ListDomains(testContext(t), &posternv1.ListDomainsRequest{Parent: "organizations/nobody"})
	failed(t, err, "NOT_FOUND", "ORGANIZATION_NOT_FOUND")
	d.fail = errs.New(errs.Unavailable, "NOT_RECORDED", "away")
	_, err = client.ListDomains(testContext(t), &posternv1.ListDomainsRequest{Parent: "organizations/acme"})
	failed(t, err, "UNAVAILABLE", "NOT_RECORDED")
}
