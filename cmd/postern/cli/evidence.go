package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/authflow/verify/totp"
	"github.com/postern-audit/postern/internal/secret"
	"github.com/postern-audit/postern/internal/show"
)

func (a *app) evidence() *cobra.Command {
	return group(&cobra.Command{Use: "evidence", Short: "What the verifiers make of a piece of evidence, without a sidecar"}, a.evidenceTotp(), a.evidenceOidc(), a.evidenceSaml())
}

// neverUsed is the last step of a secret of which no code was accepted.
const neverUsed = -1

// totpVerdict is a line of `evidence totp`.
type totpVerdict struct {
	Verdict string `json:"verdict"`
	Reason  string `json:"reason"`
	Step    int64  `json:"step"`
}

func (a *app) evidenceTotp() *cobra.Command {
	var key secretFlags
	var at string
	var last int64
	cmd := &cobra.Command{
		Use:   "totp CODE...",
		Short: "Check one-time codes against a secret",
		Long: `Check one-time codes against a secret, as VerifyTotp does: the codes of the present time step, the one before and the one
after are right, each step once. Codes are looked at in order, as tries on one authenticator: an accepted one uses its step
and all before it up. Nothing is counted and nothing locks. One JSON line for each code says the verdict, accept or reject,
the reason of a rejection as events have it, and the time step the code is of, 0 when it is of none nearby.

Exit code 0 when every code is accepted, 1 when one is rejected, 2 for wrong usage. What stands on a command line can be
read by others on the machine: use --secret-file for a secret that is in use.`,
		Example: `  postern evidence totp --secret GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ --digits 8 --at 1970-01-01T00:00:59Z 94287082
  postern evidence totp --secret-file secret.txt --algorithm SHA256 --period 60 --last-step 29376000 123456 654321`,
		Args: atLeastOne("CODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, params, err := key.read(a)
			if err != nil {
				return err
			}
			now, err := a.moment("at", at)
			if err != nil {
				return err
			}
			if last < neverUsed {
				return usagef("--last-step must not be negative")
			}
			rejected := false
			for _, code := range args {
				line := totpVerdict{Verdict: "accept"}
				found := totp.Check(k.Reveal(), params, code, last, now)
				if line.Reason, line.Step = found.Reason, found.Step; found.Reason != "" {
					line.Verdict, rejected = "reject", true
				} else {
					last = found.Step
				}
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
		},
	}
	key.flags(cmd)
	f := cmd.Flags()
	f.Int64Var(&last, "last-step", neverUsed, "highest time step of which a code was accepted before; -1 when none was")
	f.StringVar(&at, "at", "", "the moment the codes are typed, such as 2026-11-20T08:00:00Z (default: now)")
	return cmd
}

// secretFlags name a secret of one-time codes and how its codes are made.
type secretFlags struct {
	secret, file, algorithm string
	digits, period          int
}

func (s *secretFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.secret, "secret", "", "the secret in base32")
	f.StringVar(&s.file, "secret-file", "", `file that holds the secret in base32; "-" reads standard input`)
	codeForm(cmd, &s.algorithm, &s.digits, &s.period)
}

// codeForm adds the flags that say how codes are made.
func codeForm(cmd *cobra.Command, algorithm *string, digits, period *int) {
	d := totp.Default()
	f := cmd.Flags()
	f.StringVar(algorithm, "algorithm", d.Algorithm.String(), "SHA1, SHA256 or SHA512")
	f.IntVar(digits, "digits", d.Digits, "digits of a code, 6 to 8")
	f.IntVar(period, "period", int(d.Period/time.Second), "seconds a code is good for, 15 to 120")
}

// read returns the secret and how codes are made. What is wrong with them is wrong usage.
func (s *secretFlags) read(a *app) (secret.Bytes, totp.Params, error) {
	if (s.secret == "") == (s.file == "") {
		return secret.Bytes{}, totp.Params{}, usagef("give one of --secret and --secret-file")
	}
	params, err := totp.ParseParams(s.algorithm, s.digits, time.Duration(s.period)*time.Second)
	if err != nil {
		return secret.Bytes{}, totp.Params{}, usage(err)
	}
	if s.digits == 0 || s.period == 0 {
		return secret.Bytes{}, totp.Params{}, usagef("--digits must be 6 to 8, --period 15 to 120")
	}
	text := s.secret
	if s.file != "" {
		if text, err = a.readSecret(s.file); err != nil {
			return secret.Bytes{}, totp.Params{}, usage(err)
		}
	}
	key, err := totp.ParseBase32(text)
	if err != nil {
		return secret.Bytes{}, totp.Params{}, usage(err)
	}
	return key, params, nil
}

// maxSecretFile is more than any secret or handle has.
const maxSecretFile = 4 << 10

// readSecret reads a secret or handle from a file or standard input, without the line break at its end.
func (a *app) readSecret(path string) (string, error) {
	b, err := a.read(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}

// atLeastOne demands arguments.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("%s takes %s...", cmd.CommandPath(), name)
		}
		return nil
	}
}
