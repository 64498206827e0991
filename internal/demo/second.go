package demo

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	wrongCode = "WRONG_CODE" // what callers are told of every code that is refused
	allow     = posternv1.Verdict_VERDICT_ALLOW
	deny      = posternv1.Verdict_VERDICT_DENY
)

// secondFactors are the stories of the clinic, whose people the tracker asks for a code that Postern checks itself.
func secondFactors() []story {
	const clinic = "clinic-second-factor"
	var cara app
	var atWiki string
	return []story{
		{
			title: "Cara of the clinic comes to the tracker: it wants a second factor, so she enrols her app on the way in",
			site:  "tracker", act: enrolling(&cara),
			record: []string{"sign_in.started", "password.verified", "authenticator.enrolled TOTP", "authenticator.confirmed TOTP", "mfa.verified TOTP", "sign_in.succeeded"},
			ending: succeeded, rule: clinic,
		},
		{
			title: "On her phone Cara mistypes the code, then types the one she has used: both are just wrong to whoever asks, and she is denied",
			site:  "tracker", act: mistyping(&cara),
			record: []string{"sign_in.started", "password.verified", "mfa.rejected TOTP WRONG_CODE", "mfa.rejected TOTP CODE_REPLAYED", "sign_in.denied MFA_REQUIRED"},
			ending: denied, rule: clinic,
		},
		{
			title: "Somebody guesses Dov's codes: locked, even for the right one, until the help desk unlocks him",
			site:  "tracker", act: guessed,
			record: []string{"sign_in.started", "password.verified", "mfa.rejected TOTP WRONG_CODE", "mfa.rejected TOTP WRONG_CODE", "mfa.rejected TOTP WRONG_CODE",
				"mfa.rejected TOTP WRONG_CODE", "mfa.rejected TOTP WRONG_CODE", "mfa.locked TOTP LOCKED", "mfa.rejected TOTP LOCKED", "mfa.verified TOTP", "sign_in.succeeded"},
			ending: succeeded, rule: clinic,
		},
		{
			title: "Eli shows a code at the wiki, which did not even ask for one …",
			site:  "wiki", act: unasked(&atWiki),
			record: []string{"sign_in.started", "password.verified", "mfa.verified TOTP", "sign_in.succeeded"}, ending: succeeded,
		},
		{
			title: "… and the tracker remembers it: a password is enough now, on the same laptop",
			site:  "tracker", act: remembered(&atWiki),
			record: []string{"sign_in.started", "password.verified", "sign_in.succeeded"}, ending: succeeded, rule: clinic,
		},
		{
			title: "Eli's laptop is stolen and what was proven is revoked: the tracker wants a code again",
			site:  "tracker", act: stolen,
			record: []string{"sign_in.started", "password.verified", "sign_in.denied MFA_REQUIRED"}, ending: denied, rule: clinic,
		},
		{
			title: "Fay makes an API token: it works as long as her second factor counts and nobody revokes it",
			site:  "tracker", act: token,
			record: []string{"sign_in.started", "password.verified", "mfa.verified TOTP", "sign_in.succeeded", "token.created", "token.used", "token.revoked",
				"token.blocked TOKEN_REVOKED"},
			ending: succeeded, rule: clinic,
		},
	}
}

// enter opens a flow on a device and proves the password.
func (d *demo) enter(ctx context.Context, p *played, name, device string) (*posternv1.FlowAnswer, error) {
	email := name + "@clinic-postern-demo.com"
	if err := d.begin(ctx, p, &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: email}, Context: browser(device)}); err != nil {
		return nil, err
	}
	return client.Repeat(ctx, d.c.SignIn.ReportStep, &posternv1.ReportStepRequest{Flow: p.flow, RequestId: requestID(), Step: password("acct-"+name, email)})
}

func enrolling(cara *app) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		answer, err := d.enter(ctx, p, "cara", "caras-laptop")
		if err != nil {
			return err
		}
		if answer.GetVerdict() == allow || answer.GetDecision().GetReason() != "MFA_REQUIRED" {
			return fmt.Errorf("a password alone is %s (%s)", answer.GetVerdict(), answer.GetDecision().GetReason())
		}
		a, err := d.enrol(ctx, "acct-cara", p.flow)
		if err != nil {
			return err
		}
		*cara = *a
		return d.typeAndFinish(ctx, p, a, 1)
	}
}

// typeAndFinish types a right code and completes the flow.
func (d *demo) typeAndFinish(ctx context.Context, p *played, a *app, step int64) error {
	code, err := a.code(step)
	if err != nil {
		return err
	}
	if err := d.typed(ctx, p, code, ""); err != nil {
		return err
	}
	return d.finish(ctx, p, complete())
}

func mistyping(cara *app) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		if _, err := d.enter(ctx, p, "cara", "caras-phone"); err != nil {
			return err
		}
		wrong, err := cara.wrong()
		if err != nil {
			return err
		}
		used, err := cara.code(1)
		if err != nil {
			return err
		}
		for _, code := range []string{wrong, used} {
			if err := d.typed(ctx, p, code, wrongCode); err != nil {
				return err
			}
		}
		return d.finish(ctx, p, complete())
	}
}

func guessed(ctx context.Context, d *demo, p *played) error {
	dov, err := d.enrol(ctx, "acct-dov", "")
	if err != nil {
		return err
	}
	if _, err := d.enter(ctx, p, "dov", ""); err != nil {
		return err
	}
	wrong, err := dov.wrong()
	if err != nil {
		return err
	}
	right, err := dov.code(1)
	if err != nil {
		return err
	}
	for _, code := range []string{wrong, wrong, wrong, wrong, wrong, right} {
		if err := d.typed(ctx, p, code, wrongCode); err != nil {
			return err
		}
	}
	locked, err := d.c.Authenticators.GetAuthenticator(ctx, &posternv1.GetAuthenticatorRequest{Name: dov.name})
	if err != nil {
		return err
	}
	if locked.GetLockUntil() == nil {
		return fmt.Errorf("after %d wrong codes there is no lock", locked.GetFailures())
	}
	if _, err := client.Repeat(ctx, d.c.Authenticators.UnlockAuthenticator, &posternv1.UnlockAuthenticatorRequest{
		Name: dov.name, RequestId: requestID(), Reason: "it was not him; called back on the number we know"}); err != nil {
		return err
	}
	return d.typeAndFinish(ctx, p, dov, 1)
}

func unasked(atWiki *string) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		a, err := d.enrol(ctx, "acct-eli", "")
		if err != nil {
			return err
		}
		if _, err := d.enter(ctx, p, "eli", "elis-laptop"); err != nil {
			return err
		}
		*atWiki = p.flow
		return d.typeAndFinish(ctx, p, a, 1)
	}
}

func remembered(atWiki *string) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		answer, err := d.enter(ctx, p, "eli", "elis-laptop")
		if err != nil {
			return err
		}
		before := played{flow: *atWiki}
		for _, m := range answer.GetDecision().GetDemands() {
			if m.GetKind() == "MFA" && m.GetMet() && m.GetMetByProof().GetFlow() == before.id() {
				return d.finish(ctx, p, complete())
			}
		}
		return fmt.Errorf("the demand for a second factor does not name what met it at the wiki: %v", answer.GetDecision().GetDemands())
	}
}

func stolen(ctx context.Context, d *demo, p *played) error {
	if _, err := client.Repeat(ctx, d.c.Authenticators.RevokeProofs, &posternv1.RevokeProofsRequest{Parent: organization, RequestId: requestID(),
		Scope: &posternv1.RevokeProofsRequest_AccountId{AccountId: "acct-eli"}, Reason: "laptop stolen"}); err != nil {
		return err
	}
	if _, err := d.enter(ctx, p, "eli", "elis-laptop"); err != nil {
		return err
	}
	return d.finish(ctx, p, complete())
}

func token(ctx context.Context, d *demo, p *played) error {
	fay, err := d.enrol(ctx, "acct-fay", "")
	if err != nil {
		return err
	}
	if _, err := d.enter(ctx, p, "fay", "fays-laptop"); err != nil {
		return err
	}
	if err := d.typeAndFinish(ctx, p, fay, 1); err != nil {
		return err
	}
	handle := []byte(rand.Text())
	record := &posternv1.RecordSessionRequest{Parent: organization + "/sites/" + p.story.site, RequestId: requestID(), SessionHandle: handle, Flow: p.flow,
		Event: posternv1.RecordSessionRequest_EVENT_STARTED, Kind: posternv1.RecordSessionRequest_KIND_TOKEN}
	if _, err := client.Repeat(ctx, d.c.SignIn.RecordSession, record); err != nil {
		return err
	}
	if err := d.uses(ctx, p, handle, allow, ""); err != nil {
		return err
	}
	record.RequestId, record.Flow = requestID(), ""
	record.Event, record.EndCause = posternv1.RecordSessionRequest_EVENT_ENDED, posternv1.RecordSessionRequest_END_CAUSE_REVOKED
	if _, err := client.Repeat(ctx, d.c.SignIn.RecordSession, record); err != nil {
		return err
	}
	return d.uses(ctx, p, handle, deny, "TOKEN_REVOKED")
}

// uses checks a token as the site would, and demands this answer.
func (d *demo) uses(ctx context.Context, p *played, handle []byte, verdict posternv1.Verdict, reason string) error {
	answer, err := d.c.SignIn.CheckAccess(ctx, &posternv1.CheckAccessRequest{Site: organization + "/sites/" + p.story.site,
		Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: handle}, Context: &posternv1.Context{Ip: "192.0.2.9", Client: posternv1.Client_CLIENT_API}})
	p.done = d.now()
	if err != nil {
		return err
	}
	if answer.GetVerdict() != verdict || answer.GetReason() != reason {
		return fmt.Errorf("the token is answered %s %q, and should be %s %q", answer.GetVerdict(), answer.GetReason(), verdict, reason)
	}
	return nil
}
