package policypb_test

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/policypb"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func domain(s string) policy.Domain {
	d, err := policy.ParseDomain(s)
	if err != nil {
		panic(err)
	}
	return d
}

// some draws nil or a short list.
func some[T any](t *rapid.T, label string, values ...T) []T {
	n := rapid.IntRange(0, len(values)).Draw(t, label)
	if n == 0 {
		return nil
	}
	return values[:n:n]
}

func pick[T any](t *rapid.T, label string, values ...T) T {
	return rapid.SampledFrom(values).Draw(t, label)
}

func drawDemands(t *rapid.T) policy.Demands {
	d := policy.Demands{Methods: some(t, "methods", "sso:okta", "password", "social:google"), SSOConnection: pick(t, "sso", "", "okta"),
		SSOEvidence: pick(t, "evidence", audit.EvidenceUnspecified, audit.EvidenceAsserted, audit.EvidenceVerified),
		Reverify:    pick(t, "reverify", 0, time.Hour), SessionLength: pick(t, "session", 0, time.Minute), Block: rapid.Bool().Draw(t, "block")}
	if rapid.Bool().Draw(t, "mfa") {
		d.MFA = &policy.MFADemand{Factors: some(t, "factors", "TOTP", "SMS"), MaxAge: pick(t, "age", 0, time.Hour),
			AcceptPartner: rapid.Bool().Draw(t, "partner"), PartnerACR: some(t, "acr", "urn:x"),
			Evidence: pick(t, "mfa evidence", audit.EvidenceUnspecified, audit.EvidenceVerified)}
	}
	return d
}

func drawPolicy(t *rapid.T) policy.Policy {
	key := policy.AccountKey{1, 2, 3}
	nets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	domains := []policy.DomainMatch{{Domain: domain("acme-x.com"), Subdomains: true}, {Domain: domain("münchen-x.de")}}
	p := policy.Policy{Default: drawDemands(t), Stops: policy.Stops{External: rapid.Bool().Draw(t, "stop"),
		Domains: some(t, "stop domains", domains...), Networks: some(t, "stop networks", nets...)},
		AccountLists:  some(t, "lists", policy.AccountList{Name: "vips", Accounts: []policy.AccountKey{key}}),
		RecordClasses: some(t, "record", audit.ClassManaged, audit.ClassClaimed)}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		p.Rules = append(p.Rules, policy.Rule{ID: "r", Description: pick(t, "description", "", "text"), Demands: drawDemands(t),
			Mode:        pick(t, "mode", policy.ModeEnforce, policy.ModeReportOnly),
			EnforceFrom: pick(t, "from", time.Time{}, time.Unix(1800000000, 5).UTC()), ExpiresAt: pick(t, "until", time.Time{}, time.Unix(1900000000, 0).UTC()),
			EnrolmentGrace: pick(t, "grace", 0, time.Hour), Message: "m", HelpURL: "https://x", Origin: pick(t, "origin", audit.OriginDocument, audit.OriginAPI),
			Match: policy.Match{Domains: some(t, "domains", domains...), Accounts: some(t, "accounts", key), AccountLists: some(t, "match lists", "vips"),
				Kinds: some(t, "kinds", audit.SubjectPerson, audit.SubjectApp), Sites: some(t, "sites", "wiki"), Networks: some(t, "networks", nets...),
				Connections: some(t, "connections", "okta")}})
	}
	return p
}

func drawPrivacy(t *rapid.T) audit.Privacy {
	return audit.Privacy{Email: pick(t, "email", 0, audit.EmailFull, audit.EmailPseudonym, audit.EmailOmitted), IP: pick(t, "ip", 0, audit.IPFull, audit.IPTruncated, audit.IPOmitted),
		UserContent: pick(t, "content", 0, audit.ContentKept, audit.ContentOmitted)}
}

func TestWhatGoesOutComesBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := policy.Organization{UID: "u", ID: "acme", DisplayName: "Acme", Disabled: rapid.Bool().Draw(t, "disabled"), Revision: 7,
			Stamp: policy.Stamp{7: 7, 15: 9}, Created: time.Unix(1700000000, 1).UTC(), Updated: time.Unix(1700000001, 0).UTC(),
			Sites: some(t, "sites", policy.Site{ID: "wiki", UID: "s", DisplayName: "W", Hostnames: []string{"h"}, Disabled: true, TrustsAccountEmail: true, Origin: audit.OriginDocument,
				ProofsNotBefore: pick(t, "site bound", time.Time{}, time.Unix(1800000000, 7).UTC()),
				Privacy:         drawPrivacy(t), Region: pick(t, "region", "", "eu")}),
			Retention: policy.Retention{HoldReason: pick(t, "why", "", "case 7"), Retention: audit.Retention{SignIn: pick(t, "days", 0, 90), Administration: pick(t, "days", 0, 3650),
				Activity: pick(t, "days", 0, 1), Hold: rapid.Bool().Draw(t, "hold")}},
			Privacy: drawPrivacy(t),
			Connections: some(t, "connections", policy.Connection{ID: "okta", UID: "c", Kind: policy.ConnectionSSO, Protocol: policy.ProtocolSAML, Origin: audit.OriginAPI},
				policy.Connection{ID: "google", UID: "g", Kind: policy.ConnectionSocial, Disabled: true, Origin: audit.OriginDocument},
				drawOIDC(t), drawSAML(t))}
		got, err := policypb.ToOrganization(wire(t, policypb.FromOrganization(&want)))
		if err == nil {
			secrets := policypb.FromSecrets(&want)
			for i := range secrets {
				secrets[i] = wire(t, secrets[i])
			}
			err = policypb.AddSecrets(got, secrets)
		}
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("%+v\nbecame %+v, %v", want, got, err)
		}
		p, allow := drawPolicy(t), rapid.Bool().Draw(t, "allow")
		q, again, err := policypb.ToPolicy(wire(t, policypb.FromPolicy(&p, allow)))
		if err != nil || again != allow || !reflect.DeepEqual(q, p) {
			t.Fatalf("%+v\nbecame %+v, %v", p, q, err)
		}
		whole := policy.Organization{Policy: p, AllowUnreadable: allow, ProofsNotBefore: pick(t, "bound", time.Time{}, time.Unix(1800000000, 9).UTC())}
		m := wire(t, policypb.FromPolicyOf(&whole))
		bound, err := policypb.ToProofsNotBefore(m)
		if err != nil || !bound.Equal(whole.ProofsNotBefore) || bound.IsZero() != whole.ProofsNotBefore.IsZero() {
			t.Fatalf("bound %v became %v, %v", whole.ProofsNotBefore, bound, err)
		}
		if q, again, err := policypb.ToPolicy(m); err != nil || again != allow || !reflect.DeepEqual(q, p) {
			t.Fatalf("%+v\nbecame %+v, %v", p, q, err)
		}
		r := policy.DomainRecord{Domain: domain("acme-x.com"), Subdomains: true, VerifiedBy: "OPERATOR", Revision: 3, Origin: audit.OriginDocument}
		if back, err := policypb.ToDomain(wire(t, policypb.FromDomain(r))); err != nil || back != r {
			t.Fatalf("%+v became %+v, %v", r, back, err)
		}
	})
}

// wire sends a message through its encoded form.
func wire[M proto.Message](t *rapid.T, m M) M {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	fresh := m.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(b, fresh); err != nil {
		t.Fatal(err)
	}
	back, ok := fresh.(M)
	if !ok {
		t.Fatal("another type came back")
	}
	return back
}

func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	rule := func(change func(*posternv1.Rule)) *posternv1.Policy {
		r := &posternv1.Rule{Id: "r", Mode: posternv1.Mode_MODE_ENFORCE, Match: &posternv1.Match{}, Demands: &posternv1.Demands{}}
		change(r)
		return &posternv1.Policy{Rules: []*posternv1.Rule{r}}
	}
	for name, m := range map[string]*posternv1.Policy{
		"a mode of a later version":   rule(func(r *posternv1.Rule) { r.Mode = 9 }),
		"no mode":                     rule(func(r *posternv1.Rule) { r.Mode = 0 }),
		"no id":                       rule(func(r *posternv1.Rule) { r.Id = "" }),
		"a method of a later version": rule(func(r *posternv1.Rule) { r.Demands.AllowedMethods = []string{"telepathy"} }),
		"a factor of a later version": rule(func(r *posternv1.Rule) { r.Demands.Mfa = &posternv1.MfaDemand{Factors: []string{"BLOOD"}} }),
		"evidence of a later version": rule(func(r *posternv1.Rule) { r.Demands.SsoEvidence = 7 }),
		"a zero duration":             rule(func(r *posternv1.Rule) { r.Demands.Reverification = durationpb.New(0) }),
		"a negative duration":         rule(func(r *posternv1.Rule) { r.EnrolmentGrace = durationpb.New(-1) }),
		"a bad time":                  rule(func(r *posternv1.Rule) { r.ExpiresAt = &timestamppb.Timestamp{Nanos: -1} }),
		"a raw domain":                rule(func(r *posternv1.Rule) { r.Match.Domains = []*posternv1.DomainMatch{{Domain: "ACME.com"}} }),
		"no domain":                   rule(func(r *posternv1.Rule) { r.Match.Domains = []*posternv1.DomainMatch{{}} }),
		"a short key":                 rule(func(r *posternv1.Rule) { r.Match.Accounts = [][]byte{{1}} }),
		"a kind of a later version":   rule(func(r *posternv1.Rule) { r.Match.Kinds = []posternv1.SubjectKind{9} }),
		"no kind":                     rule(func(r *posternv1.Rule) { r.Match.Kinds = []posternv1.SubjectKind{0} }),
		"a bad network":               rule(func(r *posternv1.Rule) { r.Match.Networks = []string{"10.0.0.0"} }),
		"a bad stop":                  {Stops: &posternv1.Stops{Networks: []string{"x"}}},
		"a class to record":           {RecordClasses: []posternv1.Class{1}},
		"on_unreadable":               {OnUnreadable: "MAYBE"},
		"bad defaults":                {DefaultDemands: &posternv1.Demands{AllowedMethods: []string{""}}},
	} {
		if p, _, err := policypb.ToPolicy(m); err == nil {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
	for name, m := range map[string]*posternv1.Organization{
		"nothing":                {},
		"no uid":                 {Name: "organizations/acme"},
		"a bad name":             {Name: "acme", Uid: "u"},
		"a bad etag":             {Name: "organizations/acme", Uid: "u", Etag: "x"},
		"a site without id":      {Name: "organizations/acme", Uid: "u", Sites: []*posternv1.Site{{Uid: "s"}}},
		"a site with a bad time": {Name: "organizations/acme", Uid: "u", Sites: []*posternv1.Site{{Id: "s", Uid: "s", ProofsNotBefore: &timestamppb.Timestamp{Nanos: -1}}}},
		"a bad kind":             {Name: "organizations/acme", Uid: "u", Connections: []*posternv1.Connection{{Id: "c", Uid: "c"}}},
		"two protocols":          {Name: "organizations/acme", Uid: "u", Connections: []*posternv1.Connection{{Id: "c", Uid: "c", Kind: 1, Oidc: &posternv1.Connection_Oidc{}, Saml: &posternv1.Connection_Saml{}}}},
		"a connection's domain":  {Name: "organizations/acme", Uid: "u", Connections: []*posternv1.Connection{{Id: "c", Uid: "c", Kind: 1, Domains: []*posternv1.DomainMatch{{Domain: "X"}}}}},
		"a bad protocol":         {Name: "organizations/acme", Uid: "u", Connections: []*posternv1.Connection{{Id: "c", Uid: "c", Kind: 1, Protocol: 9}}},
	} {
		if o, err := policypb.ToOrganization(m); err == nil {
			t.Errorf("%s: read as %+v", name, o)
		}
	}
}

func TestABadBoundIsAnError(t *testing.T) {
	if at, err := policypb.ToProofsNotBefore(&posternv1.Policy{ProofsNotBefore: &timestamppb.Timestamp{Seconds: 1 << 62}}); err == nil {
		t.Errorf("read as %v", at)
	}
}

func TestEtags(t *testing.T) {
	s := policy.Stamp{7: 1, 8: 0xff}
	if got, err := policypb.ParseEtag(policypb.Etag(s)); err != nil || got != s {
		t.Errorf("%v, %v", got, err)
	}
	if policypb.Etag(policy.Stamp{}) != "" {
		t.Error("what does not exist has an etag")
	}
	for _, bad := range []string{"0", "00000000000000010FF0000000000000", "zz", "000000000000000100000000000000000000"} {
		if _, err := policypb.ParseEtag(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
