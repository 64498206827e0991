package convert

import (
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// StartFlow converts a request to open a flow.
func (c *Converter) StartFlow(r *posternv1.StartFlowRequest) (authflow.StartInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.StartInput{}, err
	}
	in := authflow.StartInput{
		RequestID: r.GetRequestId(), Subject: subject(r.GetSubject()), CorrelationID: r.GetCorrelationId(),
		Lifetime: r.GetLifetime().AsDuration(), OccurredAt: when(r.GetOccurredAt()),
	}
	var err error
	if in.Organization, in.Site, err = names.Site("parent", r.GetParent()); err != nil {
		return authflow.StartInput{}, err
	}
	if in.Context, err = origin("context", r.GetContext()); err != nil {
		return authflow.StartInput{}, err
	}
	for i, s := range r.GetSteps() {
		step, err := c.stepReport(fmt.Sprintf("steps[%d]", i), s)
		if err != nil {
			return authflow.StartInput{}, err
		}
		in.Steps = append(in.Steps, step)
	}
	if r.GetFinish() != nil {
		f, err := finish(r.GetFinish())
		if err != nil {
			return authflow.StartInput{}, err
		}
		in.Finish = &f
	}
	return in, nil
}

// ReportStep converts a request to report a step.
func (c *Converter) ReportStep(r *posternv1.ReportStepRequest) (authflow.StepInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.StepInput{}, err
	}
	organization, flow, err := flowName("flow", r.GetFlow())
	if err != nil {
		return authflow.StepInput{}, err
	}
	if r.GetStep() == nil {
		return authflow.StepInput{}, required("step")
	}
	step, err := c.stepReport("step", r.GetStep())
	if err != nil {
		return authflow.StepInput{}, err
	}
	return authflow.StepInput{Organization: organization, Flow: flow, RequestID: r.GetRequestId(), Step: step}, nil
}

// FinishFlow converts a request to end a flow.
func (c *Converter) FinishFlow(r *posternv1.FinishFlowRequest) (authflow.FinishInput, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return authflow.FinishInput{}, err
	}
	organization, flow, err := flowName("flow", r.GetFlow())
	if err != nil {
		return authflow.FinishInput{}, err
	}
	if r.GetFinish() == nil {
		return authflow.FinishInput{}, required("finish")
	}
	f, err := finish(r.GetFinish())
	if err != nil {
		return authflow.FinishInput{}, err
	}
	return authflow.FinishInput{Organization: organization, Flow: flow, RequestID: r.GetRequestId(), Finish: f}, nil
}

// mutation checks what all mutations share.
func (c *Converter) mutation(m request, requestID string) error {
	if err := c.Check(m); err != nil {
		return err
	}
	if requestID == "" {
		return required("request_id")
	}
	return nil
}

func flowName(field, name string) (string, authflow.FlowID, error) {
	organization, id, err := names.Flow(field, name)
	if err != nil {
		return "", authflow.FlowID{}, err
	}
	flow, err := authflow.ParseFlowID(id)
	if err != nil {
		return "", authflow.FlowID{}, about(field, err)
	}
	return organization, flow, nil
}

func (c *Converter) stepReport(field string, s *posternv1.StepReport) (authflow.StepReport, error) {
	if !c.reportable[audit.Type(s.GetType())] {
		return authflow.StepReport{}, errs.Field(field+".type", authflow.ErrStepType, "is not a step that a login service reports")
	}
	out := authflow.StepReport{
		Type: audit.Type(s.GetType()), Method: s.GetMethod(), Connection: s.GetConnection(), Factor: s.GetFactor(), Reason: s.GetReason(),
		Detail: s.GetDetail(), Subject: subject(s.GetSubject()), UserVerified: s.UserVerified, //nolint:protogetter // presence matters
		AuthenticatedAt: when(s.GetAuthenticatedAt()), OccurredAt: when(s.GetOccurredAt()), AMR: s.GetAmr(), ACR: s.GetAcr(),
		SessionHandle: s.GetSessionHandle(),
	}
	if s.GetContext() != nil {
		ctx, err := origin(field+".context", s.GetContext())
		if err != nil {
			return authflow.StepReport{}, err
		}
		out.Context = &ctx
	}
	return out, nil
}

func finish(f *posternv1.Finish) (authflow.Finish, error) {
	if f.GetAction() == posternv1.Finish_ACTION_UNSPECIFIED {
		return authflow.Finish{}, required("finish.action")
	}
	return authflow.Finish{
		Action: authflow.Action(f.GetAction()), Reason: f.GetReason(), Detail: f.GetDetail(), OccurredAt: when(f.GetOccurredAt()), //nolint:gosec // checked against the enum
	}, nil
}

// subject converts who a call is about. The text of the e-mail survives as a parsed address, or as what authflow hashes before
// it does anything else.
func subject(s *posternv1.Subject) authflow.Subject {
	out := authflow.Subject{
		AccountID: s.GetAccountId(), Kind: audit.SubjectKind(s.GetKind()), DisplayName: s.GetDisplayName(), //nolint:gosec // checked against the enum
	}
	if s != nil {
		out.EmailVerified = s.EmailVerified
	}
	if s.GetEmail() == "" {
		return out
	}
	if typed := policy.ParseIdentifier(s.GetEmail()); typed.Opaque() {
		out.Identifier = s.GetEmail()
	} else {
		out.Address = typed.Address()
	}
	return out
}

func origin(field string, c *posternv1.Context) (authflow.Context, error) {
	ip, err := address(field+".ip", c.GetIp())
	if err != nil {
		return authflow.Context{}, err
	}
	return authflow.Context{
		IP: ip, UserAgent: c.GetUserAgent(), DeviceID: c.GetDeviceId(), Client: audit.Client(c.GetClient()), //nolint:gosec // checked against the enum
	}, nil
}

// address converts an IP address; none is the zero Addr.
func address(field, s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, wrong(field, "must be an IPv4 or IPv6 address without a zone")
	}
	return ip.Unmap(), nil
}

// when converts a checked timestamp; none is the zero time.
func when(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// about puts an error of a parser under the field it was about.
func about(field string, err error) error {
	e := errs.As(err)
	if e == nil {
		return wrong(field, "is not valid")
	}
	return errs.Field(field, e.Reason, e.Public)
}
