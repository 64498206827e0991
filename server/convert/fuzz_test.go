package convert_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// FuzzStartFlow: whatever bytes come, the converter refuses them with a documented error or returns values within bounds.
func FuzzStartFlow(f *testing.F) {
	c, err := convert.New()
	if err != nil {
		f.Fatal(err)
	}
	r := startRequest()
	r.Subject = &posternv1.Subject{Email: "a@partner.com", AccountId: "a"}
	r.Context = &posternv1.Context{Ip: "192.0.2.1"}
	r.Steps = []*posternv1.StepReport{{Type: "sso.verified", Connection: "okta", Amr: []string{"mfa"}}}
	seed, err := proto.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m posternv1.StartFlowRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		in, err := c.StartFlow(&m)
		if err != nil {
			if e := errs.As(err); e == nil || e.Kind != errs.Invalid || len(e.Violations) == 0 {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if len(in.Steps) > 62 || len(in.Subject.AccountID) > 128 || len(in.CorrelationID) > 128 || in.RequestID == "" || in.Organization == "" || in.Site == "" {
			t.Errorf("out of bounds: %+v", in)
		}
		if !in.Subject.Address.IsZero() && in.Subject.Identifier != "" {
			t.Errorf("both an address and not one: %+v", in.Subject)
		}
	})
}

// FuzzCompleteFederation: whatever bytes come, what passes is of exactly one of the three ways to complete a sign-in elsewhere.
func FuzzCompleteFederation(f *testing.F) {
	c, err := convert.New()
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range completions() {
		seed, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m posternv1.CompleteFederationRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		in, err := c.CompleteFederation(&m)
		if err != nil {
			if e := errs.As(err); e == nil || e.Kind != errs.Invalid || len(e.Violations) == 0 {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		given := 0
		for _, is := range []bool{in.Callback != nil, in.Token != nil, in.SAML != nil} {
			if is {
				given++
			}
		}
		if given != 1 || in.RequestID == "" || in.Organization == "" {
			t.Errorf("passes: %+v", in)
		}
		if way := wayOf(in); way == "" {
			t.Errorf("is of no way to complete: %+v", in)
		}
	})
}

// wayOf says who began the sign-in that in completes, "" when its parts contradict each other.
func wayOf(in authflow.CompleteInput) string {
	flow, site, connection, browser, expects := !in.Flow.IsZero(), in.Site != "", in.Connection != "", in.BrowserToken != "", in.Expectations != nil
	switch {
	case flow && !site && !connection && browser && !expects:
		return "begun"
	case flow && !site && connection && !browser && expects && in.Callback == nil:
		return "expected"
	case !flow && site && connection && !browser && in.SAML != nil && (!expects || in.Expectations.Nonce+in.Expectations.RequestID == ""):
		return "unsolicited"
	}
	return ""
}
