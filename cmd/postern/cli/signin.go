package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// signIn plays a login service for one sign-in.
type signIn struct {
	*app
	c    *client.Client
	site string

	start        posternv1.StartFlowRequest
	address      string
	account      string
	unverified   bool
	method       string
	connection   string
	userVerified bool
	rejections   int
	rejectReason string
	factors      []string
	amr          []string
	age          time.Duration
	lifetime     time.Duration
	end          string
	refuseReason string
	oneShot      bool
	session      bool
	token        bool
	handleFile   string
	totpFile     string
}

const signInHelp = `Play the login service for one sign-in at a site, over the API any login service uses, and show what the sidecar
answers at each call, what would come next, and the record the sign-in leaves. The login service's word is all there is:
nothing is checked elsewhere, so this is for trying a policy on a deployment, not for letting people in.

Exit code 0 when the sign-in ends as asked; 1 when it is denied or fails.`

func (a *app) signIn() *cobra.Command {
	s := &signIn{app: a}
	s.start.Context = &posternv1.Context{}
	var program string
	cmd := &cobra.Command{
		Use:   "sign-in SITE ADDRESS",
		Short: "Walk one sign-in through a deployment, and show its record",
		Long:  signInHelp,
		Example: `  postern sign-in acme/wiki guest@gmail.com
  postern sign-in acme/wiki guest@gmail.com --reject 2          # two wrong passwords first
  postern sign-in acme/wiki guest@gmail.com --method sso --connection partner-okta --mfa TOTP
  postern sign-in acme/wiki guest@gmail.com --method passkey --user-verified
  postern sign-in acme/wiki guest@gmail.com --method session --authenticated-ago 20m
  postern sign-in acme/wiki guest@gmail.com --totp-secret-file uri.txt  # answers a demand for a one-time code
  postern sign-in acme/wiki guest@gmail.com --one-shot                # all of it in one call, after the fact
  postern sign-in acme/wiki guest@gmail.com --end cancel`,
		Args: exactly("SITE", "ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if s.site, err = resource(args[0], "sites"); err != nil {
				return err
			}
			if program != "" {
				v, err := enum("client", "CLIENT", program, posternv1.Client_value)
				if err != nil {
					return err
				}
				s.start.Context.Client = posternv1.Client(v)
			}
			s.address = args[1]
			return s.app.connect(func(c *client.Client) error {
				s.c = c
				return s.run(cmd.Context())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.method, "method", "password", "password, passkey, magic_link, email_code, social, sso or session")
	f.StringVar(&s.connection, "connection", "", "connection id, for social and sso")
	f.StringVar(&s.account, "account-id", "", "the login service's key for the account (default: the address)")
	f.BoolVar(&s.unverified, "unverified", false, "the login service has no proof that the address is the person's")
	f.BoolVar(&s.userVerified, "user-verified", false, "the passkey verified the person, by PIN or biometry")
	f.IntVar(&s.rejections, "reject", 0, "how often the method is rejected before it works; 10 end the flow")
	f.StringVar(&s.rejectReason, "reject-reason", "", "why (default: BAD_CREDENTIALS for password, else OTHER)")
	f.StringSliceVar(&s.factors, "mfa", nil, "second factor after the method: TOTP, EMAIL_OTP, SMS, PUSH, WEBAUTHN, RECOVERY_CODE, PARTNER")
	f.StringSliceVar(&s.amr, "amr", nil, "authentication methods the partner asserted, with social and sso")
	f.DurationVar(&s.age, "authenticated-ago", 10*time.Minute, "how long ago the person last gave a credential, with --method session")
	f.StringVar(&s.end, "end", "complete", "complete, cancel, refuse, or none to leave the flow open")
	f.StringVar(&s.refuseReason, "refuse-reason", "SERVICE_REFUSED", "with --end refuse: NO_SITE_ACCESS, NOT_INVITED, RISK_BLOCKED or SERVICE_REFUSED")
	f.BoolVar(&s.oneShot, "one-shot", false, "report everything in one call")
	f.BoolVar(&s.session, "session", false, "report a session of the site's own once the sign-in is through")
	f.BoolVar(&s.token, "token", false, "report an API token of the site's own once the sign-in is through")
	f.StringVar(&s.handleFile, "handle-file", "", "file with the handle, for --session, --token and --method session (default: made up here, none with --method session)")
	f.StringVar(&s.totpFile, "totp-secret-file", "", "file with a secret in base32 or an otpauth URI: a demand for a one-time code is met with a code of it")
	f.DurationVar(&s.lifetime, "lifetime", 0, "how long the flow may live (default: the sidecar's)")
	f.StringVar(&s.start.Context.Ip, "ip", "192.0.2.7", "where the person comes from")
	f.StringVar(&s.start.Context.UserAgent, "user-agent", "", "the person's browser")
	f.StringVar(&s.start.Context.DeviceId, "device-id", "", "stable id of the device; a newer flow there supersedes an older one")
	f.StringVar(&program, "client", "", "web, mobile, cli or api")
	f.StringVar(&s.start.CorrelationId, "correlation-id", "", "the login service's own id for this sign-in")
	return cmd
}

// run walks the flow and shows its record.
func (s *signIn) run(ctx context.Context) error {
	if s.account == "" {
		s.account = s.address
	}
	if s.oneShot && s.totpFile != "" {
		return usagef("--totp-secret-file answers what the sidecar asks for: leave out --one-shot")
	}
	steps, err := s.steps()
	if err != nil {
		return err
	}
	finish, err := s.finish()
	if err != nil {
		return err
	}
	s.start.Parent, s.start.Subject = s.site, &posternv1.Subject{Email: s.address}
	if s.lifetime > 0 {
		s.start.Lifetime = durationpb.New(s.lifetime)
	}
	if s.oneShot {
		s.start.Steps, s.start.Finish = steps, finish
		steps, finish = nil, nil
	}
	answer, err := s.walk(ctx, steps, finish)
	if err != nil {
		return err
	}
	if (s.session || s.token) && answer.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW {
		if err := s.recordSession(ctx, answer.GetFlow()); err != nil {
			return err
		}
	}
	if err := s.record(ctx, answer.GetFlow()); err != nil {
		return err
	}
	asked := map[string]posternv1.Ending{"complete": posternv1.Ending_ENDING_SUCCEEDED, "cancel": posternv1.Ending_ENDING_CANCELLED,
		"refuse": posternv1.Ending_ENDING_DENIED, "none": posternv1.Ending_ENDING_UNSPECIFIED}
	if answer.GetEnding() != asked[s.end] {
		return errNo
	}
	return nil
}

// walk makes the calls, one after the other, until the flow has ended.
func (s *signIn) walk(ctx context.Context, steps []*posternv1.StepReport, finish *posternv1.Finish) (*posternv1.FlowAnswer, error) {
	s.start.RequestId = newRequestID()
	answer, err := send(ctx, s, "StartFlow", s.c.SignIn.StartFlow, &s.start)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		if answer.GetPhase() == posternv1.Phase_PHASE_ENDED {
			return answer, nil
		}
		request := &posternv1.ReportStepRequest{Flow: answer.GetFlow(), RequestId: newRequestID(), Step: step}
		if answer, err = send(ctx, s, step.GetType(), s.c.SignIn.ReportStep, request); err != nil {
			return nil, err
		}
	}
	if s.totpFile != "" && wantsTotp(answer) {
		if answer, err = s.typeCode(ctx, answer.GetFlow()); err != nil {
			return nil, err
		}
	}
	if finish == nil || answer.GetPhase() == posternv1.Phase_PHASE_ENDED {
		return answer, nil
	}
	return send(ctx, s, "FinishFlow", s.c.SignIn.FinishFlow, &posternv1.FinishFlowRequest{Flow: answer.GetFlow(), RequestId: newRequestID(), Finish: finish})
}

// send makes one call, within its time, and shows the answer.
func send[Q proto.Message](ctx context.Context, s *signIn, what string, call call[Q], request Q) (*posternv1.FlowAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	answer, err := client.Repeat(ctx, call, request)
	if err != nil {
		return nil, err
	}
	return answer, s.show(what, answer)
}

// call is a method of SignInService that answers with the flow.
type call[Q any] func(context.Context, Q, ...grpc.CallOption) (*posternv1.FlowAnswer, error)

// steps are what is reported between start and finish.
func (s *signIn) steps() ([]*posternv1.StepReport, error) {
	kind, method := s.method, ""
	switch s.method {
	case "password", "social", "sso":
	case "passkey", "magic_link", "email_code":
		kind, method = "passwordless", s.method
	case "session":
		reused := &posternv1.StepReport{Type: "session.reused", Subject: s.subject(), AuthenticatedAt: timestamppb.New(s.now().Add(-s.age))}
		if s.handleFile != "" {
			handle, err := s.readSecret(s.handleFile)
			if err != nil {
				return nil, err
			}
			reused.SessionHandle = []byte(handle)
		}
		return append([]*posternv1.StepReport{reused}, s.mfa()...), nil
	default:
		return nil, usagef("--method must be password, passkey, magic_link, email_code, social, sso or session")
	}
	reason, detail := s.rejectReason, ""
	if reason == "" {
		if reason = "OTHER"; s.method == "password" {
			reason = "BAD_CREDENTIALS"
		}
	}
	if reason == "OTHER" {
		detail = "as postern sign-in --reject asked"
	}
	var steps []*posternv1.StepReport
	for range s.rejections {
		steps = append(steps, &posternv1.StepReport{Type: kind + ".rejected", Method: method, Connection: s.connection, Reason: reason, Detail: detail,
			Subject: &posternv1.Subject{Email: s.address}})
	}
	verified := &posternv1.StepReport{Type: kind + ".verified", Method: method, Connection: s.connection, Subject: s.subject(), Amr: s.amr}
	if s.userVerified {
		verified.UserVerified = &s.userVerified
	}
	return append(append(steps, verified), s.mfa()...), nil
}

func (s *signIn) subject() *posternv1.Subject {
	verified := !s.unverified
	return &posternv1.Subject{AccountId: s.account, Email: s.address, EmailVerified: &verified}
}

func (s *signIn) mfa() []*posternv1.StepReport {
	var steps []*posternv1.StepReport
	for _, factor := range s.factors {
		steps = append(steps, &posternv1.StepReport{Type: "mfa.verified", Factor: factor, Subject: &posternv1.Subject{AccountId: s.account}})
	}
	return steps
}

// finish is how the flow is ended; nil leaves it open.
func (s *signIn) finish() (*posternv1.Finish, error) {
	switch s.end {
	case "complete":
		return &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}, nil
	case "cancel":
		return &posternv1.Finish{Action: posternv1.Finish_ACTION_CANCEL}, nil
	case "refuse":
		return &posternv1.Finish{Action: posternv1.Finish_ACTION_REFUSE, Reason: s.refuseReason}, nil
	case "none":
		return nil, nil //nolint:nilnil // no finish is what was asked for
	}
	return nil, usagef("--end must be complete, cancel, refuse or none")
}

// show prints what a call was answered.
func (s *signIn) show(what string, answer *posternv1.FlowAnswer) error {
	if s.json() {
		return s.wrapped("answer", answer)
	}
	fmt.Fprintf(s.stdout, "%s: %s, verdict %s", printable.Escape(what), show.Enum("PHASE", answer.GetPhase()), show.Enum("VERDICT", answer.GetVerdict()))
	if answer.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
		fmt.Fprintf(s.stdout, ", ended %s", show.Enum("ENDING", answer.GetEnding()))
	}
	if answer.GetReason() != "" {
		fmt.Fprintf(s.stdout, " (%s)", printable.Escape(answer.GetReason()))
	}
	if answer.Counts != nil && !answer.GetCounts() {
		fmt.Fprint(s.stdout, ", the step does not count")
	}
	fmt.Fprintln(s.stdout)
	if next := nextSteps(answer.GetNext()); next != "" {
		fmt.Fprintf(s.stdout, "  next: %s\n", next)
	}
	if m := answer.GetUserMessage(); m.GetText() != "" {
		fmt.Fprintf(s.stdout, "  the person is told: %s\n", printable.Escape(words(m.GetText(), m.GetRuleMessage(), m.GetHelpUrl())))
	}
	return nil
}

// record prints the flow as it is kept.
func (s *signIn) record(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	f, err := s.c.Flows.GetFlow(ctx, &posternv1.GetFlowRequest{Name: name})
	if err != nil {
		return err
	}
	if s.json() {
		return s.wrapped("flow", f)
	}
	fmt.Fprintln(s.stdout)
	return show.Flow(s.stdout, f)
}

// wrapped prints {"key": message}, so that lines of several kinds can be told apart.
func (s *signIn) wrapped(key string, m proto.Message) error {
	b, err := show.JSON(m)
	if err != nil {
		return err
	}
	if b, err = show.Line(map[string]json.RawMessage{key: b}); err != nil {
		return err
	}
	return s.write(b)
}
