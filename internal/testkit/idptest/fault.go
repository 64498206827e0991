package idptest

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
)

// Fault is one thing a provider gets wrong.
type Fault string

// What both providers can get wrong about what they sign.
const (
	WrongIssuer    Fault = "WrongIssuer"
	WrongAudience  Fault = "WrongAudience"
	ExtraAudience  Fault = "ExtraAudience" // the right one and another
	NoAudience     Fault = "NoAudience"
	Expired        Fault = "Expired"
	IssuedInFuture Fault = "IssuedInFuture"
	Unsigned       Fault = "Unsigned"
	OtherKey       Fault = "OtherKey" // under the name of the right one
	NoSubject      Fault = "NoSubject"
	NoEmail        Fault = "NoEmail"
	LoginDeclined  Fault = "LoginDeclined" // the person cancels
)

// What an OpenID provider can get wrong about ID tokens.
const (
	WrongNonce         Fault = "WrongNonce"
	NoNonce            Fault = "NoNonce"
	WrongAZP           Fault = "WrongAZP"
	Stale              Fault = "Stale" // issued a while ago, not expired
	NotYetValid        Fault = "NotYetValid"
	NoExpiry           Fault = "NoExpiry"
	UnknownKid         Fault = "UnknownKid"
	HS256              Fault = "HS256" // with the public key as the secret
	WrongAccessHash    Fault = "WrongAccessHash"
	EmailUnverified    Fault = "EmailUnverified"
	EmailVerifiedText  Fault = "EmailVerifiedText" // "true" instead of true
	OldAuthTime        Fault = "OldAuthTime"
	OtherType          Fault = "OtherType" // the header says at+jwt
	LogoutToken        Fault = "LogoutToken"
	DuplicateMember    Fault = "DuplicateMember" // iss twice, the second one right
	BrokenSignature    Fault = "BrokenSignature"
	NoKeys             Fault = "NoKeys"           // an empty key set
	KeyForEncryption   Fault = "KeyForEncryption" // the only key says use=enc
	ShortKey           Fault = "ShortKey"         // RSA with 1024 bits
	DiscoveryIssuer    Fault = "DiscoveryIssuer"  // the document is somebody else's
	NoIssParameter     Fault = "NoIssParameter"
	WrongIssParameter  Fault = "WrongIssParameter"
	WrongState         Fault = "WrongState"
	NoCode             Fault = "NoCode"
	ServerFailure      Fault = "ServerFailure" // error=server_error with a description that is hostile to logs
	CodeUsed           Fault = "CodeUsed"      // the token endpoint knows the code and has given it out already
	ClientRefused      Fault = "ClientRefused"
	NoIDToken          Fault = "NoIDToken"
	OtherPersonsTokens Fault = "OtherPersonsTokens" // the token of another sign-in: its nonce and subject
)

// What a SAML identity provider can get wrong.
const (
	OnlyResponseSigned   Fault = "OnlyResponseSigned"
	BothSigned           Fault = "BothSigned" // no mistake, but not the default
	NoKeyInfo            Fault = "NoKeyInfo"  // no mistake either
	SHA1                 Fault = "SHA1"
	ChangedAfterSigning  Fault = "ChangedAfterSigning"
	WrongRecipient       Fault = "WrongRecipient"
	WrongDestination     Fault = "WrongDestination"
	NoDestination        Fault = "NoDestination"
	WrongInResponseTo    Fault = "WrongInResponseTo"
	NoInResponseTo       Fault = "NoInResponseTo"
	TwoAssertions        Fault = "TwoAssertions"
	NoAssertion          Fault = "NoAssertion"
	Encrypted            Fault = "Encrypted" // needs the certificate of the service provider
	StatusFailure        Fault = "StatusFailure"
	HolderOfKey          Fault = "HolderOfKey"
	NoConditions         Fault = "NoConditions"
	UnknownCondition     Fault = "UnknownCondition"
	NoAuthnStatement     Fault = "NoAuthnStatement"
	SessionOver          Fault = "SessionOver"
	OldVersion           Fault = "OldVersion"
	Doctype              Fault = "Doctype"
	CommentInNameID      Fault = "CommentInNameID"
	MetadataOfAnother    Fault = "MetadataOfAnother"
	MetadataOutdated     Fault = "MetadataOutdated"
	MetadataWithoutKey   Fault = "MetadataWithoutKey"
	MetadataBadSignature Fault = "MetadataBadSignature"
)

var shared = []Fault{
	WrongIssuer, WrongAudience, ExtraAudience, NoAudience, Expired, IssuedInFuture, Unsigned, OtherKey, NoSubject, NoEmail, LoginDeclined,
}

// OIDCFaults are the switches of the OpenID provider.
func OIDCFaults() []Fault {
	return append(slices.Clone(shared), WrongNonce, NoNonce, WrongAZP, Stale, NotYetValid, NoExpiry, UnknownKid, HS256, WrongAccessHash,
		EmailUnverified, EmailVerifiedText, OldAuthTime, OtherType, LogoutToken, DuplicateMember, BrokenSignature, NoKeys, KeyForEncryption,
		ShortKey, DiscoveryIssuer, NoIssParameter, WrongIssParameter, WrongState, NoCode, ServerFailure, CodeUsed, ClientRefused, NoIDToken,
		OtherPersonsTokens)
}

// SAMLFaults are the switches of the SAML identity provider.
func SAMLFaults() []Fault {
	return append(slices.Clone(shared), OnlyResponseSigned, BothSigned, NoKeyInfo, SHA1, ChangedAfterSigning, WrongRecipient, WrongDestination,
		NoDestination, WrongInResponseTo, NoInResponseTo, TwoAssertions, NoAssertion, Encrypted, StatusFailure, HolderOfKey, NoConditions,
		UnknownCondition, NoAuthnStatement, SessionOver, OldVersion, Doctype, CommentInNameID, MetadataOfAnother, MetadataOutdated,
		MetadataWithoutKey, MetadataBadSignature)
}

// Endpoint is one address of a provider.
type Endpoint string

// The endpoints. Elsewhere is where Redirect leads: nobody should ever come.
const (
	Discovery  Endpoint = "discovery"
	JWKS       Endpoint = "jwks"
	Authorize  Endpoint = "authorize"
	Token      Endpoint = "token"
	User       Endpoint = "user"        // of the GitHub-like API
	UserEmails Endpoint = "user emails" // of the same
	Metadata   Endpoint = "metadata"
	SSO        Endpoint = "sso"
	Elsewhere  Endpoint = "elsewhere"
)

// Manner is how an endpoint answers.
type Manner string

// The manners. What is said in Unavailable and Garbage holds SecretText, which must never come out anywhere.
const (
	Properly    Manner = ""
	Hang        Manner = "Hang"        // no answer
	HangBody    Manner = "HangBody"    // a header, the beginning of a body, and no more
	Huge        Manner = "Huge"        // a body that does not end for 64 MiB
	Redirect    Manner = "Redirect"    // to Elsewhere
	Garbage     Manner = "Garbage"     // 200 with what is no JSON and no XML
	Empty       Manner = "Empty"       // 200 with nothing
	Unavailable Manner = "Unavailable" // 503
	Cut         Manner = "Cut"         // the connection is closed
)

// Manners are all but Properly.
func Manners() []Manner {
	return []Manner{Hang, HangBody, Huge, Redirect, Garbage, Empty, Unavailable, Cut}
}

// SecretText is in answers that nobody may repeat in a log, an error or an event.
const SecretText = "canary-of-a-providers-answer"

const hugeBody = 64 << 20

func (w *web) misbehave(rw http.ResponseWriter, r *http.Request, e Endpoint, m Manner) {
	switch m {
	case Hang:
		w.hang(r)
	case HangBody:
		_, _ = rw.Write([]byte(`{"`))
		_ = http.NewResponseController(rw).Flush()
		w.hang(r)
	case Huge:
		w.huge(rw, e)
	case Redirect:
		http.Redirect(rw, r, w.server.URL+"/elsewhere", http.StatusTemporaryRedirect)
	case Garbage:
		_, _ = rw.Write([]byte("\x00\xff]]> not what you think " + SecretText))
	case Empty:
		rw.WriteHeader(http.StatusOK)
	case Unavailable:
		http.Error(rw, "come back later "+SecretText, http.StatusServiceUnavailable)
	default: // Cut
		panic(http.ErrAbortHandler)
	}
}

// hang waits until the client or the test has had enough.
func (w *web) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-w.ended:
	}
	panic(http.ErrAbortHandler)
}

// huge is a JSON text that could go on to be right, so that only its length stops a reader.
func (w *web) huge(rw http.ResponseWriter, e Endpoint) {
	rw.Header().Set("Content-Type", "application/json")
	chunk := bytes.Repeat([]byte(" "), 32<<10)
	var err error
	for sent := 0; sent < hugeBody && err == nil; {
		var n int
		n, err = rw.Write(chunk)
		sent += n
		w.mu.Lock()
		w.written[e] += int64(n)
		w.mu.Unlock()
	}
	if err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		return // the client has hung up, as it should
	}
}
