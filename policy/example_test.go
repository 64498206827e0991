package policy_test

import (
	"fmt"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// A partner signs in with a password where the policy demands single sign-on.
func Example() {
	address, _ := policy.ParseUsableAddress("pat@Partner-Postern-Demo.com")
	org := &policy.Organization{
		ID:          "acme",
		Sites:       []policy.Site{{ID: "wiki"}},
		Connections: []policy.Connection{{ID: "okta", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolOIDC}},
		Policy: policy.Policy{Rules: []policy.Rule{{
			ID: "partner", Mode: policy.ModeEnforce,
			Match:   policy.Match{Domains: []policy.DomainMatch{{Domain: address.Domain()}}},
			Demands: policy.Demands{SSOConnection: "okta", SSOEvidence: audit.EvidenceAsserted},
		}}},
	}
	now := time.Date(2027, 6, 1, 12, 0, 0, 0, time.UTC)
	in := policy.Input{Organization: org, Site: &org.Sites[0], Now: now,
		Subject: policy.Subject{AccountID: "pat", Address: address, EmailVerified: true},
		Shown:   []policy.Shown{{Step: 2, Method: audit.MethodPassword, Evidence: audit.EvidenceAsserted, At: now}}}

	frozen := policy.Bind(in)
	decision, next := policy.Evaluate(frozen, in)
	fmt.Println(decision.Class, decision.Rule, decision.Verdict, decision.Reason, next[0].Method, next[0].Connection)

	in.Shown = append(in.Shown, policy.Shown{Step: 3, Method: audit.MethodSSO, Connection: "okta", Evidence: audit.EvidenceAsserted, At: now})
	decision, next = policy.Evaluate(frozen, in)
	fmt.Println(decision.Verdict, len(next))
	// Output:
	// EXTERNAL partner CONTINUE SSO_REQUIRED sso okta
	// ALLOW 0
}

func ExampleInspect() {
	for _, s := range []string{"Ann@GMAIL.com", `"ann@acme.com"@evil.com`, "ann@acme.test"} {
		r := policy.Inspect(s)
		fmt.Printf("%q free mail: %v, reason: %q\n", r.Address, r.FreeMail, r.Reason)
	}
	// Output:
	// "Ann@gmail.com" free mail: true, reason: ""
	// "" free mail: false, reason: "ADDRESS_QUOTED"
	// "" free mail: false, reason: "DOMAIN_SPECIAL_USE"
}
