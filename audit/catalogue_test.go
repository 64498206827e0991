package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// constants returns the string constants of this package whose names begin with a prefix, by name.
func constants(t *testing.T, prefix string) map[string]string {
	t.Helper()
	out := map[string]string{}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) == 0 {
				return true
			}
			for i, name := range spec.Names {
				if value, ok := spec.Values[i].(*ast.BasicLit); ok && value.Kind == token.STRING && strings.HasPrefix(name.Name, prefix) {
					if out[name.Name], err = strconv.Unquote(value.Value); err != nil {
						t.Fatal(err)
					}
				}
			}
			return true
		})
	}
	return out
}

func TestEveryTypeConstantIsInTheCatalogueOnceAndNothingElseIs(t *testing.T) {
	named := map[string]string{}
	for name, value := range constants(t, "Type") {
		if other, ok := named[value]; ok {
			t.Errorf("%s and %s are both %s", name, other, value)
		}
		named[value] = name
	}
	if len(named) < 40 {
		t.Fatalf("found %d constants only", len(named))
	}
	seen := map[audit.Type]bool{}
	for _, info := range audit.Types() {
		if seen[info.Type] {
			t.Errorf("%s is in the catalogue twice", info.Type)
		}
		seen[info.Type] = true
		if named[string(info.Type)] == "" {
			t.Errorf("%s has no constant", info.Type)
		}
	}
	for value, name := range named {
		if !seen[audit.Type(value)] {
			t.Errorf("%s is not in the catalogue", name)
		}
	}
}

func TestEveryReasonConstantIsInTheCatalogueAndNothingElseIs(t *testing.T) {
	named := map[string]bool{}
	for name, value := range constants(t, "Reason") {
		if named[value] {
			t.Errorf("%s repeats %s", name, value)
		}
		named[value] = true
	}
	used := map[string]bool{}
	for _, info := range audit.Types() {
		for _, r := range info.Reasons {
			used[r.Reason] = true
			if !named[r.Reason] {
				t.Errorf("%s on %s has no constant", r.Reason, info.Type)
			}
		}
	}
	for value := range named {
		if !used[value] {
			t.Errorf("no type carries %s", value)
		}
	}
}

func TestTheCatalogueIsWellFormed(t *testing.T) {
	for _, info := range audit.Types() {
		if info.Description == "" || info.Category == "" || info.Outcome == audit.OutcomeUnspecified {
			t.Errorf("%s is not described: %+v", info.Type, info)
		}
		if info.Binds && !info.Step || info.Reportable && !info.Step {
			t.Errorf("%s binds or is reported without being a step", info.Type)
		}
		if strings.HasSuffix(string(info.Type), ".rejected") != (info.NeedsReason && info.Step && info.Ending == audit.EndingNone && info.Type != audit.TypeMFALocked) {
			t.Errorf("%s: a rejection needs a reason", info.Type)
		}
		seen := map[[2]string]bool{}
		for _, r := range info.Reasons {
			if r.Reason == "" || r.Description == "" {
				t.Errorf("%s has an empty reason", info.Type)
			}
			methods := r.For
			if methods == nil {
				methods = []string{"*"}
			}
			for _, m := range methods {
				if seen[[2]string{r.Reason, m}] || seen[[2]string{r.Reason, "*"}] {
					t.Errorf("%s: %s is there twice for %s: it would not be unique with its method", info.Type, r.Reason, m)
				}
				seen[[2]string{r.Reason, m}] = true
				if m != "*" && !audit.IsMethod(m) && !audit.IsFactor(m) {
					t.Errorf("%s: %s is for %q, which is no method and no factor", info.Type, r.Reason, m)
				}
			}
		}
	}
}

func TestWhatIsHandedOutIsACopy(t *testing.T) {
	before := audit.Types()
	types := audit.Types()
	for i := range types {
		types[i].Type = "spoiled"
		for j := range types[i].Reasons {
			types[i].Reasons[j].Reason = "SPOILED"
			for k := range types[i].Reasons[j].For {
				types[i].Reasons[j].For[k] = "spoiled"
			}
		}
	}
	info, _ := audit.Lookup(audit.TypeMFARejected)
	info.Reasons[0].For[0] = "spoiled"
	audit.ReasonsFor(audit.TypeMFARejected, audit.FactorTOTP)[0].For[0] = "spoiled"
	audit.Refusals()[0].Reason = "SPOILED"
	if !reflect.DeepEqual(before, audit.Types()) || !audit.ValidRefusal(audit.ReasonNoSiteAccess) {
		t.Error("the catalogue has changed")
	}
}

func TestReasonsAreClosedPerMethod(t *testing.T) {
	const a, v = audit.EvidenceAsserted, audit.EvidenceVerified
	for _, c := range []struct {
		t              audit.Type
		method, reason string
		ev             audit.Evidence
		valid          bool
	}{
		{audit.TypePasswordRejected, "password", "BAD_CREDENTIALS", a, true},
		{audit.TypePasswordRejected, "password", "bad_credentials", a, false},
		{audit.TypePasswordRejected, "password", "WRONG_CODE", a, false},
		{audit.TypePasswordRejected, "password", "", a, false},
		{audit.TypePasswordRejected, "password", "OTHER", a, true},
		{audit.TypePasswordRejected, "password", "OTHER", v, false},
		{audit.TypePasswordlessRejected, "magic_link", "LINK_USED", a, true},
		{audit.TypePasswordlessRejected, "passkey", "LINK_USED", a, false},
		{audit.TypePasswordlessRejected, "email_code", "WRONG_CODE", a, true},
		{audit.TypeSSORejected, "sso", "MALFORMED", v, true},
		{audit.TypeSSORejected, "sso", "CODE_REPLAYED", v, false},
		{audit.TypeMFARejected, "TOTP", "MALFORMED", v, true},
		{audit.TypeMFARejected, "SMS", "MALFORMED", a, false},
		{audit.TypeMFARejected, "TOTP", "CODE_REPLAYED", v, true},
		{audit.TypeMFARejected, "TOTP", "DECLINED_BY_USER", a, false},
		{audit.TypeMFARejected, "PUSH", "DECLINED_BY_USER", a, true},
		{audit.TypeMFARejected, "RECOVERY_CODE", "RECOVERY_CODE_USED", a, true},
		{audit.TypeMFARejected, "WEBAUTHN", "SUBJECT_MISMATCH", a, true},
		{audit.TypeMFALocked, "TOTP", "LOCKED", v, true},
		{audit.TypeSessionRejected, "session", "SESSION_EXPIRED", a, true},
		{audit.TypeSessionRejected, "session", "TOKEN_EXPIRED", a, false},
		{audit.TypeSessionRejected, "session", "MFA_REQUIRED", v, true},
		{audit.TypeSessionRejected, "session", "CONNECTION_DISABLED", v, true},
		{audit.TypeTokenBlocked, "token", "TOKEN_UNKNOWN", v, true},
		{audit.TypeTokenBlocked, "token", "NETWORK_BLOCKED", v, true},
		{audit.TypeTokenBlocked, "token", "SESSION_EXPIRED", v, false},
		{audit.TypeTokenUsed, "token", "TOKEN_EXPIRED", v, false},
		{audit.TypeSignInFailed, "session", "MFA_REQUIRED", v, false},
		{audit.TypeSignInFailed, "session", "SESSION_EXPIRED", v, true},
		{audit.TypeAuthenticatorReset, "", "", v, true},
		{audit.TypeProofsRevoked, "", "OTHER", v, false},
		{audit.TypePasswordVerified, "password", "", a, true},
		{audit.TypePasswordVerified, "password", "SSO_REQUIRED", a, true},
		{audit.TypePasswordVerified, "password", "BAD_CREDENTIALS", a, false},
		{audit.TypeSSOVerified, "sso", "EVIDENCE_TOO_WEAK", a, true},
		{audit.TypeSignInFailed, "TOTP", "MALFORMED", v, true},
		{audit.TypeSignInFailed, "sso", "MALFORMED", v, true},
		{audit.TypeSignInFailed, "", "NOTHING_PROVEN", 0, true},
		{audit.TypeSignInFailed, "", "TOO_MANY_STEPS", 0, true},
		{audit.TypeSignInFailed, "", "OTHER", 0, true},
		{audit.TypeSignInDenied, "", "NO_SUBJECT", 0, true},
		{audit.TypeSignInDenied, "", "CONNECTION_DISABLED", 0, true},
		{audit.TypeSignInDenied, "", "NOT_INVITED", 0, true},
		{audit.TypeSignInDenied, "", "", 0, false},
		{audit.TypeSignInAbandoned, "", "NOT_CONFIRMED", 0, true},
		{audit.TypeSignInAbandoned, "", "STORE_LOST", 0, true},
		{audit.TypeSignInAbandoned, "", "", 0, true},
		{audit.TypeSignInSuperseded, "", "NOT_CONFIRMED", 0, true},
		{audit.TypeSignInCancelled, "", "NOT_CONFIRMED", 0, false},
		{"no.such", "", "", 0, false},
	} {
		if got := audit.ValidReason(c.t, c.method, c.reason, c.ev); got != c.valid {
			t.Errorf("%s %s %q %s: valid %v", c.t, c.method, c.reason, c.ev, got)
		}
	}
}

func TestEveryRejectionsReasonMayEndAFlow(t *testing.T) {
	for _, info := range audit.Types() {
		if !strings.HasSuffix(string(info.Type), ".rejected") {
			continue
		}
		for _, r := range info.Reasons {
			if r.Outside {
				continue
			}
			if !audit.ValidReason(audit.TypeSignInFailed, "", r.Reason, audit.EvidenceUnspecified) {
				t.Errorf("%s of %s cannot end a flow", r.Reason, info.Type)
			}
		}
	}
}

func TestWhatALoginServiceMayReport(t *testing.T) {
	for _, c := range []struct {
		t              audit.Type
		method, reason string
		may            bool
	}{
		{audit.TypePasswordVerified, "password", "", true},
		{audit.TypePasswordVerified, "password", "SSO_REQUIRED", false},
		{audit.TypePasswordRejected, "password", "OTHER", true},
		{audit.TypePasswordRejected, "password", "", false},
		{audit.TypeMFALocked, "SMS", "LOCKED", true},
		{audit.TypeSessionReused, "session", "", true},
		{audit.TypeSignInStarted, "", "", false},
		{audit.TypeSignInSucceeded, "", "", false},
		{audit.TypeSessionStarted, "", "", false},
		{audit.TypeSessionRejected, "session", "SESSION_EXPIRED", true},
		{audit.TypeSessionRejected, "session", "MFA_REQUIRED", false},
		{audit.TypeAuthenticatorReset, "", "", false},
		{audit.TypeTokenUsed, "token", "", false},
		{audit.TypePolicyUpdated, "", "", false},
		{"no.such", "", "", false},
	} {
		if got := audit.MayReport(c.t, c.method, c.reason); got != c.may {
			t.Errorf("%s %q: %v", c.t, c.reason, got)
		}
	}
	if audit.ValidRefusal("OTHER") || audit.ValidRefusal("") || !audit.ValidRefusal("SERVICE_REFUSED") {
		t.Error("refusals are closed")
	}
}

func TestBindingAndEndingTypes(t *testing.T) {
	var binds []audit.Type
	for _, info := range audit.Types() {
		if info.Binds {
			binds = append(binds, info.Type)
		}
	}
	if want := []audit.Type{audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeSocialVerified,
		audit.TypeSSOVerified, audit.TypeSessionReused}; !slices.Equal(binds, want) {
		t.Errorf("%v bind", binds)
	}
	for e := audit.EndingSucceeded; e <= audit.EndingSuperseded; e++ {
		if got := audit.EndingType(e); got != audit.Type("sign_in."+strings.ToLower(e.String())) {
			t.Errorf("%s ends with %q", e, got)
		}
	}
	if audit.EndingType(audit.EndingNone) != "" {
		t.Error("a live flow has no ending type")
	}
	for _, m := range append(audit.Methods(), audit.MethodMFA) {
		if info, ok := audit.Lookup(audit.VerifiedType(m)); !ok || info.Outcome != audit.OutcomeSuccess {
			t.Errorf("%s succeeds with %q", m, audit.VerifiedType(m))
		}
	}
	if audit.VerifiedType("carrier_pigeon") != "" || audit.OutcomeOf("no.such") != audit.OutcomeUnspecified || audit.Known("no.such") {
		t.Error("the catalogue is closed")
	}
}

func TestDistinctReasonsJoinWhatOneNameMeans(t *testing.T) {
	info, _ := audit.Lookup(audit.TypeSignInFailed)
	names := map[string]string{}
	for _, r := range info.DistinctReasons() {
		if names[r.Reason] != "" {
			t.Errorf("%s twice", r.Reason)
		}
		names[r.Reason] = r.Description
	}
	if got := names["MALFORMED"]; !strings.Contains(got, "TOTP, RECOVERY_CODE: ") || !strings.Contains(got, "sso: ") {
		t.Errorf("MALFORMED: %s", got)
	}
}

// TestTheAPIDocumentsTheSameWords holds the comments of the API to the catalogue.
func TestTheAPIDocumentsTheSameWords(t *testing.T) {
	b, err := os.ReadFile("../proto/postern/v1/sign_in.proto")
	if err != nil {
		t.Fatal(err)
	}
	words := append(audit.Factors(), audit.PasswordlessMethods()...)
	for _, r := range audit.Refusals() {
		words = append(words, r.Reason)
	}
	for _, w := range words {
		if !strings.Contains(string(b), w) {
			t.Errorf("sign_in.proto does not name %s", w)
		}
	}
}
