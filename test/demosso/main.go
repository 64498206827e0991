// Command demosso shows sign-ins elsewhere end to end: one through an OpenID provider and one through a SAML identity provider that nobody
// here wrote, at their real login pages, and the record they leave. `make demo-sso` installs what it needs and runs it.
//
// It must never reach the product: it starts what only tests install. Read main.go first, then walk.go.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/demo"
	"github.com/postern-audit/postern/internal/testkit/realidp"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	organization = "organizations/acme"
	callbackOIDC = "http://127.0.0.1:8499/callback"
	callbackSAML = "http://127.0.0.1:8499/acs"
	entityID     = "urn:acme:login"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := errors.New("usage: demosso PATH-OF-POSTERN")
	if len(os.Args) == 2 {
		err = run(ctx, os.Stdout, os.Args[1])
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context, say io.Writer, binary string) (err error) {
	dir, err := os.MkdirTemp("", "postern-demo-sso-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	fmt.Fprintln(say, "Starting two identity providers: Dex (OpenID Connect) and samlify (SAML 2.0).")
	dex, err := realidp.StartDex(dir, realidp.Client{ID: "acme-login", Secret: rand.Text(), RedirectURI: callbackOIDC})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dex.Stop()) }()
	agency, err := realidp.StartSamlify(dir, realidp.SP{EntityID: entityID, ACSURL: callbackSAML})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, agency.Stop()) }()

	fmt.Fprintln(say, "Starting a sidecar that may speak with them: they are on this machine and speak plain HTTP.")
	s, c, err := demo.Launch(ctx, binary, "outbound.allowed_networks=127.0.0.0/8", "outbound.insecure_allow_http=true")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(), s.Stop(), s.Remove()) }()
	if err := apply(ctx, say, c, dex, agency); err != nil {
		return failure(err)
	}
	w := &walk{c: c, say: say}
	return failure(w.all(ctx, dex, agency))
}

// apply makes the organization: whoever comes from the partner's or the agency's domain must come through its provider.
func apply(ctx context.Context, say io.Writer, c *client.Client, dex *realidp.OIDC, agency *realidp.SAML) error {
	document, err := json.Marshal(map[string]any{
		"organization": "acme",
		"sites":        []any{map[string]any{"id": "wiki", "display_name": "Acme Wiki"}},
		"connections": []any{
			map[string]any{"id": "partner", "display_name": "Partner Ltd (Dex)", "kind": "sso", "protocol": "oidc", "oidc": map[string]any{
				"issuer": dex.Issuer, "client_id": dex.Client.ID, "redirect_uris": []string{callbackOIDC}}},
			map[string]any{"id": "agency", "display_name": "Agency (samlify)", "kind": "sso", "protocol": "saml", "saml": map[string]any{
				"metadata": string(agency.Metadata), "sp_entity_id": entityID, "acs_urls": []string{callbackSAML},
				"email_attribute": agency.EmailAttribute, "name_attribute": agency.NameAttribute}},
		},
		"policy": map[string]any{"rules": []any{map[string]any{"id": "single-sign-on", "demands": map[string]any{"methods": []string{"sso"}},
			"message": "Guests come through their own company."}}},
	})
	if err != nil {
		return err
	}
	if _, err := client.Repeat(ctx, c.Directory.ApplyOrganization, &posternv1.ApplyOrganizationRequest{
		Name: organization, Document: string(document), RequestId: rand.Text(), Reason: "demo"}); err != nil {
		return err
	}
	_, err = client.Repeat(ctx, c.Directory.SetConnectionSecret, &posternv1.SetConnectionSecretRequest{
		Name: organization + "/connections/partner", RequestId: rand.Text(),
		Secret: &posternv1.SetConnectionSecretRequest_ClientSecret{ClientSecret: dex.Client.Secret}})
	if err == nil {
		fmt.Fprintln(say, "Applied: organization acme with one site, a connection to each, and a rule that guests use single sign-on.")
	}
	return err
}

// failure shows a refused call as its reason and text.
func failure(err error) error {
	if f := client.Explain(err); f != nil {
		return f
	}
	return err
}

// short is the last part of a resource name.
func short(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
