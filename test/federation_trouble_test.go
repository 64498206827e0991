package test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// trouble is one endpoint that answers in one way it should not, and the one reason that comes of it.
type trouble struct {
	endpoint idptest.Endpoint
	manner   idptest.Manner
	reason   string
	o        *idptest.OIDC
	s        *idptest.SAML
	request  *posternv1.CompleteFederationRequest // nil: the trouble is at the beginning
	answer   *posternv1.FlowAnswer
}

func (x *trouble) name() string {
	return strings.ToLower(string(x.endpoint) + "-" + string(x.manner))
}

func troubles() []*trouble {
	var out []*trouble
	for endpoint, reasons := range map[idptest.Endpoint]map[idptest.Manner]string{
		idptest.Discovery: {idptest.Hang: "IDP_UNREACHABLE", idptest.HangBody: "IDP_UNREACHABLE", idptest.Cut: "IDP_UNREACHABLE", idptest.Huge: "IDP_ERROR",
			idptest.Redirect: "IDP_ERROR", idptest.Garbage: "IDP_ERROR", idptest.Empty: "IDP_ERROR", idptest.Unavailable: "IDP_ERROR"},
		idptest.Metadata: {idptest.Hang: "IDP_UNREACHABLE", idptest.HangBody: "IDP_UNREACHABLE", idptest.Cut: "IDP_UNREACHABLE", idptest.Huge: "IDP_ERROR",
			idptest.Redirect: "IDP_ERROR", idptest.Garbage: "KEYS_UNAVAILABLE", idptest.Empty: "KEYS_UNAVAILABLE", idptest.Unavailable: "IDP_ERROR"},
		idptest.JWKS: {idptest.Hang: "IDP_UNREACHABLE", idptest.HangBody: "IDP_UNREACHABLE", idptest.Cut: "IDP_UNREACHABLE", idptest.Huge: "KEYS_UNAVAILABLE",
			idptest.Redirect: "IDP_UNREACHABLE", idptest.Garbage: "KEYS_UNAVAILABLE", idptest.Empty: "KEYS_UNAVAILABLE", idptest.Unavailable: "KEYS_UNAVAILABLE"},
		idptest.Token: {},
	} {
		for _, m := range idptest.Manners() {
			reason := reasons[m]
			if endpoint == idptest.Token {
				reason = "CODE_EXCHANGE_FAILED" // whatever it is, the code may be used up
			}
			out = append(out, &trouble{endpoint: endpoint, manner: m, reason: reason})
		}
	}
	return out
}

// open makes the provider and its connection.
func (x *trouble) open(a *abroad) {
	if x.endpoint == idptest.Metadata {
		x.s = idptest.NewSAML(a.t, idptest.ECDSA())
		x.s.Answer(x.endpoint, x.manner)
		a.saml(x.name(), x.s, func(_, p table) {
			p["metadata_url"] = x.s.MetadataURL()
			delete(p, "certificates")
			delete(p, "redirect_url")
			delete(p, "post_url")
		})
		return
	}
	x.o = idptest.NewOIDC(a.t, idptest.Algorithm("ES256"))
	x.o.SetPerson(person("jan"))
	x.o.Answer(x.endpoint, x.manner)
	a.oidc(x.name(), x.o)
}

// run makes the call that meets the trouble.
func (x *trouble) run(a *abroad, flow string) error {
	if x.request != nil {
		c, err := a.complete(a.p, x.request)
		x.answer = c.GetAnswer()
		return err
	}
	b, err := a.p.signIn().BeginFederation(a.ctx(), &posternv1.BeginFederationRequest{Flow: flow, RequestId: a.id(), Connection: x.name()})
	x.answer = b.GetAnswer()
	if b.GetRedirectUrl() != "" {
		return errors.New("there is a redirect")
	}
	return a.told(b, err)
}

func (x *trouble) calls() (n, elsewhere int, written int64) {
	if x.s != nil {
		return x.s.Calls(x.endpoint), x.s.Calls(idptest.Elsewhere), x.s.Written(x.endpoint)
	}
	return x.o.Calls(x.endpoint), x.o.Calls(idptest.Elsewhere), x.o.Written(x.endpoint)
}

// Providers that hang, talk without end, send elsewhere or talk nonsense cost one clear reason each, while others' sign-ins go on.
func TestProvidersInTroubleCostOneReason(t *testing.T) {
	t.Parallel()
	const bound = 8 << 20 // of what an endless answer gets rid of: a megabyte taken, and what the network holds
	well := idptest.NewOIDC(t, idptest.Algorithm("ES256"))
	a := goAbroad(t, well.RootPEM(), 1)
	a.hide(idptest.SecretText)
	a.oidc("well", well)
	all := troubles()
	for _, x := range all {
		x.open(a)
	}
	a.apply()
	well.SetPerson(person("jan"))
	flows := make([]string, len(all))
	for i, x := range all {
		flows[i] = a.flow(a.p, "")
		if x.endpoint == idptest.JWKS || x.endpoint == idptest.Token {
			b := a.begin(a.p, flows[i], x.name())
			x.request = a.back(b, x.o.Authorize(b.GetRedirectUrl()))
		}
	}
	var wg sync.WaitGroup
	var over atomic.Int64
	for i, x := range all {
		wg.Go(func() {
			if err := x.run(a, flows[i]); err != nil {
				t.Errorf("%s: %v", x.name(), err)
			}
			if x.manner == idptest.Hang {
				over.Add(1)
			}
		})
	}
	a.p.must2(eventually(20*time.Second, func(context.Context) error {
		for _, x := range all {
			if n, _, _ := x.calls(); n == 0 {
				return fmt.Errorf("%s was not called", x.name())
			}
		}
		return nil
	}))
	if c := a.signedIn(well, "well"); c.GetIdentity() == nil {
		t.Errorf("a sign-in elsewhere meanwhile: %v", c)
	}
	if over.Load() > 0 {
		t.Errorf("%d calls that hang were over before a sign-in at another provider was", over.Load())
	}
	wg.Wait()

	events := a.recorded("every rejection", func(events []*posternv1.Event) bool {
		for _, x := range all {
			if stepOf(events, x.answer) == nil {
				return false
			}
		}
		return true
	})
	for _, x := range all {
		if e := stepOf(events, x.answer); x.answer.GetReason() != x.reason || e.GetReason() != x.reason || e.GetPersonal().GetDetail() == "" {
			t.Errorf("%s is answered %s and recorded as %s: %s; want %s", x.name(), x.answer.GetReason(), e.GetReason(), e.GetPersonal().GetDetail(), x.reason)
		}
		n, elsewhere, written := x.calls()
		most := 1
		if x.manner == idptest.Cut && x.endpoint != idptest.Token {
			most = 2 // a connection that was kept and is closed then is no answer: what may be asked twice is asked on a new one
		}
		if n > most || elsewhere != 0 || written > bound {
			t.Errorf("%s: called %d times, led elsewhere %d times, took %d bytes", x.name(), n, elsewhere, written)
		}
	}
	if h, err := healthpb.NewHealthClient(a.p.conn).Check(a.ctx(), &healthpb.HealthCheckRequest{}); err != nil || h.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("afterwards the process is %v, %v", h, err)
	}
	a.sealed()
}
