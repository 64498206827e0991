package directory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
	"github.com/postern-audit/postern/policy/policypb"
)

// okta is a connection of acme as it is to be.
func okta(id string, fields ...string) directory.ConnectionInput {
	return directory.ConnectionInput{ResourceChange: of("acme"), Fields: fields, Connection: policy.Connection{ID: id, DisplayName: "Okta", Kind: policy.ConnectionSSO,
		Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{Issuer: "https://idp.partner-x.com", ClientID: "us", RedirectURIs: []string{"https://login.acme-x.com/cb"}}}}
}

func TestAConnectionIsMadeChangedAndRemoved(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte(partners)}).Organization.UID
	in := okta("more")
	o, err := r.CreateConnection(t.Context(), "unix:7", in)
	if err != nil {
		t.Fatal(err)
	}
	made := o.Connection("more")
	if made == nil || made.UID == "" || made.Origin != audit.OriginAPI || made.OIDC.ClientID != "us" || len(made.Sealed()) != 0 {
		t.Fatalf("%+v", made)
	}
	if e := w.last(uid); e.Type != audit.TypeConnectionCreated || e.Target.UID != made.UID || field(e, "oidc.issuer").After != "https://idp.partner-x.com" ||
		field(e, "maintained_by").After != "API" {
		t.Errorf("%+v", e)
	}
	if again, err := r.CreateConnection(t.Context(), "unix:7", in); err != nil || again.Stamp != o.Stamp {
		t.Errorf("the same call again: %v", err)
	}
	in.Connection.OIDC.ClientID = "them"
	if _, err := r.CreateConnection(t.Context(), "unix:7", in); !errs.Is(err, "REQUEST_ID_REUSED") {
		t.Errorf("another one under the same request id: %v", err)
	}
	if _, err := r.CreateConnection(t.Context(), "unix:7", okta("more")); !errs.Is(err, directory.ReasonConnectionExists) {
		t.Errorf("made twice: %v", err)
	}
	if err := r.DeleteConnection(t.Context(), "unix:7", okta("more")); err != nil {
		t.Fatal(err)
	}
	if e := w.last(uid); e.Type != audit.TypeConnectionDeleted || e.Target.UID != made.UID {
		t.Errorf("%+v", e)
	}
	if err := r.DeleteConnection(t.Context(), "unix:7", okta("more")); !errs.Is(err, "CONNECTION_NOT_FOUND") {
		t.Errorf("removed twice: %v", err)
	}
}

func TestAMaskChangesWhatItNamesAndASecretStaysWithWhomItWasGivenFor(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	uid := w.must(directory.ApplyInput{Document: []byte(partners)}).Organization.UID
	if _, err := directory.SetSecret(t.Context(), w.connectionDeps(), "unix:7", input(nil)); err != nil {
		t.Fatal(err)
	}
	first := *w.organization().Connection("okta")
	change := okta("okta", "oidc.scopes", "display_name", "disabled")
	change.Connection.OIDC = &policy.OIDC{Scopes: []string{"openid", "email"}, ClientID: "not taken", Issuer: "https://not-taken.com"}
	change.Connection.Disabled = true
	o, err := r.UpdateConnection(t.Context(), "unix:7", change)
	if err != nil {
		t.Fatal(err)
	}
	is := o.Connection("okta")
	if is.UID != first.UID || is.OIDC.ClientID != "us" || is.OIDC.Issuer != first.OIDC.Issuer || !slices.Equal(is.OIDC.Scopes, []string{"openid", "email"}) || is.DisplayName != "Okta" ||
		!is.Disabled || is.Origin != audit.OriginAPI || !slices.Equal(is.OIDC.RedirectURIs, first.OIDC.RedirectURIs) {
		t.Errorf("%+v %+v", is, is.OIDC)
	}
	if string(is.Sealed()) != string(first.Sealed()) || !is.SecretUpdated.Equal(first.SecretUpdated) || len(first.Sealed()) == 0 {
		t.Error("the secret did not stay")
	}
	if e := w.last(uid); field(e, "secret").Field != "" || field(e, "oidc.scopes").After != "openid, email" || field(e, "oidc.client_id").Field != "" {
		t.Errorf("%+v", e)
	}
	change = okta("okta", "oidc.issuer")
	change.Connection.OIDC.Issuer = "https://elsewhere-x.com"
	if o, err = r.UpdateConnection(t.Context(), "unix:7", change); err != nil || len(o.Connection("okta").Sealed()) != 0 {
		t.Errorf("a secret that would go to somebody else: %v", err)
	}
	if e := w.last(uid); !strings.HasPrefix(field(e, "secret").After, "dropped") {
		t.Errorf("%+v", e)
	}
	change = okta("asserted", "oidc.client_id") // has none yet
	change.Connection.OIDC = &policy.OIDC{ClientID: "new"}
	if _, err := r.UpdateConnection(t.Context(), "unix:7", change); !errs.Is(err, "FIELD_INVALID") {
		t.Errorf("oidc on a connection that speaks nothing: %v", err)
	}
	change = okta("okta", "saml.entity_id")
	change.Connection.OIDC, change.Connection.SAML = nil, &policy.SAML{EntityID: "x"}
	if _, err := r.UpdateConnection(t.Context(), "unix:7", change); !errs.Is(err, "FIELD_UNEXPECTED") {
		t.Errorf("two protocols: %v", err)
	}
	change = okta("okta", "oidc")
	change.Connection.OIDC = nil
	if o, err = r.UpdateConnection(t.Context(), "unix:7", change); err != nil || o.Connection("okta").OIDC != nil {
		t.Errorf("what a mask names and a request leaves out goes: %v", err)
	}
}

func (w *world) organization() *policy.Organization {
	w.t.Helper()
	o, err := w.directory.Organization(w.t.Context(), w.uid())
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func TestEveryPathOfAConnectionCanBeNamed(t *testing.T) {
	from := policy.Connection{ID: "x", UID: "u", DisplayName: "n", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{}}
	for _, path := range policypb.ConnectionPaths() {
		got, err := policypb.MergeConnection(&from, &from, []string{path})
		if strings.HasPrefix(path, "saml.") {
			if !errs.Is(err, "FIELD_UNEXPECTED") {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil || got.ID != "x" || got.UID != "u" || got.Kind != from.Kind {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
	if n := len(policypb.ConnectionPaths()); n != 6+2+15+17 {
		t.Errorf("%d paths", n)
	}
}

func TestAConnectionThatThePolicyNamesStays(t *testing.T) {
	for name, p := range map[string]string{
		"a rule's match":    "rules: [{id: guests, match: {connections: [okta]}, demands: {methods: [password]}}]",
		"a rule's demand":   "rules: [{id: guests, demands: {sso: okta, evidence: asserted}}]",
		"a list of methods": "rules: [{id: guests, demands: {methods: [\"sso:okta\", password]}}]",
		"the default":       "default: {sso: okta, evidence: asserted}",
	} {
		w := newWorld(t)
		r := w.resources()
		w.must(directory.ApplyInput{Document: []byte(partners + "policy: {" + p + "}\n")})
		before := w.dump()
		err := r.DeleteConnection(t.Context(), "unix:7", okta("okta"))
		if !errs.Is(err, directory.ReasonConnectionInUse) || !strings.Contains(errs.As(err).Public, "policy.") || w.dump() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConnectionsThatCannotBeAreRefusedByTheRulesOfDocuments(t *testing.T) {
	w := newWorld(t)
	r := w.resources()
	w.must(directory.ApplyInput{Document: []byte(partners)})
	before := w.dump()
	for name, c := range map[string]struct {
		change func(*policy.Connection)
		field  string
	}{
		"no issuer":     {func(c *policy.Connection) { c.OIDC.Issuer = "" }, "connection.oidc.issuer"},
		"http":          {func(c *policy.Connection) { c.OIDC.Issuer = "http://idp.partner-x.com" }, "connection.oidc.issuer"},
		"no kind":       {func(c *policy.Connection) { c.Kind = 0 }, "connection.kind"},
		"two protocols": {func(c *policy.Connection) { c.SAML = &policy.SAML{} }, "connection.saml"},
		"a preset":      {func(c *policy.Connection) { c.Preset = "nobody" }, "connection.preset"},
		"an odd id":     {func(c *policy.Connection) { c.ID = "A" }, "connection_id"},
		"a wildcard":    {func(c *policy.Connection) { c.OIDC.RedirectURIs = []string{"https://*.acme-x.com"} }, "connection.oidc.redirect_uris[0]"},
		"trust":         {func(c *policy.Connection) { c.TrustsEmail = true }, "connection.trusts_email"},
	} {
		in := okta("new")
		c.change(&in.Connection)
		_, err := r.CreateConnection(t.Context(), "unix:7", in)
		if e := errs.As(err); e == nil || e.Kind != errs.Invalid || !slices.ContainsFunc(e.Violations, func(v errs.Violation) bool { return v.Field == c.field }) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if w.dump() != before {
		t.Error("something was written")
	}
}
