package document_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// certificate is DER, and the same as PEM, indented to stand in a document.
func certificate(t *testing.T) (der []byte, indented string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(4e9, 0)}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return der, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n          ")
}

// oidcDocument and samlDocument have every key of a connection.
const oidcDocument = `organization: acme
connections:
  - id: corp
    display_name: Corp
    kind: sso
    protocol: oidc
    domains: [{domain: partner-x.com, include_subdomains: true}, other-x.com]
    trusts_email: true
    links_by_email: true
    disabled: true
    oidc:
      issuer: https://idp.partner-x.com
      client_id: "12"
      authorization_endpoint: https://idp.partner-x.com/a
      token_endpoint: https://idp.partner-x.com/t
      jwks_uri: https://idp.partner-x.com/k
      client_auth: private_key_jwt
      key_id: k1
      scopes: [openid, email]
      algorithms: [ES256]
      redirect_uris: [https://login.acme-x.com/cb]
      audiences: [api]
      authorized_parties: [app]
      acr_values: ["urn:mfa"]
      tenant: t1
`

const samlDocument = `organization: acme
connections:
  - id: agency
    kind: sso
    protocol: saml
    saml:
      entity_id: urn:agency
      redirect_url: https://idp.agency-x.com/r
      post_url: https://idp.agency-x.com/p
      certificates:
        - |
          CERTIFICATE
      metadata_url: https://idp.agency-x.com/m
      metadata_certificate: |
          CERTIFICATE
      sp_entity_id: https://login.acme-x.com/saml
      acs_urls: [https://login.acme-x.com/acs]
      signs_requests: true
      allows_unsolicited: true
      response_signature_only: true
      allows_encryption: true
      allows_prefix_lists: true
      name_id_format: urn:f
      email_attribute: mail
      name_attribute: cn
      requested_contexts: ["urn:c"]
`

func mustParse(t *testing.T, s string) policy.Domain {
	t.Helper()
	d, err := policy.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryKeyOfAConnectionIsRead(t *testing.T) {
	der, indented := certificate(t)
	oidc := plan(t, oidcDocument, document.Current{}).Organization.Connections
	want := []policy.Connection{{ID: "corp", UID: "uid-1", DisplayName: "Corp", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC,
		Disabled: true, Origin: audit.OriginDocument, TrustsEmail: true, LinksByEmail: true,
		Domains: []policy.DomainMatch{{Domain: mustParse(t, "partner-x.com"), Subdomains: true}, {Domain: mustParse(t, "other-x.com")}},
		OIDC: &policy.OIDC{Issuer: "https://idp.partner-x.com", ClientID: "12", AuthorizationEndpoint: "https://idp.partner-x.com/a",
			TokenEndpoint: "https://idp.partner-x.com/t", JWKSURI: "https://idp.partner-x.com/k", ClientAuth: policy.PrivateKeyJWT, KeyID: "k1",
			Scopes: []string{"openid", "email"}, Algorithms: []string{"ES256"}, RedirectURIs: []string{"https://login.acme-x.com/cb"},
			Audiences: []string{"api"}, AuthorizedParties: []string{"app"}, ACRValues: []string{"urn:mfa"}, Tenant: "t1"}}}
	if !reflect.DeepEqual(oidc, want) {
		t.Errorf("%+v\n%+v", oidc[0], oidc[0].OIDC)
	}
	saml := plan(t, strings.ReplaceAll(samlDocument, "CERTIFICATE", indented), document.Current{}).Organization.Connections
	if len(saml) != 1 || !reflect.DeepEqual(saml[0].SAML, &policy.SAML{EntityID: "urn:agency", RedirectURL: "https://idp.agency-x.com/r",
		PostURL: "https://idp.agency-x.com/p", Certificates: [][]byte{der}, MetadataURL: "https://idp.agency-x.com/m", MetadataCertificate: der,
		SPEntityID: "https://login.acme-x.com/saml", ACSURLs: []string{"https://login.acme-x.com/acs"}, SignsRequests: true, AllowsUnsolicited: true,
		ResponseSignatureOnly: true, AllowsEncryption: true, AllowsPrefixLists: true, NameIDFormat: "urn:f", EmailAttribute: "mail", NameAttribute: "cn",
		RequestedContexts: []string{"urn:c"}}) {
		t.Errorf("%+v", saml[0].SAML)
	}
}

func TestWhatIsWrongWithAConnectionIsReportedWithItsPlace(t *testing.T) {
	_, problems := document.Parse([]byte(`organization: acme
connections:
  - id: corp
    kind: sso
    protocol: oidc
    preset: yahoo
    colour: red
    client_secret: canary0
    oidc:
      issuer: 7
      secret: canary1
      scope: openid
      redirect_uris: []
  - id: agency
    kind: sso
    protocol: saml
    saml:
      private_key: |
        canary2
      certificates:
        - canary3
      metadata: <canary4/>
      acs_url: https://login.acme-x.com
`))
	want := []string{
		"line 6, column 13: connections[corp].preset: unknown value; write google or microsoft or apple or github or slack",
		"line 7, column 5: connections[corp].colour: unknown key; known keys here are disabled, display_name, domains, id, kind, links_by_email, oidc, preset, protocol, saml, trusts_email",
		"line 8, column 5: connections[corp].client_secret: a secret does not stand in a document",
		"line 10, column 15: connections[corp].oidc.issuer: this is a number where text belongs",
		"line 11, column 7: connections[corp].oidc.secret: a secret does not stand in a document",
		"line 12, column 7: connections[corp].oidc.scope: unknown key; known keys here are acr_values,",
		"line 13, column 7: connections[corp].oidc.redirect_uris: an empty list",
		"line 18, column 7: connections[agency].saml.private_key: a secret does not stand in a document",
		"line 21, column 11: connections[agency].saml.certificates[0]: no certificate in PEM form",
		"line 22, column 17: connections[agency].saml.metadata: metadata cannot be read here",
		"line 23, column 7: connections[agency].saml.acs_url: unknown key; known keys here are acs_urls,",
	}
	if len(problems) != len(want) {
		t.Fatalf("%d problems: %v", len(problems), problems)
	}
	for i, p := range problems {
		if !strings.HasPrefix(p.String(), want[i]) {
			t.Errorf("%s\nwant %s", p, want[i])
		}
		if strings.Contains(p.String(), "canary") {
			t.Errorf("a secret shows: %s", p)
		}
		if strings.Contains(p.Text, "secret does not") && !strings.Contains(p.Fix, "postern connection set-secret") {
			t.Errorf("%s", p)
		}
	}
}

func TestWhatValidationFindsHasThePlaceInTheDocument(t *testing.T) {
	d := parse(t, strings.NewReplacer("https://idp.partner-x.com/t", "http://idp.partner-x.com/t", "ES256", "HS256").Replace(oidcDocument))
	_, problems := document.PlanOf(d, document.Current{UID: "u"}, namer{}, counter())
	if len(problems) != 2 || !strings.HasPrefix(problems[0].String(), "line 15, column 7: connections[corp].oidc.token_endpoint: not an https address") ||
		!strings.HasPrefix(problems[1].String(), "line 20, column 20: connections[corp].oidc.algorithms[0]: not an algorithm") {
		t.Errorf("%v", problems)
	}
}

const metadataDocument = `organization: acme
connections:
  - id: agency
    kind: sso
    protocol: saml
    saml:
      metadata: |-
        <EntityDescriptor>
          text
        </EntityDescriptor>
      sp_entity_id: https://login.acme-x.com/saml
      acs_urls: [https://login.acme-x.com/acs]
`

func TestMetadataInADocumentIsRead(t *testing.T) {
	der, _ := certificate(t)
	var got string
	read := func(xml []byte) (document.Metadata, error) {
		if got = string(xml); strings.Contains(got, "BAD") {
			return document.Metadata{}, errs.New(errs.Invalid, "METADATA", "it is no metadata")
		}
		return document.Metadata{EntityID: "urn:agency", RedirectURL: "https://idp.agency-x.com/r", PostURL: "https://idp.agency-x.com/p", Certificates: [][]byte{der}}, nil
	}
	d, problems := document.ParseWith([]byte(metadataDocument), read)
	if d == nil {
		t.Fatalf("%v", problems)
	}
	s := (*d.Connections)[0].SAML
	if got != "<EntityDescriptor>\n  text\n</EntityDescriptor>" || s.EntityID != "urn:agency" || s.RedirectURL == "" || s.PostURL == "" || len(s.Certificates) != 1 {
		t.Errorf("%q, %+v", got, s)
	}
	if p, problems := document.PlanOf(d, document.Current{UID: "u"}, namer{}, counter()); p == nil {
		t.Errorf("%v", problems)
	}
	for add, want := range map[string]string{
		"entity_id: urn:agency":   "",
		"entity_id: urn:other":    "line 7, column 17: connections[agency].saml.metadata: the metadata is of another entity",
		"post_url: https://x.com": "line 7, column 17: connections[agency].saml.metadata: the metadata says addresses and certificates, and so does the document",
		"name_attribute: BAD":     "",
	} {
		_, problems := document.ParseWith([]byte(metadataDocument+"      "+add+"\n"), read)
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.HasPrefix(problems[0].String(), want)) {
			t.Errorf("%s: %v", add, problems)
		}
	}
	for text, want := range map[string]string{"BAD": "it is no metadata; paste", strings.Repeat("x", 64<<10+1): "metadata of more than 64 KiB"} {
		_, problems := document.ParseWith([]byte(strings.Replace(metadataDocument, "text", text, 1)), read)
		if len(problems) != 1 || !strings.Contains(problems[0].String(), want) {
			t.Errorf("%v", problems)
		}
	}
}

func TestTheExampleOfConnectionsApplies(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "connections.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, problems := document.PlanOf(parse(t, string(b)), document.Current{UID: "u"}, namer{}, counter())
	if p == nil || len(problems) != 0 {
		t.Fatalf("%v", problems)
	}
	presets := map[string]bool{}
	for _, c := range p.Organization.Connections {
		presets[c.Preset] = true
	}
	if len(presets) != len(policy.Presets())+1 { // and one with none
		t.Errorf("it shows the presets %v", presets)
	}
}

// changesOf are the changes that events tell of one connection.
func changesOf(p *document.Plan) (string, []string) {
	for _, o := range p.Objects {
		var all []string
		for _, c := range o.Changes {
			all = append(all, fmt.Sprintf("%s: %s → %s", c.Field, c.Before, c.After))
		}
		if o.Target.Type == "connection" {
			return string(o.Type), all
		}
	}
	return "", nil
}

func TestASecretStaysWithItsConnectionAndIsDroppedWithAnEvent(t *testing.T) {
	first := plan(t, oidcDocument, document.Current{}).Organization
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	first.Connections[0] = first.Connections[0].WithSecret([]byte("canary sealed"), at)
	if again := plan(t, oidcDocument, document.Current{Organization: first}); !again.Empty() {
		t.Errorf("%+v", again.Objects)
	}
	d := parse(t, strings.Replace(oidcDocument, "display_name: Corp", "display_name: Corporation", 1))
	for range 2 { // planning leaves the document as it is
		p, problems := document.PlanOf(d, document.Current{Organization: first, UID: "org-uid"}, namer{}, counter())
		if p == nil {
			t.Fatal(problems)
		}
		kind, changes := changesOf(p)
		if c := p.Organization.Connections[0]; string(c.Sealed()) != "canary sealed" || !c.SecretUpdated.Equal(at) || kind != "connection.updated" ||
			len(changes) != 1 || changes[0] != "display_name: Corp → Corporation" {
			t.Errorf("%s, %v", kind, changes)
		}
		if (*d.Connections)[0].OIDC.Secret != nil {
			t.Error("the document has learned the secret")
		}
	}
	moved := plan(t, strings.Replace(oidcDocument, "https://idp.partner-x.com\n", "https://idp.evil-x.com\n", 1), document.Current{Organization: first})
	_, changes := changesOf(moved)
	want := []string{"oidc.issuer: https://idp.partner-x.com → https://idp.evil-x.com",
		"secret: set at 2026-11-20T12:00:00Z → dropped: provider, client or use of the secret changed"}
	if d := cmp.Diff(want, changes); d != "" || moved.Organization.Connections[0].Sealed() != nil {
		t.Errorf("%s", d)
	}
	other := plan(t, strings.Replace(oidcDocument, "kind: sso", "kind: social", 1), document.Current{Organization: first})
	if c := other.Organization.Connections[0]; c.Sealed() != nil {
		t.Error("another connection has the secret of one that is gone")
	}
}

func TestEventsNameEveryFieldOfAConnection(t *testing.T) {
	_, indented := certificate(t)
	for name, c := range map[string]struct {
		text string
		want int
	}{"oidc": {oidcDocument, 23}, "saml": {strings.ReplaceAll(samlDocument, "CERTIFICATE", indented), 21}} {
		kind, changes := changesOf(plan(t, c.text, document.Current{}))
		if kind != "connection.created" || len(changes) != c.want {
			t.Errorf("%s: %s, %d changes:\n%s", name, kind, len(changes), strings.Join(changes, "\n"))
		}
		if strings.Contains(strings.Join(changes, "\n"), "BEGIN") {
			t.Errorf("%s: a certificate instead of its fingerprint", name)
		}
	}
	before := policy.Connection{OIDC: &policy.OIDC{}}
	after := before.WithSecret([]byte("x"), time.Unix(1, 0))
	for _, c := range [][2]string{{"set at 1970-01-01T00:00:01Z", ""}, {"", "cleared"}} {
		var changes []audit.Change
		if c[1] == "" {
			changes = document.ConnectionChanges(&before, &after)
		} else {
			changes = document.ConnectionChanges(&after, &before)
		}
		if len(changes) != 1 || changes[0].Field != "secret" || c[1] != "" && changes[0].After != c[1] || c[1] == "" && changes[0].After != c[0] {
			t.Errorf("%+v", changes)
		}
	}
}
