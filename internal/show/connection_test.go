package show_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func TestAConnectionIsShownWithWhatIsSet(t *testing.T) {
	at := timestamppb.New(time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		m    *posternv1.Connection
		want string
	}{
		"oidc": {&posternv1.Connection{Name: "organizations/acme/connections/okta", Kind: posternv1.Connection_KIND_SSO, Protocol: posternv1.Connection_PROTOCOL_OIDC,
			Domains: []*posternv1.DomainMatch{{Domain: "a.com"}, {Domain: "b.com", IncludeSubdomains: true}}, TrustsEmail: true, HasSecret: true, SecretUpdateTime: at,
			Oidc: &posternv1.Connection_Oidc{Issuer: "https://idp", Scopes: []string{"openid", "email"}}},
			"name=organizations/acme/connections/okta kind=SSO protocol=OIDC domains=a.com b.com and subdomains trusts e-mail=yes issuer=https://idp scopes=openid email secret=set " + show.Time(at)},
		"saml": {&posternv1.Connection{Kind: posternv1.Connection_KIND_SSO, Disabled: true, Saml: &posternv1.Connection_Saml{EntityId: "urn:idp", Certificates: [][]byte{[]byte("abc")}, SignsRequests: true}},
			"kind=SSO disabled=yes entity id=urn:idp certificate=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad signs requests=yes secret=none"},
		"asserted": {&posternv1.Connection{Kind: posternv1.Connection_KIND_SOCIAL}, "kind=SOCIAL verified by=nobody here: the login service runs it"},
	} {
		var got []string
		for _, row := range show.Connection(c.m) {
			got = append(got, row[0]+"="+row[1])
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s:\n%s\n%s", name, s, c.want)
		}
	}
}
