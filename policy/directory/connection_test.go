package directory_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/vault"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

const partners = `organization: acme
connections:
  - id: okta
    kind: sso
    protocol: oidc
    oidc: {issuer: "https://idp.partner-x.com", client_id: us, redirect_uris: ["https://login.acme-x.com/cb"]}
  - {id: bank, kind: sso, protocol: oidc, oidc: {issuer: "https://bank-x.com", client_id: us, client_auth: private_key_jwt}}
  - {id: asserted, kind: social}
`

const canary = "canary0client0secret"

// deps are those of a process that knows the keys w's process knows.
func (w *world) connectionDeps() directory.ConnectionDeps {
	return directory.ConnectionDeps{Directory: w.deps.Directory, Writer: w.deps.Writer, Namer: w.deps.Namer, Now: time.Now, NewID: w.deps.NewID,
		Sealer: vault.NewConnections(w.keyring)}
}

func input(change func(*directory.SecretInput)) directory.SecretInput {
	in := directory.SecretInput{Organization: "acme", Connection: "okta", RequestID: uuid.NewString(), Secret: secret.NewBytes([]byte(canary)), Kind: policy.SecretClient}
	if change != nil {
		change(&in)
	}
	return in
}

func (w *world) dump() string {
	var b strings.Builder
	keys := w.client.Keys(w.t.Context(), "*").Val()
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintln(&b, k, w.client.Get(w.t.Context(), k).Val(), w.client.HGetAll(w.t.Context(), k).Val(), w.client.XRange(w.t.Context(), k, "-", "+").Val())
	}
	return b.String()
}

func TestASecretIsSealedForItsConnectionWithOneEvent(t *testing.T) {
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(partners)}).Organization
	in := input(nil)
	o, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	c := o.Connection("okta")
	if len(c.Sealed()) == 0 || c.SecretUpdated.IsZero() || o.PolicyStamp == first.PolicyStamp || o.Revision != first.Revision+1 || len(o.Connection("bank").Sealed()) != 0 {
		t.Errorf("%+v", o)
	}
	second := *w
	second.process()
	read, err := second.directory.Organization(t.Context(), o.UID)
	if err != nil {
		t.Fatal(err)
	}
	v := vault.NewConnections(second.keyring)
	if s, err := v.Open(t.Context(), o.UID, c.UID, read.Connection("okta").Sealed()); err != nil || string(s) != canary {
		t.Errorf("another process: %v", err)
	}
	if _, err := v.Open(t.Context(), o.UID, read.Connection("bank").UID, c.Sealed()); err == nil {
		t.Error("it opens for another connection")
	}
	events := w.events(o.UID)
	e := events[len(events)-1]
	if e.Type != audit.TypeConnectionUpdated || e.Caller != "unix:7" || e.Origin != audit.OriginAPI || e.Target.ID != "okta" || e.Target.UID != c.UID ||
		e.Outcome != audit.OutcomeSuccess || e.Revision != o.Revision || len(e.Changes) != 1 || e.Changes[0].Field != "secret" || !strings.HasPrefix(e.Changes[0].After, "set at 20") {
		t.Errorf("%+v", e)
	}
	again, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", in)
	if err != nil || again.Stamp != o.Stamp || len(w.events(o.UID)) != len(events) {
		t.Errorf("the same call again: %v", err)
	}
	in.Secret = secret.NewBytes([]byte(canary + "2"))
	if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another secret under the same request id: %v", err)
	}
	o, err = directory.ClearSecret(t.Context(), w.connectionDeps(), "unix:7", input(nil))
	if err != nil || len(o.Connection("okta").Sealed()) != 0 || !o.Connection("okta").SecretUpdated.IsZero() {
		t.Errorf("cleared: %v", err)
	}
	all := w.events(o.UID)
	if e := all[len(all)-1]; len(all) != len(events)+1 || e.Changes[0].After != "cleared" {
		t.Errorf("%+v", e)
	}
	nothing := input(nil)
	for range 2 {
		if now, err := directory.ClearSecret(t.Context(), w.connectionDeps(), "unix:7", nothing); err != nil || now.Stamp != o.Stamp || len(w.events(o.UID)) != len(all) {
			t.Errorf("cleared twice: %v", err)
		}
	}
	if d := w.dump() + fmt.Sprintf("%+v", all); strings.Contains(d, "canary0") {
		t.Error("the secret stands in the store, or in an event")
	}
}

func TestASecretThatCannotBeSetChangesNothing(t *testing.T) {
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(partners)}).Organization
	before := w.dump()
	for want, change := range map[string]func(*directory.SecretInput){
		"ORGANIZATION_RESERVED":      func(in *directory.SecretInput) { in.Organization = audit.SystemID },
		"ORGANIZATION_NOT_FOUND":     func(in *directory.SecretInput) { in.Organization = "other" },
		"CONNECTION_NOT_FOUND":       func(in *directory.SecretInput) { in.Connection = "other" },
		"CONNECTION_TAKES_NO_SECRET": func(in *directory.SecretInput) { in.Connection = "asserted" },
		"CONNECTION_SECRET_KIND":     func(in *directory.SecretInput) { in.Kind = policy.SecretPrivateKey },
		"CLIENT_SECRET_INVALID":      func(in *directory.SecretInput) { in.Secret = secret.NewBytes([]byte("canary0")) },
		"PRIVATE_KEY_INVALID": func(in *directory.SecretInput) {
			in.Connection, in.Kind = "bank", policy.SecretPrivateKey
		},
		"ETAG_INVALID":  func(in *directory.SecretInput) { in.Etag = "x" },
		"ETAG_MISMATCH": func(in *directory.SecretInput) { in.Etag = strings.Repeat("1", 32) },
	} {
		if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", input(change)); !errs.Is(err, want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if w.dump() != before {
		t.Error("something was written")
	}
	in := input(func(in *directory.SecretInput) { in.Etag = policypb.Etag(first.Stamp) })
	if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", in); err != nil {
		t.Errorf("with the etag of what is there: %v", err)
	}
}

func TestSecretsAreSetWhileTheOrganizationChanges(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(partners)})
	if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:8", input(nil)); err != nil {
		t.Fatal(err)
	}
	raced := &meanwhile{DirectoryWriter: w.deps.Writer, other: func() {
		if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:8", input(nil)); err != nil {
			t.Error(err)
		}
	}}
	d := w.connectionDeps()
	d.Writer = raced
	o, err := directory.ClearSecret(t.Context(), d, "unix:7", input(nil))
	if err != nil || len(o.Connection("okta").Sealed()) != 0 || raced.other != nil {
		t.Errorf("%v", err)
	}

	var wait sync.WaitGroup
	in := input(nil)
	before := len(w.events(o.UID))
	for range 8 {
		wait.Go(func() {
			if _, err := directory.SetSecret(context.WithoutCancel(t.Context()), w.connectionDeps(), "unix:7", in); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if n := len(w.events(o.UID)) - before; n != 1 {
		t.Errorf("%d events of one call that was sent eight times", n)
	}
}

func TestAChangeOfAConnectionHasItsOwnEvent(t *testing.T) {
	w := newWorld(t)
	w.must(directory.ApplyInput{Document: []byte(partners)})
	change := directory.ConnectionChange{Organization: "acme", Connection: "okta", Event: audit.Event{Type: audit.TypeConnectionKeysChanged, Caller: "postern"},
		Change: func(_ *policy.Organization, c *policy.Connection) (policy.Connection, error) {
			next := *c
			oidc := *c.OIDC
			oidc.JWKSURI = "https://idp.partner-x.com/keys"
			next.OIDC = &oidc
			return next, nil
		}}
	o, err := directory.ChangeConnection(t.Context(), w.connectionDeps(), change)
	if err != nil || o.Connection("okta").OIDC.JWKSURI == "" {
		t.Fatalf("%v", err)
	}
	events := w.events(o.UID)
	if e := events[len(events)-1]; e.Type != audit.TypeConnectionKeysChanged || e.Caller != "postern" || e.Changes[0].Field != "oidc.jwks_uri" || e.ID == "" {
		t.Errorf("%+v", e)
	}
	if same, err := directory.ChangeConnection(t.Context(), w.connectionDeps(), change); err != nil || same.Stamp != o.Stamp || len(w.events(o.UID)) != len(events) {
		t.Errorf("nothing changed: %v", err)
	}
	change.Change = func(_ *policy.Organization, c *policy.Connection) (policy.Connection, error) {
		next := *c
		next.SAML = &policy.SAML{Certificates: [][]byte{make([]byte, policypb.MaxRecord)}}
		return next, nil
	}
	if _, err := directory.ChangeConnection(t.Context(), w.connectionDeps(), change); !errs.Is(err, "POLICY_TOO_LARGE") {
		t.Errorf("%v", err)
	}
}
