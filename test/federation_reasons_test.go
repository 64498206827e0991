package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/testkit/idptest"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// refusals is the world in which every sign-in elsewhere goes wrong in its way.
type refusals struct {
	*abroad
	o, keyless *idptest.OIDC
	s, aged    *idptest.SAML
}

// story makes one sign-in go wrong and returns what it was answered.
type story func(w *refusals) *posternv1.FlowAnswer

// by code, with these switches on at the provider.
func byCode(faults ...idptest.Fault) story {
	return func(w *refusals) *posternv1.FlowAnswer {
		w.o.Break(faults...)
		defer w.o.Mend()
		return w.signedIn(w.o, "corp").GetAnswer()
	}
}

// through a connection, by code.
func through(connection string, faults ...idptest.Fault) story {
	return func(w *refusals) *posternv1.FlowAnswer {
		w.o.Break(faults...)
		defer w.o.Mend()
		return w.signedIn(w.o, connection).GetAnswer()
	}
}

// bySAML, with these switches on at the provider.
func bySAML(faults ...idptest.Fault) story {
	return func(w *refusals) *posternv1.FlowAnswer {
		w.s.Break(faults...)
		defer w.s.Mend()
		b := w.begin(w.p, w.flow(w.p, ""), "agency")
		return w.completed(w.back(b, w.s.SignIn(b.GetRedirectUrl()))).GetAnswer()
	}
}

// begun ends with BeginFederation.
func begun(connection string) story {
	return func(w *refusals) *posternv1.FlowAnswer {
		b := w.begin(w.p, w.flow(w.p, ""), connection)
		if b.GetRedirectUrl() != "" || b.GetBrowserToken() != "" {
			w.t.Errorf("%s: a redirect although nothing could be begun", connection)
		}
		return b.GetAnswer()
	}
}

// changed hands in what came back with something changed in it.
func changed(change func(w *refusals, r *posternv1.CompleteFederationRequest)) story {
	return func(w *refusals) *posternv1.FlowAnswer {
		b := w.begin(w.p, w.flow(w.p, ""), "corp")
		r := w.back(b, w.o.Authorize(b.GetRedirectUrl()))
		change(w, r)
		return w.completed(r).GetAnswer()
	}
}

// stories is how each reason of the catalogue comes about, in one way or several.
func stories() map[string][]story {
	return map[string][]story{
		audit.ReasonUserCancelled:       {byCode(idptest.LoginDeclined)},
		audit.ReasonIDPError:            {providerFails, bySAML(idptest.StatusFailure), bySAML(idptest.LoginDeclined)},
		audit.ReasonIDPUnreachable:      {begun("gone")},
		audit.ReasonKeysUnavailable:     {keysAway},
		audit.ReasonStateMismatch:       {byCode(idptest.WrongState), otherBrowser},
		audit.ReasonCodeExchangeFailed:  {byCode(idptest.CodeUsed), byCode(idptest.ClientRefused), byCode(idptest.NoIDToken), through("secretless")},
		audit.ReasonSignatureInvalid:    {byCode(idptest.BrokenSignature), byCode(idptest.OtherKey), bySAML(idptest.ChangedAfterSigning), bySAML(idptest.Unsigned)},
		audit.ReasonAlgorithmNotAllowed: {byCode(idptest.HS256), byCode(idptest.Unsigned), bySAML(idptest.SHA1)},
		audit.ReasonIssuerMismatch:      {byCode(idptest.WrongIssuer), byCode(idptest.WrongIssParameter), byCode(idptest.NoIssParameter), bySAML(idptest.WrongIssuer)},
		audit.ReasonAudienceMismatch:    {byCode(idptest.WrongAudience), byCode(idptest.ExtraAudience), bySAML(idptest.WrongAudience)},
		audit.ReasonNonceMismatch:       {byCode(idptest.WrongNonce), byCode(idptest.NoNonce), byCode(idptest.OtherPersonsTokens)},
		audit.ReasonExpired:             {byCode(idptest.Expired), bySAML(idptest.Expired)},
		audit.ReasonNotYetValid:         {byCode(idptest.IssuedInFuture), byCode(idptest.NotYetValid), bySAML(idptest.IssuedInFuture)},
		audit.ReasonRequestMismatch:     {bySAML(idptest.WrongInResponseTo), bySAML(idptest.NoInResponseTo)},
		audit.ReasonRecipientMismatch:   {bySAML(idptest.WrongRecipient), bySAML(idptest.WrongDestination)},
		audit.ReasonReplayed:            {shownTwice, assertionShownTwice},
		audit.ReasonEncryptionNotAllowed: {
			bySAML(idptest.Encrypted)},
		audit.ReasonMalformed: {byCode(idptest.NoCode), bySAML(idptest.Doctype), bySAML(idptest.TwoAssertions), garbage},
		audit.ReasonSubjectMismatch: {func(w *refusals) *posternv1.FlowAnswer {
			b := w.begin(w.p, w.flow(w.p, "somebody"), "corp")
			return w.completed(w.back(b, w.o.Authorize(b.GetRedirectUrl()))).GetAnswer()
		}},
		audit.ReasonEmailUnverified:       {through("fenced", idptest.EmailUnverified)},
		audit.ReasonEmailDomainNotAllowed: {through("elsewhere"), through("fenced", idptest.NoEmail)},
		audit.ReasonAssuranceTooLow: {func(w *refusals) *posternv1.FlowAnswer {
			w.o.Break(idptest.OldAuthTime)
			defer w.o.Mend()
			return w.signedIn(w.o, "corp", maxAge(time.Minute)).GetAnswer()
		}},
		audit.ReasonCertificateExpired: {func(w *refusals) *posternv1.FlowAnswer {
			b := w.begin(w.p, w.flow(w.p, ""), "aged")
			return w.completed(w.back(b, w.aged.SignIn(b.GetRedirectUrl()))).GetAnswer()
		}},
		audit.ReasonConnectionDisabled: {begun("off")},
		audit.ReasonVerifierError:      {begun("signing")}, // requests are to be signed, and there is no key
	}
}

// providerFails says what would like to be a line of the log.
func providerFails(w *refusals) *posternv1.FlowAnswer {
	w.o.Deny("server_error", "line one\r\nlevel=error msg=forged \u202e "+strings.Repeat("long ", 400))
	defer w.o.Deny("", "")
	return w.signedIn(w.o, "corp").GetAnswer()
}

func keysAway(w *refusals) *posternv1.FlowAnswer {
	w.keyless.Break(idptest.NoKeys)
	return w.signedIn(w.keyless, "keyless").GetAnswer()
}

func otherBrowser(w *refusals) *posternv1.FlowAnswer {
	another := w.begin(w.p, w.flow(w.p, ""), "corp").GetBrowserToken()
	return changed(func(_ *refusals, r *posternv1.CompleteFederationRequest) { r.BrowserToken = another })(w)
}

func shownTwice(w *refusals) *posternv1.FlowAnswer {
	return changed(func(w *refusals, r *posternv1.CompleteFederationRequest) {
		w.completed(r)
		r.RequestId = w.id()
	})(w)
}

func assertionShownTwice(w *refusals) *posternv1.FlowAnswer {
	b := w.begin(w.p, w.flow(w.p, ""), "agency")
	r := w.back(b, w.s.SignIn(b.GetRedirectUrl()))
	w.completed(r)
	q := &posternv1.CompleteFederationRequest{Flow: w.flow(w.p, ""), RequestId: w.id(), Connection: "agency", Evidence: r.GetEvidence(),
		Expectations: &posternv1.Expectations{SamlRequestId: w.s.Requests()[len(w.s.Requests())-1].ID}}
	q.GetSamlResponse().RelayState = ""
	return w.completed(q).GetAnswer()
}

func garbage(w *refusals) *posternv1.FlowAnswer {
	return w.completed(w.token(w.begin(w.p, w.flow(w.p, ""), "corp"), func(idptest.Claims) string { return "canary0.of0a.token" })).GetAnswer()
}

func newRefusals(t *testing.T) *refusals {
	w := &refusals{o: idptest.NewOIDC(t), keyless: idptest.NewOIDC(t, idptest.Algorithm("ES256")), aged: idptest.NewSAML(t, idptest.ECDSA(), idptest.CertificateUntil(time.Now().AddDate(0, 0, -1)))}
	_, cert := idptest.KeyPair(t, time.Now())
	w.s = idptest.NewSAML(t, idptest.WithSP(idptest.SP{EntityID: idptest.EntityID, ACSURL: idptest.ACSURL, Decrypts: cert}))
	w.abroad = goAbroad(t, w.o.RootPEM(), 1)
	w.hide("canary0.of0a.token")
	for _, p := range []interface{ SetPerson(idptest.Person) }{w.o, w.keyless, w.s, w.aged} {
		p.SetPerson(person("eve"))
	}
	w.oidc("corp", w.o)
	w.oidc("keyless", w.keyless)
	w.oidc("secretless", w.o)
	delete(w.set, "secretless")
	w.oidc("fenced", w.o, func(c, _ table) { c["domains"] = []string{partnerAt[1:]} })
	w.oidc("elsewhere", w.o, func(c, _ table) { c["domains"] = []string{"elsewhere-postern-demo.com"} })
	w.oidc("off", w.o, func(c, _ table) { c["disabled"] = true })
	w.oidc("gone", w.o, func(_, p table) { p["issuer"] = "https://127.0.0.1:1" })
	w.saml("agency", w.s)
	w.saml("signing", w.s, func(_, p table) { p["signs_requests"] = true })
	w.saml("aged", w.aged)
	w.apply()
	return w
}

// wanted are the reasons of a rejection by which this process says what it found, without those that only a login service gives.
func wanted(t *testing.T) []string {
	info, ok := audit.Lookup(audit.TypeSSORejected)
	if !ok {
		t.Fatal("no such type")
	}
	var out []string
	for _, r := range info.DistinctReasons() {
		if !r.AssertedOnly && !r.NotCounted && !r.Outside {
			out = append(out, r.Reason)
		}
	}
	return out
}

// Every reason of the catalogue comes about through the API, in the answer and on the record, and nothing private comes with it.
func TestEveryReasonOfASignInElsewhere(t *testing.T) {
	t.Parallel()
	all := stories()
	told := slices.Sorted(maps.Keys(all))
	if want := slices.Sorted(slices.Values(wanted(t))); !slices.Equal(told, want) {
		t.Fatalf("stories of %v\nthe catalogue has %v", told, want)
	}
	w := newRefusals(t)
	answers := map[*posternv1.FlowAnswer]string{}
	for _, reason := range told {
		for n, s := range all[reason] {
			a := s(w)
			answers[a] = reason
			if a.GetReason() != reason || a.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW && reason != audit.ReasonSubjectMismatch { // who had proven to be somebody still is
				t.Errorf("story %d of %s: %v", n, reason, a)
			}
		}
	}
	events := w.recorded("every rejection", func(events []*posternv1.Event) bool {
		for a, reason := range answers {
			if rejected(events, a, reason) == nil {
				return false
			}
		}
		return true
	})
	for a, reason := range answers {
		e := rejected(events, a, reason)
		if e.GetEvidence() != posternv1.Evidence_EVIDENCE_VERIFIED || e.GetPersonal().GetDetail() == "" && reason != audit.ReasonSubjectMismatch {
			t.Errorf("%s is recorded as %v", reason, e)
		}
		if d := e.GetPersonal().GetDetail(); len(d) > 512 || strings.ContainsFunc(d, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("the detail of %s has %d bytes: %q", reason, len(d), d)
		}
	}
	if e := said(events, "server_error"); !strings.Contains(e, `line one\r\nlevel=error msg=forged \u202e long`) {
		t.Errorf("what the provider said is kept as %q", e)
	}
	if e := said(events, "RequestDenied"); !strings.Contains(e, `\u202e`) {
		t.Errorf("what the SAML provider said is kept as %q", e)
	}
	for _, l := range w.p.logged("forged") {
		t.Errorf("what the provider said is in the log: %s", l)
	}
	w.sealed()
}

// rejected is the event of a flow that was rejected for a reason. Where that ended the flow the answer is about its end.
func rejected(events []*posternv1.Event, a *posternv1.FlowAnswer, reason string) *posternv1.Event {
	for _, e := range events {
		if e.GetType() == "sso.rejected" && e.GetReason() == reason && guild+"/flows/"+e.GetFlow() == a.GetFlow() &&
			(e.GetStep() == a.GetStep() || a.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED) {
			return e
		}
	}
	return nil
}

// said is the first detail with a text in it.
func said(events []*posternv1.Event, text string) string {
	for _, e := range events {
		if d := e.GetPersonal().GetDetail(); strings.Contains(d, text) {
			return d
		}
	}
	return fmt.Sprintf("(nothing with %s)", text)
}
