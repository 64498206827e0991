package demo

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// story is one sign-in, with what must come of it.
type story struct {
	title string // what happens, for people
	site  string
	act   func(ctx context.Context, d *demo, p *played) error // makes the calls and notes the flow in p
	// record lists the events the flow must leave, in order, as line writes them; nil: none.
	record []string
	ending posternv1.Ending
	rule   string // that decides at the end; empty: none
}

// played is a story that was acted out.
type played struct {
	story story
	flow  string // organizations/acme/flows/…
	done  time.Time
}

const (
	succeeded  = posternv1.Ending_ENDING_SUCCEEDED
	denied     = posternv1.Ending_ENDING_DENIED
	cancelled  = posternv1.Ending_ENDING_CANCELLED
	abandoned  = posternv1.Ending_ENDING_ABANDONED
	superseded = posternv1.Ending_ENDING_SUPERSEDED
)

// stories are what the demo shows, on the sites, connections and rules of examples/acme.yaml. The one that is abandoned comes
// first: its time runs out while the others go on.
func stories(now time.Time) []story {
	return append([]story{
		{
			title: "Gus opens the sign-in page and walks away: abandoned when the flow's time is over",
			site:  "wiki", act: open("gus@gmail.com", "", time.Second),
			record: []string{"sign_in.started", "sign_in.abandoned"}, ending: abandoned, rule: "freemail-guests",
		},
		{
			title: "Ann works at Acme: her sign-in is decided elsewhere and leaves nothing on this record",
			site:  "wiki", act: walk("ann@acme-postern-demo.com", password("acct-ann", "ann@acme-postern-demo.com")), ending: succeeded,
		},
		{
			title: "Tom, a supplier, has a password and nothing else; a rule on trial would have wanted a second factor",
			site:  "tracker", act: walk("tom@supplier-postern-demo.com", password("acct-tom", "tom@supplier-postern-demo.com")),
			record: []string{"sign_in.started", "password.verified", "sign_in.succeeded"}, ending: succeeded,
		},
		{
			title: "Mia mistypes her password twice",
			site:  "wiki", act: walk("mia@gmail.com", wrongPassword("mia@gmail.com"), wrongPassword("mia@gmail.com"), password("acct-mia", "mia@gmail.com")),
			record: []string{"sign_in.started", "password.rejected BAD_CREDENTIALS", "password.rejected BAD_CREDENTIALS", "password.verified", "sign_in.succeeded"},
			ending: succeeded, rule: "freemail-guests",
		},
		{
			title: "Lee signs in with Google",
			site:  "wiki", act: walk("lee@gmail.com", through("social.verified", "google", person("acct-lee", "lee@gmail.com"))),
			record: []string{"sign_in.started", "social.verified google", "sign_in.succeeded"}, ending: succeeded, rule: "freemail-guests",
		},
		{
			title: "Noa uses a passkey that asks for her finger: one step, and a second factor as well",
			site:  "tracker", act: walk("noa@supplier-postern-demo.com", passkey("acct-noa", "noa@supplier-postern-demo.com")),
			record: []string{"sign_in.started", "passwordless.verified passkey", "sign_in.succeeded"}, ending: succeeded,
		},
		{
			title: "Pia works at the partner and offers a password, but must come through her own company: denied",
			site:  "wiki", act: walk("pia@partner-postern-demo.com", password("acct-pia", "pia@partner-postern-demo.com")),
			record: []string{"sign_in.started", "password.verified SSO_REQUIRED uncounted", "sign_in.denied SSO_REQUIRED"},
			ending: denied, rule: "partner-sso",
		},
		{
			title: "Pia comes back through her company's single sign-on",
			site:  "wiki", act: walk("pia@partner-postern-demo.com", through("sso.verified", "partner-okta", person("acct-pia", "pia@partner-postern-demo.com"))),
			record: []string{"sign_in.started", "sso.verified partner-okta", "sign_in.succeeded"}, ending: succeeded, rule: "partner-sso",
		},
	}, more(now)...)
}

func more(now time.Time) []story {
	return []story{
		{
			title: "Ida proves her password, then somebody else's second factor turns up: refused, and she gives up",
			site:  "wiki", act: switched,
			record: []string{"sign_in.started", "password.verified", "mfa.rejected TOTP SUBJECT_MISMATCH", "sign_in.cancelled"},
			ending: cancelled, rule: "freemail-guests",
		},
		{
			title: "Rob still has a session from twenty minutes ago",
			site:  "wiki", act: walk("rob@gmail.com", &posternv1.StepReport{Type: "session.reused", Subject: person("acct-rob", "rob@gmail.com"),
				AuthenticatedAt: timestamppb.New(now.Add(-20 * time.Minute))}),
			record: []string{"sign_in.started", "session.reused", "sign_in.succeeded"}, ending: succeeded, rule: "freemail-guests",
		},
		{
			title: "Uma signed in two hours ago; the login service reports it now, all in one call",
			site:  "wiki", act: afterTheFact(now.Add(-2 * time.Hour)),
			record: []string{"sign_in.started late", "password.verified late", "sign_in.succeeded late"}, ending: succeeded, rule: "freemail-guests",
		},
		{
			title: "Eve begins in one tab …",
			site:  "wiki", act: open("eve@gmail.com", "eves-laptop", 0),
			record: []string{"sign_in.started", "sign_in.superseded"}, ending: superseded, rule: "freemail-guests",
		},
		{
			title: "… and goes on in another: the first one is superseded",
			site:  "wiki", act: again,
			record: []string{"sign_in.started", "password.verified", "sign_in.succeeded"}, ending: succeeded, rule: "freemail-guests",
		},
		{
			title: "Kim changes her mind and presses Cancel",
			site:  "wiki", act: cancel,
			record: []string{"sign_in.started", "sign_in.cancelled"}, ending: cancelled, rule: "freemail-guests",
		},
	}
}

func (s story) recorded() bool { return len(s.record) > 0 }

func password(account, email string) *posternv1.StepReport {
	return &posternv1.StepReport{Type: "password.verified", Subject: person(account, email)}
}

func wrongPassword(email string) *posternv1.StepReport {
	return &posternv1.StepReport{Type: "password.rejected", Reason: "BAD_CREDENTIALS", Subject: &posternv1.Subject{Email: email}}
}

func through(eventType, connection string, who *posternv1.Subject) *posternv1.StepReport {
	return &posternv1.StepReport{Type: eventType, Connection: connection, Subject: who}
}

func passkey(account, email string) *posternv1.StepReport {
	verified := true
	return &posternv1.StepReport{Type: "passwordless.verified", Method: "passkey", UserVerified: &verified, Subject: person(account, email)}
}

// open begins a flow and leaves it alone.
func open(typed, device string, lifetime time.Duration) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		r := &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: typed}, Context: browser(device)}
		if lifetime > 0 {
			r.Lifetime = durationpb.New(lifetime)
		}
		return d.begin(ctx, p, r)
	}
}

func switched(ctx context.Context, d *demo, p *played) error {
	if err := d.begin(ctx, p, &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: "ida@gmail.com"}}); err != nil {
		return err
	}
	if err := d.report(ctx, p, password("acct-ida", "ida@gmail.com")); err != nil {
		return err
	}
	if err := d.report(ctx, p, &posternv1.StepReport{Type: "mfa.verified", Factor: "TOTP", Subject: &posternv1.Subject{AccountId: "acct-mallory"}}); err != nil {
		return err
	}
	return d.finish(ctx, p, &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL})
}

func afterTheFact(at time.Time) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		step := password("acct-uma", "uma@gmail.com")
		step.OccurredAt = timestamppb.New(at.Add(4 * time.Second))
		finish := complete()
		finish.OccurredAt = timestamppb.New(at.Add(5 * time.Second))
		return d.begin(ctx, p, &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: "uma@gmail.com"}, OccurredAt: timestamppb.New(at),
			Steps: []*posternv1.StepReport{step}, Finish: finish})
	}
}

func again(ctx context.Context, d *demo, p *played) error {
	if err := open("eve@gmail.com", "eves-laptop", 0)(ctx, d, p); err != nil {
		return err
	}
	if err := d.report(ctx, p, password("acct-eve", "eve@gmail.com")); err != nil {
		return err
	}
	return d.finish(ctx, p, complete())
}

func cancel(ctx context.Context, d *demo, p *played) error {
	if err := d.begin(ctx, p, &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: "kim@gmail.com"}}); err != nil {
		return err
	}
	return d.finish(ctx, p, &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL})
}
