package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/internal/show"
)

// oidcVerdict is a line of `evidence oidc`.
type oidcVerdict struct {
	File    string       `json:"file"`
	Verdict string       `json:"verdict"`
	Reason  string       `json:"reason"`
	Detail  string       `json:"detail"`
	Subject *oidcSubject `json:"subject,omitempty"`
}

type oidcSubject struct {
	ID    string `json:"id"`
	Email string `json:"email,omitempty"` // only when the provider says that it verified it
}

func (a *app) evidenceOidc() *cobra.Command {
	var o oidcEvidence
	cmd := &cobra.Command{
		Use:   "oidc TOKENFILE...",
		Short: "Check ID tokens of an OpenID Connect provider",
		Long: `Check ID tokens of an OpenID Connect provider against its keys, as CompleteFederation does, without a network: the
form, the signature, the issuer, whom the token is for, its times, and what else is asked for. Each file holds one compact
token; "-" reads standard input, one token a line. Each token is judged alone: that one was used before is not known here.

One JSON line for each token says the verdict, accept or reject, the reason of a rejection as events have it, the detail,
and the subject of an accepted one, with its e-mail when the provider says that it has verified it. What stands on a command
line can be read by others on the machine.

Exit code 0 when every token is accepted, 1 when one is rejected, 2 for wrong usage, which includes a file that cannot be
read: then no token was judged.`,
		Example: `  postern evidence oidc --issuer https://id.example.com --client-id wiki --jwks keys.json token.txt
  postern evidence oidc --issuer https://id.example.com --client-id wiki --jwks keys.json --nonce n-0S6_WzA2Mj --at 2026-11-20T08:00:00Z -`,
		Args: atLeastOne("TOKENFILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := o.settle(a, cmd, args)
			if err != nil {
				return err
			}
			return o.judge(cmd.Context(), a, keys, args)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.expect.Issuer, "issuer", "", "the provider, as the tokens must name it")
	f.StringVar(&o.expect.ClientID, "client-id", "", "the client the tokens must be for")
	f.StringVar(&o.jwks, "jwks", "", "file with the provider's keys, a JSON Web Key Set")
	f.StringVar(&o.nonce, "nonce", "", "the nonce that was sent (default: nonces are not looked at)")
	f.Int64Var(&o.maxAge, "max-age", 0, "demand auth_time, at most as many seconds ago")
	f.StringVar(&o.expect.AccessToken, "access-token", "", "the access token that came along: demand a fitting at_hash")
	f.StringVar(&o.at, "at", "", "the moment to judge at, such as 2026-11-20T08:00:00Z (default: now)")
	return cmd
}

// oidcEvidence is what the flags say.
type oidcEvidence struct {
	expect          oidc.Expect
	jwks, nonce, at string
	maxAge          int64
	now             time.Time
	tokens          map[string][]byte // of files, read before any is judged
}

// maxAgeSeconds is ten years.
const maxAgeSeconds = 10 * 366 * 24 * 60 * 60

// settle reads all there is to read but standard input. What is wrong with it is wrong usage.
func (o *oidcEvidence) settle(a *app, cmd *cobra.Command, args []string) (oidc.Keys, error) {
	for _, name := range []string{"issuer", "client-id", "jwks"} {
		if cmd.Flag(name).Value.String() == "" {
			return nil, usagef("give --%s", name)
		}
	}
	for _, name := range []string{"nonce", "access-token", "at"} {
		if f := cmd.Flag(name); f.Changed && f.Value.String() == "" {
			return nil, usagef("--%s must not be empty", name)
		}
	}
	if cmd.Flag("max-age").Changed && (o.maxAge < 1 || o.maxAge > maxAgeSeconds) {
		return nil, usagef("--max-age must be 1 to %d seconds", maxAgeSeconds)
	}
	o.expect.MaxAge = time.Duration(o.maxAge) * time.Second
	if o.nonce != "" {
		sum := sha256.Sum256([]byte(o.nonce))
		o.expect.Nonce = &sum
	}
	var err error
	if o.now, err = a.moment("at", o.at); err != nil {
		return nil, err
	}
	inputs := slices.DeleteFunc(append(slices.Clone(args), o.jwks), func(s string) bool { return s != "-" })
	if len(inputs) > 1 {
		return nil, usagef("standard input can be read once")
	}
	b, err := a.read(o.jwks, oidc.MaxKeySet)
	if err != nil {
		return nil, usage(err)
	}
	keys, err := oidc.ParseKeys(b)
	if err != nil {
		return nil, usage(fmt.Errorf("%s: %w", o.jwks, err))
	}
	return keys, o.read(args)
}

// read reads the token files, none further than a token may be long.
func (o *oidcEvidence) read(files []string) error {
	o.tokens = map[string][]byte{}
	for _, name := range files {
		if name == "-" {
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return usage(err)
		}
		b, err := io.ReadAll(io.LimitReader(f, oidc.MaxToken+int64(len("\r\n"))+1))
		_ = f.Close()
		if err != nil {
			return usage(fmt.Errorf("read %s: %w", name, err))
		}
		o.tokens[name] = withoutLineEnd(b)
	}
	return nil
}

// withoutLineEnd takes one line end away.
func withoutLineEnd(b []byte) []byte {
	if line, ended := bytes.CutSuffix(b, []byte("\n")); ended {
		return bytes.TrimSuffix(line, []byte("\r"))
	}
	return b
}

// judge prints a line for each token.
func (o *oidcEvidence) judge(ctx context.Context, a *app, keys oidc.Keys, files []string) error {
	rejected := false
	verdict := func(file string, token []byte) error {
		line := o.verdict(ctx, keys, file, token)
		rejected = rejected || line.Verdict != "accept"
		b, err := show.Line(line)
		if err != nil {
			return err
		}
		return a.write(b)
	}
	for _, name := range files {
		var err error
		if name == "-" {
			err = eachLine(a.stdin, oidc.MaxToken, func(token []byte) error { return verdict(name, token) })
		} else {
			err = verdict(name, o.tokens[name])
		}
		if err != nil {
			return err
		}
	}
	if rejected {
		return errNo
	}
	return nil
}

func (o *oidcEvidence) verdict(ctx context.Context, keys oidc.Keys, file string, token []byte) oidcVerdict {
	id, err := oidc.Verify(ctx, token, o.expect, keys, o.now)
	if err != nil {
		line := oidcVerdict{File: file, Verdict: "reject", Reason: audit.ReasonVerifierError}
		var refusal *federation.Refusal
		if errors.As(err, &refusal) {
			line.Reason, line.Detail = refusal.Reason, refusal.Detail
		}
		return line
	}
	who := &oidcSubject{ID: id.ID}
	if id.EmailVerified {
		who.Email = id.Email
	}
	return oidcVerdict{File: file, Verdict: "accept", Subject: who}
}

// eachLine calls use with each line of r, without its end; of one longer than limit with a part that is too long as well. What is
// empty has one empty line.
func eachLine(r io.Reader, limit int, use func([]byte) error) error {
	in := bufio.NewReaderSize(r, limit+len("\r\n")+1)
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		token := bytes.Clone(withoutLineEnd(line))
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read standard input: %w", err)
		}
		if err == nil || len(token) > 0 || first {
			if err := use(token); err != nil {
				return err
			}
		}
		if err != nil {
			return nil //nolint:nilerr // the end of the input
		}
	}
}
