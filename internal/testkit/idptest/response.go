package idptest

import (
	"bytes"
	"crypto/rand"
	"strings"
	"text/template"
	"time"

	"encoding/xml"
)

// Kinds of NameID.
const (
	PersistentNameID = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	EmailNameID      = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	TransientNameID  = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
)

// What a response says about how it went.
const (
	statusSuccess     = "urn:oasis:names:tc:SAML:2.0:status:Success"
	statusResponder   = "urn:oasis:names:tc:SAML:2.0:status:Responder"
	statusAuthnFailed = "urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"
)

const assertionLife = 5 * time.Minute

// Response says what is in a response. A zero field is what a good provider would say to an unsolicited sign-in of the person;
// switches change what is left zero.
type Response struct {
	ID, AssertionID         string
	InResponseTo            string
	Issuer                  string
	Destination, Recipient  string
	Audience                []string
	NameID, NameIDFormat    string
	SessionIndex            string
	AuthnContext            string
	AuthnInstant            time.Time
	IssueInstant            time.Time
	NotBefore, NotOnOrAfter time.Time
	SessionNotOnOrAfter     time.Time
	Attributes              map[string]string
}

// fields is what the templates take.
type fields struct {
	Response
	Method       string // of the subject confirmation
	Version      string
	Status       string
	SubStatus    string
	Message      string
	Has          func(string) bool // parts that are left out
	NameIDInside string            // escaped
}

// Response mints a response as XML, signed as the switches say.
func (s *SAML) Response(r Response) string {
	s.t.Helper()
	f := s.filled(r)
	k := s.current()
	if s.is(OtherKey) {
		k = s.newKey()
	}
	body := ""
	if !s.is(NoAssertion) && f.Status == statusSuccess {
		body = s.assertion(f, k)
		if s.is(TwoAssertions) {
			second := f
			second.AssertionID = newID()
			second.NameIDInside = somebodyElse
			body += s.assertion(second, k)
		}
	}
	response := strings.Replace(s.render(responseTemplate, f), assertionMark, body, 1)
	if !s.is(Unsigned) && (s.is(OnlyResponseSigned) || s.is(BothSigned)) {
		response = s.sign(response, k)
	}
	if s.is(Doctype) {
		response = `<!DOCTYPE samlp:Response [<!ENTITY who "somebody">]>` + response
	}
	if s.is(ChangedAfterSigning) {
		response = strings.Replace(response, ">"+f.NameIDInside+"<", ">"+somebodyElse+"<", 1)
	}
	s.saw(f.ID, f.AssertionID, f.SessionIndex, response)
	return response
}

// assertion is one assertion, signed and encrypted as the switches say.
func (s *SAML) assertion(f fields, k samlKey) string {
	s.t.Helper()
	a := s.render(assertionTemplate, f)
	if !s.is(Unsigned) && !s.is(OnlyResponseSigned) {
		a = s.sign(a, k)
	}
	if !s.is(Encrypted) {
		return a
	}
	if s.sp.Decrypts == nil {
		s.t.Fatal("idptest: Encrypted needs a service provider with a certificate (WithSP)")
	}
	text, err := encrypted(a, s.sp.Decrypts)
	if err != nil {
		s.t.Fatalf("idptest: encrypt: %v", err)
	}
	return text
}

func newID() string { return "_" + strings.ToLower(rand.Text()) }

// filled puts in what the caller left out, as the switches say.
func (s *SAML) filled(r Response) fields {
	now, p := s.now().UTC(), s.Person()
	s.mu.Lock()
	context := s.context
	s.mu.Unlock()
	if s.is(Expired) {
		now = now.Add(-longAgo)
	}
	if s.is(IssuedInFuture) {
		now = now.Add(ahead)
	}
	fill(&r.ID, newID())
	fill(&r.AssertionID, newID())
	fill(&r.Issuer, s.pick(WrongIssuer, "https://other.example/idp", s.EntityID()))
	fill(&r.Destination, s.pick(WrongDestination, "https://other.example/acs", s.sp.ACSURL))
	fill(&r.Recipient, s.pick(WrongRecipient, "https://other.example/acs", s.sp.ACSURL))
	fill(&r.NameID, p.Subject)
	fill(&r.NameIDFormat, PersistentNameID)
	fill(&r.SessionIndex, newID())
	fill(&r.AuthnContext, context)
	if s.is(WrongInResponseTo) {
		r.InResponseTo = newID()
	}
	if s.is(NoInResponseTo) {
		r.InResponseTo = ""
	}
	if r.Audience == nil {
		r.Audience = []string{s.pick(WrongAudience, "https://other.example/sp", s.sp.EntityID)}
		if s.is(ExtraAudience) {
			r.Audience = append(r.Audience, "https://other.example/sp")
		}
	}
	fillTime(&r.AuthnInstant, now)
	fillTime(&r.IssueInstant, now)
	fillTime(&r.NotBefore, now.Add(-time.Minute))
	fillTime(&r.NotOnOrAfter, now.Add(assertionLife))
	if s.is(SessionOver) {
		r.SessionNotOnOrAfter = now.Add(-longAgo)
	}
	if r.Attributes == nil {
		r.Attributes = map[string]string{NameAttribute: p.Name}
		if !s.is(NoEmail) {
			r.Attributes[EmailAttribute] = p.Email
		}
	}
	return s.framed(r)
}

// framed adds what surrounds the values of a response.
func (s *SAML) framed(r Response) fields {
	f := fields{
		Response: r, Method: "urn:oasis:names:tc:SAML:2.0:cm:bearer", Status: statusSuccess,
		Version:      s.pick(OldVersion, "1.1", "2.0"),
		NameIDInside: escaped(r.NameID), Has: s.has,
	}
	if s.is(HolderOfKey) {
		f.Method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
	}
	if s.is(CommentInNameID) {
		f.NameIDInside = f.NameIDInside[:1] + "<!-- -->" + f.NameIDInside[1:]
	}
	switch {
	case s.is(StatusFailure):
		f.Status, f.SubStatus, f.Message = statusResponder, "urn:oasis:names:tc:SAML:2.0:status:RequestDenied", "not\u202e allowed\tfor you"
	case s.is(LoginDeclined):
		f.Status, f.SubStatus, f.Message = statusResponder, statusAuthnFailed, "the user cancelled"
	}
	return f
}

// has says whether a part of an assertion is there.
func (s *SAML) has(part string) bool {
	if part == string(UnknownCondition) {
		return s.is(UnknownCondition)
	}
	return !s.is("No" + Fault(part))
}

func (s *SAML) pick(f Fault, wrong, right string) string {
	if s.is(f) {
		return wrong
	}
	return right
}

func fill(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func fillTime(at *time.Time, value time.Time) {
	if at.IsZero() {
		*at = value
	}
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// render fills a template in. It is text, not html: what goes in is escaped by x.
func (s *SAML) render(text string, data any) string {
	s.t.Helper()
	t, err := template.New("saml").Funcs(template.FuncMap{
		"x": escaped, "at": func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") },
	}).Parse(text)
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}
