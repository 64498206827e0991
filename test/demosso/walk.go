package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/internal/testkit/browser"
	"github.com/postern-audit/postern/internal/testkit/realidp"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// recordWithin bounds the wait for the archive to hold what was acknowledged.
const (
	recordWithin = 20 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// walk plays a login service.
type walk struct {
	c   *client.Client
	say io.Writer
}

// all is one sign-in through each provider, and one that turns out to be a replay.
func (w *walk) all(ctx context.Context, dex *realidp.OIDC, agency *realidp.SAML) error {
	oidc := func(cb browser.Callback, r *posternv1.CompleteFederationRequest) {
		r.Evidence = &posternv1.CompleteFederationRequest_OidcCallback{OidcCallback: &posternv1.OidcCallback{
			State: cb.Form.Get("state"), Code: cb.Form.Get("code"), Iss: cb.Form.Get("iss"), Error: cb.Form.Get("error")}}
	}
	saml := func(cb browser.Callback, r *posternv1.CompleteFederationRequest) {
		r.Evidence = &posternv1.CompleteFederationRequest_SamlResponse{SamlResponse: &posternv1.SamlResponse{
			SamlResponse: cb.Form.Get("SAMLResponse"), RelayState: cb.Form.Get("RelayState")}}
	}
	if err := w.signIn(ctx, "OpenID Connect through Dex", "partner", dex.SignIn, oidc); err != nil {
		return err
	}
	return w.signIn(ctx, "SAML through samlify", "agency", agency.SignIn, saml)
}

// signIn goes once through a provider: its login page, its answer, the account of whom it vouched for, the end.
func (w *walk) signIn(ctx context.Context, title, connection string, visit func(context.Context, string) (browser.Callback, error),
	hand func(browser.Callback, *posternv1.CompleteFederationRequest),
) error {
	fmt.Fprintf(w.say, "\n%s\n", title)
	start, err := client.Repeat(ctx, w.c.SignIn.StartFlow, &posternv1.StartFlowRequest{Parent: organization + "/sites/wiki", RequestId: rand.Text(),
		Context: &posternv1.Context{Ip: "192.0.2.7", UserAgent: "Mozilla/5.0 (demo)", Client: posternv1.Client_CLIENT_WEB}})
	if err != nil {
		return err
	}
	flow := start.GetFlow()
	begun, err := client.Repeat(ctx, w.c.SignIn.BeginFederation, &posternv1.BeginFederationRequest{Flow: flow, RequestId: rand.Text(), Connection: connection})
	if err != nil {
		return err
	}
	if begun.GetRedirectUrl() == "" {
		return fmt.Errorf("no redirect: %s", begun.GetAnswer().GetReason())
	}
	back, err := visit(ctx, begun.GetRedirectUrl())
	if err != nil {
		return err
	}
	done := &posternv1.CompleteFederationRequest{Flow: flow, RequestId: rand.Text(), BrowserToken: begun.GetBrowserToken()}
	hand(back, done)
	proved, err := client.Repeat(ctx, w.c.SignIn.CompleteFederation, done)
	if err != nil {
		return err
	}
	who := proved.GetIdentity()
	if who == nil {
		return fmt.Errorf("nothing was proven: %s", proved.GetAnswer().GetReason())
	}
	fmt.Fprintf(w.say, "%s vouches for %s (%s). It is nobody's identity yet: the login service makes an account and names it.\n", who.GetIssuer(),
		who.GetSubjectId(), who.GetEmail())
	if _, err := client.Repeat(ctx, w.c.SignIn.LinkAccount, &posternv1.LinkAccountRequest{Flow: flow, RequestId: rand.Text(),
		AccountId: "acct-" + connection + "-1", NewAccount: true}); err != nil {
		return err
	}
	end, err := client.Repeat(ctx, w.c.SignIn.FinishFlow, &posternv1.FinishFlowRequest{Flow: flow, RequestId: rand.Text(),
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if err != nil {
		return err
	}
	if end.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED {
		return fmt.Errorf("the sign-in ended %s: %s", end.GetEnding(), end.GetReason())
	}
	return w.replay(ctx, flow, connection, done)
}

// replay hands the same evidence in a second time, in another flow, and tells both.
func (w *walk) replay(ctx context.Context, flow, connection string, done *posternv1.CompleteFederationRequest) error {
	second, err := client.Repeat(ctx, w.c.SignIn.StartFlow, &posternv1.StartFlowRequest{Parent: organization + "/sites/wiki", RequestId: rand.Text()})
	if err != nil {
		return err
	}
	if _, err := client.Repeat(ctx, w.c.SignIn.BeginFederation, &posternv1.BeginFederationRequest{Flow: second.GetFlow(), RequestId: rand.Text(), Connection: connection}); err != nil {
		return err
	}
	done.Flow, done.RequestId = second.GetFlow(), rand.Text()
	stolen, err := client.Repeat(ctx, w.c.SignIn.CompleteFederation, done)
	if err != nil {
		return err
	}
	if stolen.GetIdentity() != nil || stolen.GetAnswer().GetReason() != "STATE_MISMATCH" {
		return errors.New("an answer to another flow was taken")
	}
	if _, err := client.Repeat(ctx, w.c.SignIn.FinishFlow, &posternv1.FinishFlowRequest{Flow: second.GetFlow(), RequestId: rand.Text(),
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}}); err != nil {
		return err
	}
	if err := w.tell(ctx, flow); err != nil {
		return err
	}
	fmt.Fprintln(w.say, "The same answer handed in to another flow:")
	return w.tell(ctx, second.GetFlow())
}

// tell prints the record of a flow, once it is complete.
func (w *walk) tell(ctx context.Context, flow string) error {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		f, err := w.c.Flows.GetFlow(ctx, &posternv1.GetFlowRequest{Name: flow})
		if err == nil && f.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
			return show.Flow(w.say, f)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the record of flow %s did not come: %w", short(flow), errors.Join(ctx.Err(), err))
		}
	}
}
