package saml_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
)

// What came from the browser is judged as it came. Nobody but the record is told why it was refused.
func ExampleVerify() {
	expect := saml.Expect{
		EntityID: "https://wiki.example.com/saml", ACS: "https://wiki.example.com/saml/acs", RequestID: "_4f2a",
		Provider: saml.Provider{EntityID: "https://idp.example.com"},
	}
	_, err := saml.Verify([]byte("<Response/>"), expect, time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC))
	fmt.Println(err)
	// Output: federation: KEYS_UNAVAILABLE: the connection has no certificate of the identity provider
}

func ExampleNewRequest() {
	m, err := saml.NewRequest(saml.Request{
		ID: "_4f2a", Issued: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), RelayState: "back here",
		EntityID: "https://wiki.example.com/saml", ACS: "https://wiki.example.com/saml/acs",
		Provider: saml.Provider{EntityID: "https://idp.example.com", RedirectURL: "https://idp.example.com/sso"},
	}, saml.Redirect)
	fmt.Println(err, strings.HasPrefix(m.URL, "https://idp.example.com/sso?SAMLRequest="), strings.HasSuffix(m.URL, "&RelayState=back+here"))
	// Output: <nil> true true
}
