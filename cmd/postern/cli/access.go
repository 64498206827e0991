package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) access() *cobra.Command {
	return group(&cobra.Command{Use: "access", Short: "Sessions and API tokens, held to the policy"}, a.accessCheck())
}

func (a *app) accessCheck() *cobra.Command {
	var session, token string
	from := &posternv1.Context{}
	cmd := &cobra.Command{
		Use:   "check SITE",
		Short: "Whether a session or API token may be used at a site",
		Long: `Whether a session or API token may be used at a site, as CheckAccess says it, and on the record like any use. The handle is
read from a file or standard input ("-"), never from the command line; a line break at its end is not part of it.

Exit code 0 when it may be used, 1 when not.`,
		Example: `  postern access check acme/wiki --session-file handle.txt
  printf %s "$TOKEN" | postern access check acme/tracker --token-file - --ip 203.0.113.9`,
		Args: exactly("SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := resource(args[0], "sites")
			if err != nil {
				return err
			}
			if (session == "") == (token == "") {
				return usagef("give one of --session-file and --token-file")
			}
			handle, err := a.readSecret(session + token)
			if err != nil {
				return err
			}
			r := &posternv1.CheckAccessRequest{Site: site, Context: from}
			if session != "" {
				r.Credential = &posternv1.CheckAccessRequest_SessionHandle{SessionHandle: []byte(handle)}
			} else {
				r.Credential = &posternv1.CheckAccessRequest_TokenHandle{TokenHandle: []byte(handle)}
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := c.SignIn.CheckAccess(ctx, r)
				if err != nil {
					return err
				}
				return a.checked(answer)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&session, "session-file", "", `file with the site's session handle; "-" reads standard input`)
	f.StringVar(&token, "token-file", "", `file with the API token's handle; "-" reads standard input`)
	f.StringVar(&from.Ip, "ip", "", "where the request comes from")
	f.StringVar(&from.UserAgent, "user-agent", "", "the program that uses it")
	f.StringVar(&from.DeviceId, "device-id", "", "stable id of the device")
	return cmd
}

func (a *app) checked(answer *posternv1.CheckAccessResponse) error {
	allowed := answer.GetVerdict() == posternv1.Verdict_VERDICT_ALLOW
	if a.json() {
		if err := a.message(answer); err != nil {
			return err
		}
	} else {
		rows := [][]string{
			{"verdict", words(show.Enum("VERDICT", answer.GetVerdict()), answer.GetReason())}, {"valid until", show.Time(answer.GetValidUntil())},
			{"shown in the record as", answer.GetSession()}, {"from flow", answer.GetFlow()},
		}
		if err := show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows); err != nil {
			return err
		}
		if answer.GetDecision() != nil {
			fmt.Fprintf(a.stdout, "%s\n", show.Decision(answer.GetDecision()))
		}
		if m := answer.GetUserMessage(); !allowed && m.GetText() != "" {
			fmt.Fprintf(a.stdout, "the person is told: %s\n", printable.Escape(words(m.GetText(), m.GetRuleMessage(), m.GetHelpUrl())))
		}
	}
	if !allowed {
		return errNo
	}
	return nil
}
