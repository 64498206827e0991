package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/policy"
)

// maxClockDifference is how far a provider's clock may be from ours before it is worth a word: tokens are judged with no more.
const maxClockDifference = time.Minute

// findings are collected in the order things were looked at.
type findings []policy.Finding

func (f *findings) ok(what, format string, args ...any) {
	*f = append(*f, found(policy.SeverityOK, what, "", format, args...))
}

func (f *findings) warn(what, fix, format string, args ...any) {
	*f = append(*f, found(policy.SeverityWarning, what, fix, format, args...))
}

func (f *findings) fail(what, fix, format string, args ...any) {
	*f = append(*f, found(policy.SeverityError, what, fix, format, args...))
}

func found(s policy.Severity, what, fix, format string, args ...any) policy.Finding {
	return policy.Finding{Severity: s, What: what, Detail: federation.Text(fmt.Sprintf(format, args...), federation.MaxDetail), Fix: fix}
}

// Test tries a connection out, now and not from memory, and says what is wrong with it before people find out. It sends the
// provider a code that was made up here, and nothing of a person. No finding holds a secret.
func (c *Client) Test(ctx context.Context, organizationUID string, conn *policy.Connection) []policy.Finding {
	applied := ApplyPreset(*conn)
	var f findings
	if conn.Disabled {
		f.warn("state", "enable it when it is to be used", "the connection is switched off")
	}
	switch {
	case applied.OIDC != nil:
		c.testOIDC(ctx, organizationUID, &applied, &f)
	case applied.SAML != nil:
		c.testSAML(ctx, organizationUID, &applied, &f)
	default:
		f.warn("protocol", "add oidc or saml for the sidecar to verify sign-ins itself", "nothing is verified here: the login service runs it and says what came of it")
	}
	return f
}

// failWith reports a refusal, and says what to do about its reason.
func (f *findings) failWith(what string, err error) {
	var r *federation.Refusal
	if !errors.As(err, &r) {
		f.fail(what, "see the log of the sidecar", "the test itself failed")
		return
	}
	fix := "ask whoever runs the provider"
	switch r.Reason {
	case audit.ReasonIDPUnreachable:
		fix = "check the address, its name and certificate, and that this host may reach it (outbound.allowed_networks)"
	case audit.ReasonIssuerMismatch:
		fix = "write it exactly as the provider does, to the last slash"
	case audit.ReasonIDPError, audit.ReasonKeysUnavailable:
		fix = "open the address in a browser: it must answer without a redirect and with a document of its kind"
	case audit.ReasonAlgorithmNotAllowed:
		fix = "allow an algorithm the provider signs with, never none or HS256"
	}
	f.fail(what, fix, "%s", r.Detail)
}

// clock compares the provider's clock with ours.
func (f *findings) clock(at, now time.Time) {
	if at.IsZero() {
		return
	}
	switch d := now.Sub(at); {
	case d > maxClockDifference:
		f.warn("clock", "check the clocks of both: evidence is judged by the time", "the provider's clock is %s behind", d.Round(time.Second))
	case d < -maxClockDifference:
		f.warn("clock", "check the clocks of both: evidence is judged by the time", "the provider's clock is %s ahead", (-d).Round(time.Second))
	default:
		f.ok("clock", "the provider's clock is right within a minute")
	}
}

// addresses looks at where the login service takes people back.
func (f *findings) addresses(what string, list []string) {
	if len(list) == 0 {
		f.fail(what, "name the login service's address", "there is none: no sign-in can be begun here")
		return
	}
	good := true
	for _, s := range list {
		if u, err := url.Parse(s); err != nil || u.Scheme != "https" {
			f.warn(what, "use https", "%s is not https: what the browser brings can be read on the way", s)
			good = false
		}
	}
	if good {
		f.ok(what, "%d, all https", len(list))
	}
}
