package server_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/names"
)

// factors keeps what it was asked, and answers with the secret of canaries.
type factors struct {
	mu    sync.Mutex
	asked []any
	fail  error
	known []policy.AccountKey // of List
}

const (
	canarySecret = "CANARYSECRETCANARYSECRETCANARYSE"
	canaryCode   = "CANRY-CODE1"
	canaryTyped  = "867530942"
	acctMia      = "acct-mia"
)

var miaKey = policy.AccountKey{0xab, 15: 1}

func (f *factors) one(asked any) (authflow.SubjectFactor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, asked)
	return authflow.SubjectFactor{Organization: "acme", OrganizationUID: acmeUID, Subject: miaKey, Authenticator: factor.Authenticator{
		State: factor.Active, AccountID: acctMia, Failures: 5, LockUntil: time.Now().Add(time.Hour), Recovery: make([]factor.Hash, 3),
		Active: factor.Credential{UID: "u-1", Sealed: []byte(canarySecret), Algorithm: factor.SHA256, Digits: 8, Period: time.Minute,
			Enrolled: time.Unix(1e9, 0), Confirmed: time.Unix(2e9, 0), By: "unix:7", Flow: flowID},
		Pending: factor.Credential{UID: "u-2", Sealed: []byte(canarySecret)},
	}}, f.fail
}

func (f *factors) Enrol(_ context.Context, _ authflow.Caller, in authflow.EnrolInput) (authflow.Enrolled, error) {
	s, err := f.one(in)
	return authflow.Enrolled{SubjectFactor: s, HandOut: authflow.HandOut{URI: "otpauth://totp/x?secret=" + canarySecret, Secret: canarySecret, QR: []byte("png")}}, err
}

func (f *factors) Confirm(_ context.Context, _ authflow.Caller, in authflow.ConfirmInput) (authflow.SubjectFactor, error) {
	return f.one(in)
}

func (f *factors) Get(_ context.Context, organization string, subject policy.AccountKey) (authflow.SubjectFactor, error) {
	return f.one([]any{organization, subject})
}

func (f *factors) List(_ context.Context, in authflow.ListInput) ([]authflow.SubjectFactor, policy.AccountKey, error) {
	s, err := f.one(in)
	var page []authflow.SubjectFactor
	for _, k := range f.known {
		if bytes.Compare(k[:], in.After[:]) > 0 && len(page) < in.Limit {
			s.Subject = k
			page = append(page, s)
		}
	}
	if len(page) == 0 || page[len(page)-1].Subject == f.known[len(f.known)-1] {
		return page, policy.AccountKey{}, err
	}
	return page, page[len(page)-1].Subject, err
}

func (f *factors) Unlock(_ context.Context, _ authflow.Caller, in authflow.MendInput) (authflow.SubjectFactor, error) {
	return f.one(in)
}

func (f *factors) Reset(_ context.Context, _ authflow.Caller, in authflow.MendInput) (authflow.SubjectFactor, error) {
	return f.one(in)
}

func (f *factors) GenerateRecoveryCodes(_ context.Context, _ authflow.Caller, in authflow.RecoveryCodesInput) (authflow.RecoveryCodes, error) {
	s, err := f.one(in)
	return authflow.RecoveryCodes{SubjectFactor: s, Codes: []string{canaryCode}}, err
}

func (f *factors) Import(_ context.Context, _ authflow.Caller, in authflow.ImportInput) (authflow.Imported, error) {
	_, err := f.one(in)
	return authflow.Imported{Imported: len(in.Rows) - 2, Skipped: 1, Problems: []authflow.ImportProblem{{Index: 1, Reason: "SECRET_TOO_WEAK"}}}, err
}

func (f *factors) RevokeProofs(_ context.Context, _ authflow.Caller, in authflow.RevokeInput) (authflow.Revoked, error) {
	_, err := f.one(in)
	return authflow.Revoked{NotBefore: time.Unix(1e9, 0), Event: "e-1"}, err
}

// factorCalls are all calls with a secret, a code or a handle in them, by name.
func factorCalls(ctx context.Context, w *world, t *testing.T) map[string]func() (proto.Message, error) {
	conn := w.dial(t)
	c, s := posternv1.NewAuthenticatorServiceClient(conn), posternv1.NewSignInServiceClient(conn)
	name := names.FormatAuthenticator("acme", miaKey)
	flow := "organizations/acme/flows/" + flowID
	return map[string]func() (proto.Message, error){
		"EnrollTotp": func() (proto.Message, error) {
			return c.EnrollTotp(ctx, &posternv1.EnrollTotpRequest{Parent: acme, RequestId: "r", AccountId: acctMia, Reason: "why", Issuer: "Acme Wiki", Label: "mia@gmail.com"})
		},
		"ConfirmTotp": func() (proto.Message, error) {
			return c.ConfirmTotp(ctx, &posternv1.ConfirmTotpRequest{Name: name, RequestId: "r", Code: canaryTyped})
		},
		"GetAuthenticator": func() (proto.Message, error) {
			return c.GetAuthenticator(ctx, &posternv1.GetAuthenticatorRequest{Name: name})
		},
		"UnlockAuthenticator": func() (proto.Message, error) {
			return c.UnlockAuthenticator(ctx, &posternv1.UnlockAuthenticatorRequest{Name: name, RequestId: "r", Reason: "why"})
		},
		"ResetAuthenticator": func() (proto.Message, error) {
			return c.ResetAuthenticator(ctx, &posternv1.ResetAuthenticatorRequest{Name: name, RequestId: "r", Reason: "why"})
		},
		"GenerateRecoveryCodes": func() (proto.Message, error) {
			return c.GenerateRecoveryCodes(ctx, &posternv1.GenerateRecoveryCodesRequest{Name: name, RequestId: "r", Flow: flow})
		},
		"ImportAuthenticators": func() (proto.Message, error) {
			return c.ImportAuthenticators(ctx, &posternv1.ImportAuthenticatorsRequest{Parent: acme, RequestId: "r", Reason: "why",
				Authenticators: []*posternv1.ImportedTotp{{AccountId: "a", Secret: canarySecret}, {AccountId: "b", Secret: canarySecret, Algorithm: "SHA512", Period: 60}, {AccountId: "c", Secret: canarySecret}}})
		},
		"RevokeProofs": func() (proto.Message, error) {
			return c.RevokeProofs(ctx, &posternv1.RevokeProofsRequest{Parent: acme, RequestId: "r", Reason: "why", Scope: &posternv1.RevokeProofsRequest_AccountId{AccountId: acctMia}})
		},
		"VerifyTotp": func() (proto.Message, error) {
			return s.VerifyTotp(ctx, &posternv1.VerifyTotpRequest{Flow: flow, RequestId: "r", Code: canaryTyped})
		},
		"VerifyRecoveryCode": func() (proto.Message, error) {
			return s.VerifyRecoveryCode(ctx, &posternv1.VerifyRecoveryCodeRequest{Flow: flow, RequestId: "r", Code: canaryCode})
		},
		"CheckAccess": func() (proto.Message, error) {
			return s.CheckAccess(ctx, &posternv1.CheckAccessRequest{Site: acme + "/sites/wiki", Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: []byte(canarySecret)}})
		},
	}
}

func TestEveryFactorCallReachesItsUseCaseAndShowsNoSecretButOnce(t *testing.T) {
	w := newWorld(t, nil)
	for name, call := range factorCalls(testContext(t), w, t) {
		answer, err := call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shows := bytes.Contains(marshal(t, answer), []byte(canarySecret)) || strings.Contains(answer.(interface{ String() string }).String(), canaryCode)
		if want := name == "EnrollTotp" || name == "GenerateRecoveryCodes"; shows != want {
			t.Errorf("%s shows a secret: %v", name, shows)
		}
	}
	if len(w.factors.asked) != 8 {
		t.Errorf("%d use cases were asked", len(w.factors.asked))
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever a use case answers, what was handed in is neither in the answer nor on the record nor in the log.
func TestNoSecretIsInAnErrorAboutIt(t *testing.T) {
	for _, fail := range []error{
		errs.New(errs.Invalid, "SECRET_INVALID", "a secret is base32"), errs.Wrap(context.DeadlineExceeded, errs.Unavailable, "NOT_RECORDED", "nothing happened"),
		errs.New(errs.Internal, "X", "a defect"),
	} {
		w := newWorld(t, nil)
		w.factors.fail = fail
		for name, call := range factorCalls(testContext(t), w, t) {
			if slices.Contains([]string{"VerifyTotp", "VerifyRecoveryCode", "CheckAccess"}, name) {
				continue
			}
			_, err := call()
			if err == nil {
				t.Errorf("%s: no error", name)
				continue
			}
			for _, canary := range []string{canarySecret, canaryCode, canaryTyped} {
				if strings.Contains(err.Error(), canary) || strings.Contains(w.log.String(), canary) {
					t.Errorf("%s: the error or the log has a secret: %v", name, err)
				}
			}
		}
	}
}

func TestRequestsThatCannotBeMeantNeverReachAUseCase(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial(t)
	c, s := posternv1.NewAuthenticatorServiceClient(conn), posternv1.NewSignInServiceClient(conn)
	ctx := testContext(t)
	name := names.FormatAuthenticator("acme", miaKey)
	enrol := func(change func(*posternv1.EnrollTotpRequest)) func() error {
		return func() error {
			r := &posternv1.EnrollTotpRequest{Parent: acme, RequestId: "r", AccountId: acctMia, Reason: "why", Issuer: "Acme", Label: "mia"}
			change(r)
			_, err := c.EnrollTotp(ctx, r)
			return err
		}
	}
	revoke := func(change func(*posternv1.RevokeProofsRequest)) func() error {
		return func() error {
			r := &posternv1.RevokeProofsRequest{Parent: acme, RequestId: "r", Reason: "why"}
			change(r)
			_, err := c.RevokeProofs(ctx, r)
			return err
		}
	}
	take := func(rows ...*posternv1.ImportedTotp) func() error {
		return func() error {
			_, err := c.ImportAuthenticators(ctx, &posternv1.ImportAuthenticatorsRequest{Parent: acme, RequestId: "r", Reason: "why", Authenticators: rows})
			return err
		}
	}
	for what, tt := range map[string]struct {
		call   func() error
		reason string
	}{
		"enrol: no account":      {enrol(func(r *posternv1.EnrollTotpRequest) { r.AccountId = "" }), "FIELD_REQUIRED"},
		"enrol: no issuer":       {enrol(func(r *posternv1.EnrollTotpRequest) { r.Issuer = "" }), "FIELD_REQUIRED"},
		"enrol: colon in issuer": {enrol(func(r *posternv1.EnrollTotpRequest) { r.Issuer = "Acme: Wiki" }), "FIELD_INVALID"},
		"enrol: hidden in label": {enrol(func(r *posternv1.EnrollTotpRequest) { r.Label = "mia\u202egro" }), "FIELD_INVALID"},
		"enrol: nothing behind":  {enrol(func(r *posternv1.EnrollTotpRequest) { r.Reason = "" }), "FIELD_REQUIRED"},
		"enrol: strange flow":    {enrol(func(r *posternv1.EnrollTotpRequest) { r.Flow = "organizations/beta/flows/" + flowID }), "FIELD_INVALID"},
		"enrol: MD5":             {enrol(func(r *posternv1.EnrollTotpRequest) { r.Algorithm = "MD5" }), "ENUM_UNKNOWN"},
		"enrol: negative digits": {enrol(func(r *posternv1.EnrollTotpRequest) { r.Digits = -6 }), "FIELD_INVALID"},
		"confirm: no code": {func() error {
			_, err := c.ConfirmTotp(ctx, &posternv1.ConfirmTotpRequest{Name: name, RequestId: "r"})
			return err
		}, "FIELD_REQUIRED"},
		"confirm: long code": {func() error {
			_, err := c.ConfirmTotp(ctx, &posternv1.ConfirmTotpRequest{Name: name, RequestId: "r", Code: strings.Repeat("1", 17)})
			return err
		}, "FIELD_INVALID"},
		"get: upper case": {func() error {
			_, err := c.GetAuthenticator(ctx, &posternv1.GetAuthenticatorRequest{Name: acme + "/authenticators/" + strings.Repeat("A", 32)})
			return err
		}, "NAME_INVALID"},
		"get: short": {func() error {
			_, err := c.GetAuthenticator(ctx, &posternv1.GetAuthenticatorRequest{Name: acme + "/authenticators/ab"})
			return err
		}, "NAME_INVALID"},
		"unlock: no reason": {func() error {
			_, err := c.UnlockAuthenticator(ctx, &posternv1.UnlockAuthenticatorRequest{Name: name, RequestId: "r"})
			return err
		}, "FIELD_REQUIRED"},
		"reset: no request id": {func() error {
			_, err := c.ResetAuthenticator(ctx, &posternv1.ResetAuthenticatorRequest{Name: name, Reason: "why"})
			return err
		}, "FIELD_REQUIRED"},
		"recovery codes: nothing behind": {func() error {
			_, err := c.GenerateRecoveryCodes(ctx, &posternv1.GenerateRecoveryCodesRequest{Name: name, RequestId: "r"})
			return err
		}, "FIELD_REQUIRED"},
		"import: nothing":        {take(), "FIELD_REQUIRED"},
		"import: no account":     {take(&posternv1.ImportedTotp{Secret: canarySecret}), "FIELD_REQUIRED"},
		"import: no secret":      {take(&posternv1.ImportedTotp{AccountId: "a"}), "FIELD_REQUIRED"},
		"import: MD5":            {take(&posternv1.ImportedTotp{AccountId: "a", Secret: canarySecret, Algorithm: "MD5"}), "ENUM_UNKNOWN"},
		"import: endless secret": {take(&posternv1.ImportedTotp{AccountId: "a", Secret: strings.Repeat("A", 206)}), "FIELD_INVALID"},
		"import: 501":            {take(slices.Repeat([]*posternv1.ImportedTotp{{AccountId: "a", Secret: "A"}}, 501)...), "FIELD_INVALID"},
		"revoke: nobody's":       {revoke(func(*posternv1.RevokeProofsRequest) {}), "FIELD_REQUIRED"},
		"revoke: no reason": {revoke(func(r *posternv1.RevokeProofsRequest) {
			r.Reason, r.Scope = "", &posternv1.RevokeProofsRequest_Site{Site: "wiki"}
		}), "FIELD_REQUIRED"},
		"revoke: empty account":   {revoke(func(r *posternv1.RevokeProofsRequest) { r.Scope = &posternv1.RevokeProofsRequest_AccountId{} }), "FIELD_REQUIRED"},
		"revoke: empty site":      {revoke(func(r *posternv1.RevokeProofsRequest) { r.Scope = &posternv1.RevokeProofsRequest_Site{} }), "FIELD_REQUIRED"},
		"revoke: not everybody's": {revoke(func(r *posternv1.RevokeProofsRequest) { r.Scope = &posternv1.RevokeProofsRequest_Organization{} }), "FIELD_INVALID"},
		"verify: no code": {func() error {
			_, err := s.VerifyTotp(ctx, &posternv1.VerifyTotpRequest{Flow: "organizations/acme/flows/" + flowID, RequestId: "r"})
			return err
		}, "FIELD_REQUIRED"},
		"verify: zone in the address": {func() error {
			_, err := s.VerifyRecoveryCode(ctx, &posternv1.VerifyRecoveryCodeRequest{Flow: "organizations/acme/flows/" + flowID, RequestId: "r", Code: canaryCode,
				Context: &posternv1.Context{Ip: "fe80::1%eth0"}})
			return err
		}, "FIELD_INVALID"},
		"access: no handle": {func() error {
			_, err := s.CheckAccess(ctx, &posternv1.CheckAccessRequest{Site: acme + "/sites/wiki"})
			return err
		}, "FIELD_REQUIRED"},
		"access: empty handle": {func() error {
			_, err := s.CheckAccess(ctx, &posternv1.CheckAccessRequest{Site: acme + "/sites/wiki", Credential: &posternv1.CheckAccessRequest_SessionHandle{}})
			return err
		}, "FIELD_INVALID"},
		"session: cause of a start": {func() error {
			_, err := s.RecordSession(ctx, &posternv1.RecordSessionRequest{Parent: acme + "/sites/wiki", RequestId: "r", Event: posternv1.RecordSessionRequest_EVENT_STARTED,
				SessionHandle: make([]byte, 32), EndCause: posternv1.RecordSessionRequest_END_CAUSE_REVOKED})
			return err
		}, "FIELD_UNEXPECTED"},
	} {
		t.Run(what, func(t *testing.T) {
			err := tt.call()
			failed(t, err, "INVALID_ARGUMENT", tt.reason)
			if e := w.one(t); e.Denial.Reason != tt.reason {
				t.Errorf("recorded as %+v", e.Denial)
			}
			for _, canary := range []string{canarySecret, canaryCode} {
				if err != nil && strings.Contains(err.Error(), canary) {
					t.Errorf("the error shows a secret: %v", err)
				}
			}
		})
	}
	if len(w.factors.asked)+len(w.flows.calls) != 0 {
		t.Errorf("use cases were asked: %v, %v", w.factors.asked, w.flows.calls)
	}
}

func TestAnAuthenticatorIsShownWithoutItsSecretAndWithItsLock(t *testing.T) {
	w := newWorld(t, nil)
	c := posternv1.NewAuthenticatorServiceClient(w.dial(t))
	got, err := c.GetAuthenticator(testContext(t), &posternv1.GetAuthenticatorRequest{Name: names.FormatAuthenticator("acme", miaKey)})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetName() != acme+"/authenticators/ab000000000000000000000000000001" || got.GetUid() != "u-1" || got.GetAccountId() != acctMia ||
		got.GetState() != posternv1.Authenticator_STATE_ACTIVE || got.GetAlgorithm() != "SHA256" || got.GetDigits() != 8 || got.GetPeriod() != 60 ||
		got.GetFailures() != 5 || !got.GetLockUntil().AsTime().After(time.Now()) || got.GetEnrolledBy() != "unix:7" ||
		got.GetEnrolledFlow() != acme+"/flows/"+flowID || got.GetRecoveryCodesLeft() != 3 || !got.GetReplacementPending() || got.GetConfirmTime().GetSeconds() != 2e9 {
		t.Errorf("got %v", got)
	}
}

func TestPagesOfAuthenticatorsAreBoundToTheirQuery(t *testing.T) {
	w := newWorld(t, nil)
	for n := range 5 {
		w.factors.known = append(w.factors.known, policy.AccountKey{byte(n + 1)})
	}
	c, ctx := posternv1.NewAuthenticatorServiceClient(w.dial(t)), testContext(t)
	var seen []string
	r := &posternv1.ListAuthenticatorsRequest{Parent: acme, PageSize: 2}
	for {
		page, err := c.ListAuthenticators(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.GetAuthenticators() {
			seen = append(seen, a.GetName())
		}
		if page.GetNextPageToken() == "" {
			break
		}
		r.PageToken = page.GetNextPageToken()
	}
	if len(seen) != 5 || !slices.IsSorted(seen) || len(slices.Compact(seen)) != 5 {
		t.Errorf("saw %q", seen)
	}
	r.AccountId = acctMia
	_, err := c.ListAuthenticators(ctx, r)
	failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
}

func TestAccessIsDeniedUnlessItIsAllowed(t *testing.T) {
	w := newWorld(t, nil)
	s := posternv1.NewSignInServiceClient(w.dial(t))
	for verdict, want := range map[audit.Verdict]posternv1.Verdict{
		audit.VerdictAllow: posternv1.Verdict_VERDICT_ALLOW, audit.VerdictDeny: posternv1.Verdict_VERDICT_DENY,
		audit.VerdictContinue: posternv1.Verdict_VERDICT_DENY, audit.VerdictUnspecified: posternv1.Verdict_VERDICT_DENY,
	} {
		w.flows.access = verdict
		got, err := s.CheckAccess(testContext(t), &posternv1.CheckAccessRequest{
			Site: acme + "/sites/wiki", Credential: &posternv1.CheckAccessRequest_SessionHandle{SessionHandle: make([]byte, 16)}})
		if err != nil || got.GetVerdict() != want || got.GetFlow() != acme+"/flows/"+flowID || got.GetSession() == "" || got.GetValidUntil() == nil {
			t.Errorf("%v: %v, %v", verdict, got, err)
		}
	}
}

func TestAServerWithoutFactorsDoesNotServeThem(t *testing.T) {
	w := newWorld(t, func(c *server.Config) { c.Factors = nil })
	_, err := posternv1.NewAuthenticatorServiceClient(w.dial(t)).ListAuthenticators(testContext(t), &posternv1.ListAuthenticatorsRequest{Parent: acme})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
	if _, err := server.New(func() server.Config { c := w.config(); c.Factors = &server.Factors{}; return c }()); err == nil || !strings.Contains(err.Error(), "Factors.Holders") {
		t.Errorf("half a configuration is taken: %v", err)
	}
}
