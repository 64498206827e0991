package policypb_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

var set = time.Unix(1800000000, 3).UTC()

func drawOIDC(t *rapid.T) policy.Connection {
	text := func(label string) string { return pick(t, label, "", label) }
	list := func(label string) []string { return some(t, label, label+"1", label+"2") }
	c := policy.Connection{ID: "corp", UID: "o", Kind: policy.ConnectionSocial, Protocol: policy.ProtocolOIDC, Origin: audit.OriginDocument,
		Preset: text("preset"), Domains: some(t, "connection domains", policy.DomainMatch{Domain: domain("acme-x.com"), Subdomains: true}),
		TrustsEmail: rapid.Bool().Draw(t, "trusts"), LinksByEmail: rapid.Bool().Draw(t, "links"),
		OIDC: &policy.OIDC{Issuer: text("issuer"), ClientID: text("client"), AuthorizationEndpoint: text("authorization"), TokenEndpoint: text("token"),
			UserinfoEndpoint: text("userinfo"), JWKSURI: text("jwks"), ClientAuth: text("auth"), KeyID: text("kid"), Scopes: list("scope"),
			Algorithms: list("alg"), RedirectURIs: list("redirect"), Audiences: list("aud"), AuthorizedParties: list("azp"),
			ACRValues: list("acr"), Tenant: text("tenant")}}
	return c.WithSecret(pick(t, "secret", nil, []byte("sealed")), set)
}

func drawSAML(t *rapid.T) policy.Connection {
	text := func(label string) string { return pick(t, label, "", label) }
	list := func(label string) []string { return some(t, label, label+"1", label+"2") }
	flag := func(label string) bool { return rapid.Bool().Draw(t, label) }
	c := policy.Connection{ID: "agency", UID: "s", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML, Origin: audit.OriginAPI,
		SAML: &policy.SAML{EntityID: text("entity"), RedirectURL: text("redirect url"), PostURL: text("post"), Certificates: some(t, "certificates", []byte{1}, []byte{2, 0}),
			MetadataURL: text("metadata"), MetadataCertificate: pick(t, "signer", nil, []byte{3}), SPEntityID: text("sp"), ACSURLs: list("acs"),
			SignsRequests: flag("signs"), AllowsUnsolicited: flag("unsolicited"), ResponseSignatureOnly: flag("response only"),
			AllowsEncryption: flag("encryption"), AllowsPrefixLists: flag("prefixes"), NameIDFormat: text("format"), EmailAttribute: text("mail"), NameAttribute: text("cn"),
			RequestedContexts: list("context")}}
	return c.WithSecret(pick(t, "key", nil, []byte("sealed key")), set)
}

func TestWhatIsShownOfAConnectionHasNoSecret(t *testing.T) {
	c := policy.Connection{ID: "corp", UID: "u", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC, OIDC: &policy.OIDC{}}
	if m := policypb.FromConnection("acme", &c); m.GetHasSecret() || m.GetSecretUpdateTime() != nil || m.GetName() != "organizations/acme/connections/corp" {
		t.Errorf("%v", m)
	}
	c = c.WithSecret([]byte("canary"), set)
	m := policypb.FromConnection("acme", &c)
	if !m.GetHasSecret() || !m.GetSecretUpdateTime().AsTime().Equal(set) {
		t.Errorf("%v", m)
	}
	if s := protojson.Format(m); strings.Contains(s, "canary") || strings.Contains(s, "Y2FuYXJ5") {
		t.Errorf("it shows: %s", s)
	}
	o := policy.Organization{ID: "acme", UID: "u", Connections: []policy.Connection{c}}
	with := policypb.RecordSize(&o)
	o.Connections[0] = c.WithSecret(nil, set)
	if without := policypb.RecordSize(&o); with <= without+len("canary") {
		t.Errorf("a secret takes no room: %d and %d", with, without)
	}
}

func TestSecretsThatCannotBeKeptAreAnError(t *testing.T) {
	o := func() *policy.Organization {
		return &policy.Organization{Connections: []policy.Connection{{UID: "u", OIDC: &policy.OIDC{}}, {UID: "asserted"}}}
	}
	good := &storev1.ConnectionSecret{ConnectionUid: "u", Sealed: []byte("x"), UpdateTime: timestamppb.New(set)}
	if err := policypb.AddSecrets(o(), []*storev1.ConnectionSecret{good}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*storev1.ConnectionSecret{
		"of nobody":             {ConnectionUid: "other", Sealed: []byte("x")},
		"empty":                 {ConnectionUid: "u"},
		"at a bad time":         {ConnectionUid: "u", Sealed: []byte("x"), UpdateTime: &timestamppb.Timestamp{Nanos: -1}},
		"where it has no place": {ConnectionUid: "asserted", Sealed: []byte("x")},
	} {
		if err := policypb.AddSecrets(o(), []*storev1.ConnectionSecret{good, s}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
