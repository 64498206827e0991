package test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	canaryTaken   = "CANARYSECRETTAKENOVERFROMABCDEF2" // in base32
	canaryWeak    = "CANARYQQ"
	canaryFlawed  = "CANARY0SECRET1THAT8IS9NONE"
	canarySession = "canary0factors0session0handle"
	canaryAPI     = "canary0factors0token0handle000"
	canaryGuess   = "CANARYGUESS"
)

// TestCanariesOfFactors hands secrets, codes, recovery codes and handles to every method that takes any, on good paths and bad
// ones, with Redis there and away, and looks for them everywhere but in the one answer that shows them.
func TestCanariesOfFactors(t *testing.T) {
	w := &ward{t: t}
	r := newRig(t, "POSTERN_LOG_LEVEL=debug", "POSTERN_DEADLINES_CALL=2s")
	p := r.start("all", "signin", "archiver", "api")
	p.apply(clinic, clinicDocument)
	s := &canaries{t: t, p: p}
	f := authenticators(p)
	ok := func(m proto.Message, err error) {
		t.Helper()
		if s.told(m, err) != nil {
			t.Fatal(err)
		}
	}

	// What is shown once.
	enrolment := &posternv1.EnrollTotpRequest{Parent: clinic, RequestId: w.id(), AccountId: "gus", Reason: "story", Issuer: "Clinic", Label: "gus"}
	shown, err := f.EnrollTotp(w.ctx(), enrolment)
	p.must2(err)
	name, secret, step := shown.GetAuthenticator().GetName(), shown.GetSecret(), time.Now().Unix()/30
	codes := []string{oathtool(t, secret, step), oathtool(t, secret, step+1), nowhere(t, secret, step)}
	confirm := &posternv1.ConfirmTotpRequest{Name: name, RequestId: w.id(), Code: codes[2]}
	s.refused("a wrong first code", nil, call2(f.ConfirmTotp(w.ctx(), confirm)))
	confirm.RequestId, confirm.Code = w.id(), codes[0]
	ok(f.ConfirmTotp(w.ctx(), confirm))
	s.refused("a secret shown again", nil, call2(f.EnrollTotp(w.ctx(), enrolment)))
	recovery, err := f.GenerateRecoveryCodes(w.ctx(), &posternv1.GenerateRecoveryCodesRequest{Name: name, RequestId: w.id(), Reason: "story"})
	p.must2(err)
	secrets := slices.Concat([]string{secret, canaryTaken, canaryWeak, canaryFlawed, canarySession, canaryAPI, canaryGuess}, recovery.GetCodes())
	for _, c := range recovery.GetCodes() {
		secrets = append(secrets, strings.ReplaceAll(c, "-", ""))
	}

	// Codes: right, wrong, used, malformed; in a flow, in none, in one that has ended.
	flow := w.bound(p, "gus", "d-1").GetFlow()
	for _, code := range []string{codes[2], codes[1], codes[1], canaryGuess} {
		ok(w.verify(p, flow, code))
	}
	for _, code := range []string{recovery.GetCodes()[0], recovery.GetCodes()[0], canaryGuess} {
		ok(p.signIn().VerifyRecoveryCode(w.ctx(), &posternv1.VerifyRecoveryCodeRequest{Flow: flow, RequestId: w.id(), Code: code}))
	}
	ok(p.signIn().FinishFlow(w.ctx(), &posternv1.FinishFlowRequest{Flow: flow, RequestId: w.id(), Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}}))
	for _, name := range []string{flow, clinic + "/flows/019365a0-0000-7000-8000-000000000001", "organizations/nobody/flows/x", canaryGuess} {
		s.refused("a code in "+name, nil, call2(p.signIn().VerifyTotp(w.ctx(), &posternv1.VerifyTotpRequest{Flow: name, RequestId: w.id(), Code: codes[1]})))
		s.refused("a recovery code in "+name, nil, call2(p.signIn().VerifyRecoveryCode(w.ctx(), &posternv1.VerifyRecoveryCodeRequest{Flow: name, RequestId: w.id(), Code: recovery.GetCodes()[1]})))
	}

	// Secrets taken over, weak ones and what is none.
	ok(f.ImportAuthenticators(w.ctx(), &posternv1.ImportAuthenticatorsRequest{Parent: clinic, RequestId: w.id(), Reason: "story", Authenticators: []*posternv1.ImportedTotp{
		{AccountId: "hal", Secret: canaryTaken}, {AccountId: "ida", Secret: canaryWeak}, {AccountId: "jon", Secret: canaryFlawed}, {AccountId: "hal", Secret: canaryTaken},
	}}))
	s.refused("an algorithm that is none", nil, call2(f.ImportAuthenticators(w.ctx(), &posternv1.ImportAuthenticatorsRequest{Parent: clinic, RequestId: w.id(), Reason: "story",
		Authenticators: []*posternv1.ImportedTotp{{AccountId: "kim", Secret: canaryTaken, Algorithm: "MD5"}}})))
	ok(f.ListAuthenticators(w.ctx(), &posternv1.ListAuthenticatorsRequest{Parent: clinic}))
	ok(f.ResetAuthenticator(w.ctx(), &posternv1.ResetAuthenticatorRequest{Name: name, RequestId: w.id(), Reason: "story"}))

	// Handles: known, unknown, of the wrong kind, ended.
	started := func(handle string, kind posternv1.RecordSessionRequest_Kind) *posternv1.RecordSessionRequest {
		return &posternv1.RecordSessionRequest{Parent: clinicSite, RequestId: w.id(), Event: posternv1.RecordSessionRequest_EVENT_STARTED, Kind: kind, SessionHandle: []byte(handle), Flow: flow}
	}
	ok(p.signIn().RecordSession(w.ctx(), started(canarySession, posternv1.RecordSessionRequest_KIND_SESSION)))
	ok(p.signIn().RecordSession(w.ctx(), started(canaryAPI, posternv1.RecordSessionRequest_KIND_TOKEN)))
	s.refused("a handle that is taken", nil, call2(p.signIn().RecordSession(w.ctx(), started(canaryAPI, posternv1.RecordSessionRequest_KIND_SESSION))))
	uses := func(site string) []*posternv1.CheckAccessRequest {
		return []*posternv1.CheckAccessRequest{
			{Site: site, Credential: &posternv1.CheckAccessRequest_SessionHandle{SessionHandle: []byte(canarySession)}},
			{Site: site, Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: []byte(canaryAPI)}},
			{Site: site, Credential: &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: []byte(canarySession)}},
			{Site: site, Credential: &posternv1.CheckAccessRequest_SessionHandle{SessionHandle: []byte(canarySession + "unknown")}},
		}
	}
	for _, use := range uses(clinicSite) {
		ok(p.signIn().CheckAccess(w.ctx(), use))
		use.Site = clinic + "/sites/nowhere"
		s.refused("a use at no site", nil, call2(p.signIn().CheckAccess(w.ctx(), use)))
	}
	for _, handle := range []string{canarySession, canarySession + "unknown"} {
		reused := &posternv1.StepReport{Type: "session.reused", SessionHandle: []byte(handle), Subject: &posternv1.Subject{AccountId: "gus"}}
		_ = s.told(p.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: clinicSite, RequestId: w.id(), Steps: []*posternv1.StepReport{reused}}))
	}

	// Redis does not answer.
	live := w.bound(p, "hal", "d-2").GetFlow()
	r.redis.Pause()
	s.refused("a code while Redis is away", nil, call2(w.verify(p, live, codes[0])))
	s.refused("a confirmation while Redis is away", nil, call2(f.ConfirmTotp(w.ctx(), confirm)))
	s.refused("an import while Redis is away", nil, call2(f.ImportAuthenticators(w.ctx(), &posternv1.ImportAuthenticatorsRequest{Parent: clinic, RequestId: w.id(), Reason: "story",
		Authenticators: []*posternv1.ImportedTotp{{AccountId: "lea", Secret: canaryTaken}}})))
	r.redis.Resume()
	p.awaitServing()

	before := bytes.Clone(s.answers.Bytes())
	p.must2(eventually(30*time.Second, func(context.Context) error {
		events, err := p.record(clinic)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(events, func(e *posternv1.Event) bool { return strings.HasSuffix(live, e.GetFlow()) && e.GetFlow() != "" }) {
			return errors.New("the last flow is not archived")
		}
		s.answers.Reset() // the record once, beside the answers of before
		s.answers.Write(before)
		for _, e := range events {
			_ = s.told(e, nil)
		}
		return nil
	}))
	s.searchFactors(secrets, codes, secret)
}

// call2 is the error of a call.
func call2[M any](_ M, err error) error { return err }

// searchFactors looks for what must be nowhere. Codes are digits, which are everywhere: only a number that is exactly one counts.
func (s *canaries) searchFactors(secrets, codes []string, secret string) {
	dir := s.p.rig.redis.Client().ConfigGet(context.Background(), "dir").Val()["dir"]
	places := map[string][]byte{"errors": s.errors.Bytes(), "the record and answers": s.answers.Bytes()}
	for _, root := range []string{s.p.rig.data, dir} {
		s.p.must2(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			places[path] = b
			return err
		}))
	}
	number := make([]*regexp.Regexp, len(codes))
	for i, c := range codes {
		number[i] = regexp.MustCompile(`(?:^|[^0-9.])` + c + `(?:[^0-9.]|$)`)
	}
	found := false
	for place, b := range places {
		for _, c := range secrets {
			if f := form(b, c); f != "" {
				s.t.Errorf("%s is in %s as %s", c, place, f)
			}
		}
		for _, text := range []string{secret, canaryTaken} {
			raw, err := base32.StdEncoding.DecodeString(text)
			s.p.must2(err)
			if bytes.Contains(b, raw) || form(b, string(raw)) != "" {
				s.t.Errorf("the bytes of %s are in %s", text, place)
			}
		}
		for i, re := range number {
			if re.Match(b) {
				s.t.Errorf("code %s is in %s", codes[i], place)
			}
		}
		found = found || bytes.Contains(b, []byte("ward"))
	}
	if !found || len(places) < 4 {
		s.t.Errorf("the search saw %d places and nothing of the story in them", len(places))
	}
}
