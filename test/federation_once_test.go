package test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

type completion = posternv1.CompleteFederationResponse

// race hands in all requests at once, through every process in turn, each as a careful caller does: again, with its own request
// id, until it is answered.
func (a *abroad) race(requests []*posternv1.CompleteFederationRequest) []*completion {
	a.t.Helper()
	processes := append([]*process{a.p}, a.rest...)
	answers := make([]*completion, len(requests))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, r := range requests {
		wg.Go(func() {
			<-start
			err := eventually(30*time.Second, func(context.Context) (err error) {
				answers[i], err = a.complete(processes[i%len(processes)], r)
				return err
			})
			if err != nil {
				a.t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return answers
}

// won checks that one was let through and all others were replays, and returns which.
func (a *abroad) won(what string, answers []*completion) int {
	a.t.Helper()
	winner, won := 0, 0
	for i, c := range answers {
		switch {
		case c.GetIdentity() != nil && c.GetAnswer().GetReason() == "" && !c.GetAnswer().GetRepeatedAnswer():
			winner = i
			won++
		case c.GetIdentity() != nil || c.GetAnswer().GetReason() != "REPLAYED":
			a.t.Errorf("%s: answered %v", what, c)
		}
	}
	if won != 1 {
		a.t.Fatalf("%s: %d of %d got through", what, won, len(answers))
	}
	return winner
}

// again sends a request that was answered once more.
func (a *abroad) again(what string, p *process, r *posternv1.CompleteFederationRequest, first *completion) {
	a.t.Helper()
	c, err := a.complete(p, r)
	if err != nil || !c.GetAnswer().GetRepeatedAnswer() || c.GetAnswer().GetStep() != first.GetAnswer().GetStep() ||
		c.GetAnswer().GetReason() != first.GetAnswer().GetReason() || c.GetIdentity().GetSubjectId() != first.GetIdentity().GetSubjectId() {
		a.t.Errorf("%s: a retry is answered %v, %v; at first %v", what, c, err, first)
	}
}

// One ID token, one assertion and one code from many flows and calls in two processes at the same moment: each counts once.
func TestEvidenceCountsOnceInTwoProcesses(t *testing.T) {
	t.Parallel()
	const racers, callers = 50, 9
	o, s := idptest.NewOIDC(t, idptest.Algorithm("ES256")), idptest.NewSAML(t, idptest.ECDSA())
	a := goAbroad(t, o.RootPEM(), 2)
	a.oidc("corp", o)
	a.saml("agency", s, func(_, p table) { p["allows_unsolicited"] = true })
	a.apply()
	o.SetPerson(person("fay"))
	s.SetPerson(person("fay"))
	other := a.rest[0]

	// One token and one assertion, which the login service asked for itself, in fifty flows, and one that nobody asked for.
	nonce, asked := "nonce-of-fifty-flows", "_request-of-fifty-flows"
	token, assertion := o.IDToken(idptest.Claims{"nonce": nonce}), idptest.Encoded(s.Response(idptest.Response{InResponseTo: asked}))
	unasked := idptest.Encoded(s.Response(idptest.Response{}))
	tokens, assertions, arrivals := make([]*posternv1.CompleteFederationRequest, racers), make([]*posternv1.CompleteFederationRequest, racers),
		make([]*posternv1.CompleteFederationRequest, racers)
	for i := range racers {
		p := []*process{a.p, other}[i%2]
		tokens[i] = &posternv1.CompleteFederationRequest{Flow: a.flow(p, ""), RequestId: a.id(), Connection: "corp", Expectations: &posternv1.Expectations{Nonce: nonce},
			Evidence: &posternv1.CompleteFederationRequest_OidcToken{OidcToken: &posternv1.OidcToken{IdToken: token}}}
		assertions[i] = &posternv1.CompleteFederationRequest{Flow: a.flow(p, ""), RequestId: a.id(), Connection: "agency", Expectations: &posternv1.Expectations{SamlRequestId: asked},
			Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: assertion}}}
		arrivals[i] = &posternv1.CompleteFederationRequest{Site: guildSite, RequestId: a.id(), Connection: "agency",
			Evidence: &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{SamlResponse: unasked}}}
	}
	for what, requests := range map[string][]*posternv1.CompleteFederationRequest{"token": tokens, "assertion": assertions, "unasked": arrivals} {
		answers := a.race(requests)
		winner := a.won(what, answers)
		a.again(what, other, requests[winner], answers[winner])
		loser := (winner + 1) % racers
		a.again(what, a.p, requests[loser], answers[loser])
	}

	// One code by nine calls on its flow.
	b := a.begin(a.p, a.flow(a.p, ""), "corp")
	came := a.back(b, o.Authorize(b.GetRedirectUrl()))
	calls := make([]*posternv1.CompleteFederationRequest, callers)
	for i := range calls {
		calls[i] = &posternv1.CompleteFederationRequest{Flow: came.GetFlow(), RequestId: a.id(), BrowserToken: came.GetBrowserToken(), Evidence: came.GetEvidence()}
	}
	answers := a.race(calls)
	winner := a.won("code", answers)
	a.again("code", other, calls[winner], answers[winner])
	if n := o.Calls(idptest.Token); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}

	// And one call that was sent nine times over.
	b = a.begin(a.p, a.flow(a.p, ""), "corp")
	came = a.back(b, o.Authorize(b.GetRedirectUrl()))
	for i := range calls {
		calls[i] = came
	}
	first := 0
	answers = a.race(calls)
	for _, c := range answers {
		if c.GetIdentity().GetSubjectId() != "subject-of-fay" || c.GetAnswer().GetReason() != "" || c.GetAnswer().GetStep() != answers[0].GetAnswer().GetStep() {
			t.Errorf("one call sent nine times: %v", c)
		}
		if !c.GetAnswer().GetRepeatedAnswer() {
			first++
		}
	}
	if n := o.Calls(idptest.Token); first != 1 || n != 2 || o.Exchanged() != 2 {
		t.Errorf("one call sent nine times was the first %d times; %d codes were sent and %d taken", first, n, o.Exchanged())
	}

	counts := map[string]int{}
	a.recorded("every step", func(events []*posternv1.Event) bool {
		clear(counts)
		for _, e := range events {
			counts[e.GetType()+" "+e.GetReason()]++
		}
		return counts["sso.verified "] >= 5 && counts["sso.rejected REPLAYED"] >= 3*(racers-1)+callers-1
	})
	if counts["sso.verified "] != 5 || counts["sso.rejected REPLAYED"] != 3*(racers-1)+callers-1 {
		t.Errorf("recorded %v", counts)
	}
	a.hide(nonce, asked)
	a.sealed()
}

// A sidecar that is killed after a code left it never sends that code again: not the one whose exchange hangs, nor the one that
// was exchanged while the provider's keys were still on their way. The retry says so.
func TestACodeThatLeftAKilledSidecarIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	hangs, took := idptest.NewOIDC(t, idptest.Algorithm("ES256")), idptest.NewOIDC(t, idptest.Algorithm("ES256"))
	a := goAbroad(t, hangs.RootPEM(), 2, "POSTERN_OUTBOUND_TIMEOUT=4s")
	victim := a.rest[0]
	a.oidc("hangs", hangs)
	a.oidc("took", took)
	a.apply()
	hangs.SetPerson(person("gil"))
	took.SetPerson(person("gil"))
	hangs.Answer(idptest.Token, idptest.Hang)
	took.Answer(idptest.JWKS, idptest.Hang)
	var requests []*posternv1.CompleteFederationRequest
	for _, c := range []struct {
		connection string
		provider   *idptest.OIDC
	}{{"hangs", hangs}, {"took", took}} {
		b := a.begin(victim, a.flow(victim, ""), c.connection)
		requests = append(requests, a.back(b, c.provider.Authorize(b.GetRedirectUrl())))
	}
	var wg sync.WaitGroup
	for _, r := range requests {
		wg.Go(func() {
			if c, err := a.complete(victim, r); err == nil {
				t.Errorf("answered before it was killed: %v", c)
			}
		})
	}
	a.p.must2(eventually(30*time.Second, func(context.Context) error {
		if hangs.Calls(idptest.Token) == 0 || took.Calls(idptest.JWKS) == 0 {
			return fmt.Errorf("%d codes and %d requests for keys", hangs.Calls(idptest.Token), took.Calls(idptest.JWKS))
		}
		return nil
	}))
	victim.kill()
	wg.Wait()
	hangs.Mend()
	took.Mend()
	victim.run()
	victim.awaitServing()

	answers := a.race(requests) // one through the process that was killed, one through another
	for i, c := range answers {
		if c.GetAnswer().GetReason() != "CODE_EXCHANGE_FAILED" || c.GetIdentity() != nil || c.GetAnswer().GetRepeatedAnswer() {
			t.Errorf("the retry is answered %v", c)
		}
		a.again("killed", a.p, requests[i], c)
		requests[i].RequestId = a.id()
		if c := a.completed(requests[i]); c.GetAnswer().GetReason() != "REPLAYED" {
			t.Errorf("another call with that code is answered %v", c)
		}
	}
	if hangs.Calls(idptest.Token) != 1 || took.Calls(idptest.Token) != 1 || took.Exchanged() != 1 {
		t.Errorf("codes were sent %d and %d times", hangs.Calls(idptest.Token), took.Calls(idptest.Token))
	}
	events := a.recorded("the failed exchanges", func(events []*posternv1.Event) bool {
		return stepOf(events, answers[0].GetAnswer()) != nil && stepOf(events, answers[1].GetAnswer()) != nil
	})
	for _, c := range answers {
		if e := stepOf(events, c.GetAnswer()); e.GetReason() != "CODE_EXCHANGE_FAILED" || e.GetType() != "sso.rejected" {
			t.Errorf("recorded %v", e)
		}
	}
	if c := a.signedIn(hangs, "hangs"); c.GetIdentity() == nil {
		t.Errorf("the next sign-in: %v", c)
	}
	a.sealed()
}
