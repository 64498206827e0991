package demo

import (
	"context"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// begin opens a flow and notes it.
func (d *demo) begin(ctx context.Context, p *played, r *posternv1.StartFlowRequest) error {
	r.Parent, r.RequestId = organization+"/sites/"+p.story.site, requestID()
	if r.Context == nil {
		r.Context = browser("")
	}
	answer, err := client.Repeat(ctx, d.c.SignIn.StartFlow, r)
	p.flow, p.done = answer.GetFlow(), d.now()
	return err
}

// report reports a step of the flow.
func (d *demo) report(ctx context.Context, p *played, step *posternv1.StepReport) error {
	_, err := client.Repeat(ctx, d.c.SignIn.ReportStep, &posternv1.ReportStepRequest{Flow: p.flow, RequestId: requestID(), Step: step})
	p.done = d.now()
	return err
}

// finish ends the flow.
func (d *demo) finish(ctx context.Context, p *played, f *posternv1.Finish) error {
	_, err := client.Repeat(ctx, d.c.SignIn.FinishFlow, &posternv1.FinishFlowRequest{Flow: p.flow, RequestId: requestID(), Finish: f})
	p.done = d.now()
	return err
}

// walk opens a flow for a typed address, reports the steps and completes it.
func walk(typed string, steps ...*posternv1.StepReport) func(context.Context, *demo, *played) error {
	return func(ctx context.Context, d *demo, p *played) error {
		if err := d.begin(ctx, p, &posternv1.StartFlowRequest{Subject: &posternv1.Subject{Email: typed}}); err != nil {
			return err
		}
		for _, s := range steps {
			if err := d.report(ctx, p, s); err != nil {
				return err
			}
		}
		return d.finish(ctx, p, complete())
	}
}

func complete() *posternv1.Finish { return &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE} }

// browser is a context of the web; the device is empty when none is known.
func browser(device string) *posternv1.Context {
	return &posternv1.Context{Ip: "192.0.2.7", UserAgent: "Mozilla/5.0 (demo)", DeviceId: device, Client: posternv1.Client_CLIENT_WEB}
}

// person is an account with a proven address.
func person(account, email string) *posternv1.Subject {
	verified := true
	return &posternv1.Subject{AccountId: account, Email: email, EmailVerified: &verified}
}
