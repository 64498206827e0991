package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/policy"
)

// samlVerdict is a line of `evidence saml`.
type samlVerdict struct {
	File    string       `json:"file"`
	Verdict string       `json:"verdict"`
	Reason  string       `json:"reason"`
	Detail  string       `json:"detail"`
	Subject *samlSubject `json:"subject,omitempty"`
}

type samlSubject struct {
	ID    string `json:"id"`
	Email string `json:"email,omitempty"` // only at a domain the provider may speak for
}

func (a *app) evidenceSaml() *cobra.Command {
	var s samlEvidence
	cmd := &cobra.Command{
		Use:   "saml RESPONSE...",
		Short: "Check responses of a SAML identity provider",
		Long: `Check responses of a SAML identity provider against its metadata, as CompleteFederation does, without a network: the form,
the signatures, the issuer, whom the response is for, which request it answers, its times. Each file holds one response as
XML, decoded from the base64 of the form; "-" reads one from standard input. Without --request-id a response is judged as one
that nobody asked for: then it must not name a request. Each response is judged alone: that one was used before is not known
here. Encrypted assertions are refused. A transient NameID is taken, although no sign-in takes one: it names nobody who could
be known again.

One JSON line for each response says the verdict, accept or reject, the reason of a rejection as events have it, the detail,
and the subject of an accepted one. SAML does not say whether an e-mail was verified: the subject has it only when its domain
is given with --email-domain, as one the provider may speak for.

Exit code 0 when every response is accepted, 1 when one is rejected, 2 for wrong usage, which includes a file that cannot be
read: then no response was judged.`,
		Example: `  postern evidence saml --idp-metadata idp.xml --sp-entity-id https://wiki.example.com/saml --acs-url https://wiki.example.com/saml/acs --request-id _4f2a response.xml
  postern evidence saml --idp-metadata idp.xml --sp-entity-id https://wiki.example.com/saml --acs-url https://wiki.example.com/saml/acs --at 2026-11-20T08:00:00Z --email-domain example.com -`,
		Args: atLeastOne("RESPONSE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := s.settle(a, cmd, args); err != nil {
				return err
			}
			return s.judge(a, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.metadata, "idp-metadata", "", "file with the identity provider's metadata")
	f.StringVar(&s.expect.EntityID, "sp-entity-id", "", "our entity id, which the responses must be for")
	f.StringVar(&s.expect.ACS, "acs-url", "", "the URL the responses were sent to")
	f.StringVar(&s.expect.RequestID, "request-id", "", "id of the request the responses answer (default: they answer none)")
	f.StringVar(&s.at, "at", "", "the moment to judge at, such as 2026-11-20T08:00:00Z (default: now)")
	f.BoolVar(&s.expect.ResponseSignatureOnly, "allow-response-signature-only", false, "take a signed response whose assertion is not signed itself")
	f.StringArrayVar(&s.domains, "email-domain", nil, "domain the provider may speak for; may be given more than once")
	return cmd
}

// samlEvidence is what the flags say.
type samlEvidence struct {
	expect       saml.Expect
	metadata, at string
	domains      []string
	now          time.Time
	trusted      []policy.Domain
	responses    [][]byte
}

// settle reads all there is to read. What is wrong with it is wrong usage.
func (s *samlEvidence) settle(a *app, cmd *cobra.Command, args []string) error {
	for _, name := range []string{"idp-metadata", "sp-entity-id", "acs-url"} {
		if cmd.Flag(name).Value.String() == "" {
			return usagef("give --%s", name)
		}
	}
	for _, name := range []string{"request-id", "at"} {
		if f := cmd.Flag(name); f.Changed && f.Value.String() == "" {
			return usagef("--%s must not be empty", name)
		}
	}
	s.expect.Unsolicited = s.expect.RequestID == ""
	s.expect.AllowTransient = true // who it is this once is all that is asked here
	var err error
	if s.now, err = a.moment("at", s.at); err != nil {
		return err
	}
	for _, name := range s.domains {
		d, err := policy.ParseDomain(name)
		if err != nil {
			return usage(fmt.Errorf("--email-domain: %w", err))
		}
		s.trusted = append(s.trusted, d)
	}
	if inputs := slices.DeleteFunc(append(slices.Clone(args), s.metadata), func(f string) bool { return f != "-" }); len(inputs) > 1 {
		return usagef("standard input can be read once")
	}
	b, err := a.read(s.metadata, saml.MaxMetadata)
	if err != nil {
		return usage(err)
	}
	if s.expect.Provider, err = saml.ParseMetadata(b, s.now); err != nil {
		return usage(fmt.Errorf("%s: %w", s.metadata, err))
	}
	return s.read(a, args)
}

// read reads the responses, none further than one may be long.
func (s *samlEvidence) read(a *app, files []string) error {
	for _, name := range files {
		b, err := a.readBegin(name, saml.MaxResponse+1)
		if err != nil {
			return usage(err)
		}
		s.responses = append(s.responses, b)
	}
	return nil
}

// readBegin reads a file or standard input as far as a limit.
func (a *app) readBegin(name string, limit int64) ([]byte, error) {
	from := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, limit))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// judge prints a line for each response.
func (s *samlEvidence) judge(a *app, files []string) error {
	rejected := false
	for i, name := range files {
		line := s.verdict(name, s.responses[i])
		rejected = rejected || line.Verdict != "accept"
		b, err := show.Line(line)
		if err != nil {
			return err
		}
		if err := a.write(b); err != nil {
			return err
		}
	}
	if rejected {
		return errNo
	}
	return nil
}

func (s *samlEvidence) verdict(file string, response []byte) samlVerdict {
	id, err := saml.Verify(response, s.expect, s.now)
	if err != nil {
		line := samlVerdict{File: file, Verdict: "reject", Reason: audit.ReasonVerifierError}
		var refusal *federation.Refusal
		if errors.As(err, &refusal) {
			line.Reason, line.Detail = refusal.Reason, refusal.Detail
		}
		return line
	}
	who := &samlSubject{ID: id.ID}
	if address, err := policy.ParseAddress(strings.TrimSpace(id.Email)); err == nil && slices.Contains(s.trusted, address.Domain()) {
		who.Email = id.Email
	}
	return samlVerdict{File: file, Verdict: "accept", Subject: who}
}
