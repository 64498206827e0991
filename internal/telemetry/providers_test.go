package telemetry_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/telemetry"
	"github.com/postern-audit/postern/policy"
)

// fakeProviders answers everything alike.
type fakeProviders struct {
	authflow.Providers
	err error
}

func (f fakeProviders) Redeem(context.Context, string, *policy.Connection, authflow.Code) (federation.Identity, error) {
	return federation.Identity{ID: "s"}, f.err
}

func (f fakeProviders) Token(context.Context, string, *policy.Connection, authflow.Token) (federation.Identity, error) {
	return federation.Identity{ID: "s"}, f.err
}

func (f fakeProviders) Response(context.Context, string, *policy.Connection, authflow.Response) (federation.Identity, error) {
	return federation.Identity{ID: "s"}, f.err
}

func TestEvidenceIsCountedByWhatBecameOfIt(t *testing.T) {
	m := telemetry.NewMetrics(func() time.Time { return time.Unix(1, 0) })
	for _, err := range []error{nil, federation.Refuse(audit.ReasonExpired, "yesterday"), errors.New("a fault")} {
		p := m.Providers(fakeProviders{err: err})
		for _, judge := range []func() (federation.Identity, error){
			func() (federation.Identity, error) { return p.Redeem(t.Context(), "o", nil, authflow.Code{}) },
			func() (federation.Identity, error) { return p.Token(t.Context(), "o", nil, authflow.Token{}) },
			func() (federation.Identity, error) { return p.Response(t.Context(), "o", nil, authflow.Response{}) },
		} {
			if id, got := judge(); !errors.Is(got, err) || id.ID != "s" {
				t.Errorf("the answer was changed: %v %v", id, got)
			}
		}
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, evidence := range []string{"oidc_code", "oidc_token", "saml_response"} {
		for _, result := range []string{"ACCEPTED", "EXPIRED", "FAULT"} {
			if line := `postern_evidence_total{evidence="` + evidence + `",result="` + result + `"} 1`; !strings.Contains(w.Body.String(), line) {
				t.Errorf("no %s", line)
			}
		}
	}
	if !strings.Contains(w.Body.String(), "postern_code_exchange_seconds_count 3") {
		t.Error("exchanges are not timed")
	}
}
