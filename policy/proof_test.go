package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func flows(list []policy.Proof) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.Flow)
	}
	return out
}

func TestTheNewestOfEachKindIsRemembered(t *testing.T) {
	const a, v = audit.EvidenceAsserted, audit.EvidenceVerified
	known := []policy.Proof{
		{Flow: "totp", Factor: "TOTP", Evidence: v, At: ago(time.Hour), Device: device("laptop")},
		{Flow: "password", Method: "password", Evidence: a, At: ago(2 * time.Hour)},
		{Flow: "okta", Method: "sso", Connection: "okta", Evidence: a, At: ago(3 * time.Hour), PartnerAMR: []string{"mfa"}},
	}
	for name, c := range map[string]struct {
		added policy.Proof
		want  []string
	}{
		"a newer one takes the place of an older one": {policy.Proof{Method: "password", Evidence: a, At: now}, []string{"new", "totp", "okta"}},
		"an older one changes nothing":                {policy.Proof{Method: "password", Evidence: a, At: ago(4 * time.Hour)}, []string{"totp", "password", "okta"}},
		"another device is another kind":              {policy.Proof{Factor: "TOTP", Evidence: v, At: now, Device: device("phone")}, []string{"new", "totp", "password", "okta"}},
		"another connection is another kind":          {policy.Proof{Method: "sso", Connection: "adfs", Evidence: a, At: now}, []string{"new", "totp", "password", "okta"}},
		"weaker evidence does not push out better":    {policy.Proof{Factor: "TOTP", Evidence: a, At: now, Device: device("laptop")}, []string{"new", "totp", "password", "okta"}},
		"older but better stays beside newer":         {policy.Proof{Method: "password", Evidence: v, At: ago(4 * time.Hour)}, []string{"totp", "password", "okta", "new"}},
		"a sign-on without a second factor":           {policy.Proof{Method: "sso", Connection: "okta", Evidence: a, At: now}, []string{"new", "totp", "password", "okta"}},
		"a sign-on with a second factor": {policy.Proof{Method: "sso", Connection: "okta", Evidence: a, At: now, PartnerAMR: []string{"pwd", "mfa"}},
			[]string{"new", "totp", "password"}},
		"a session is no proof":         {policy.Proof{Method: "session", Evidence: v, At: now}, []string{"totp", "password", "okta"}},
		"a token is no proof":           {policy.Proof{Method: "token", Evidence: v, At: now}, []string{"totp", "password", "okta"}},
		"nothing is no proof":           {policy.Proof{Evidence: v, At: now}, []string{"totp", "password", "okta"}},
		"an unknown time is no proof":   {policy.Proof{Method: "password", Evidence: v}, []string{"totp", "password", "okta"}},
		"the same moment, retried, too": {policy.Proof{Method: "password", Evidence: a, At: ago(2 * time.Hour)}, []string{"totp", "password", "okta"}},
	} {
		c.added.Flow = "new"
		before := slices.Clone(known)
		got := policy.Remember(known, c.added)
		if !slices.Equal(flows(got), c.want) {
			t.Errorf("%s: %v, want %v", name, flows(got), c.want)
		}
		if !slices.Equal(flows(before), flows(known)) {
			t.Errorf("%s: the list given was changed", name)
		}
	}
}

func TestNoMoreIsRememberedThanAllowedAndTheOldestGoes(t *testing.T) {
	var list []policy.Proof
	for i := range policy.MaxProofs + 8 {
		p := policy.Proof{Factor: "SMS", Evidence: audit.EvidenceAsserted, At: ago(time.Hour).Add(time.Duration(i) * time.Second)}
		p.Device[0] = byte(i + 1)
		list = policy.Remember(list, p)
	}
	if len(list) != policy.MaxProofs || list[0].Device[0] != policy.MaxProofs+8 || list[policy.MaxProofs-1].Device[0] != 9 {
		t.Errorf("%d proofs, newest %v, oldest %v", len(list), list[0].Device[0], list[len(list)-1].Device[0])
	}
}

func TestUsableNeedsNoDemand(t *testing.T) {
	org, site := wiki()
	in := policy.Input{Organization: org, Site: site, Now: now}
	p := policy.Proof{Factor: "TOTP", At: ago(9000 * time.Hour)}
	if !policy.Usable(p, in) {
		t.Error("an old proof is no proof: age is for the demand to say")
	}
	in.NotBefore = p.At
	if !policy.Usable(p, in) {
		t.Error("the bound itself is not before the bound")
	}
	in.NotBefore = p.At.Add(1)
	if policy.Usable(p, in) {
		t.Error("a proof of before the bound is usable")
	}
}
