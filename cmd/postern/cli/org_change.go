package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func (a *app) orgCreate() *cobra.Command {
	var r resourceFlags
	o := &posternv1.Organization{}
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION",
		Short: "Make an organization without sites, domains and policy",
		Long: `Make an organization without sites, domains and policy: everybody from outside may enter its sites, and is recorded. With --sandbox it is for
trying things out: it works fully, its events say so, and feeds leave them out unless asked for.`,
		Example: `  postern org create acme --display-name "Acme Corporation"
  postern org create acme-test --sandbox`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				made, err := client.Repeat(ctx, c.Directory.CreateOrganization, &posternv1.CreateOrganizationRequest{OrganizationId: args[0], Organization: o,
					RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason})
				return a.organizationOrError(made, err)
			})
		},
	}
	r.flags(a, cmd, true, false)
	organizationFlags(cmd, o)
	return cmd
}

func organizationFlags(cmd *cobra.Command, o *posternv1.Organization) {
	f := cmd.Flags()
	f.StringVar(&o.DisplayName, "display-name", "", "name to show")
	f.BoolVar(&o.Disabled, "disabled", false, "stop every site of it; --disabled=false opens them again")
	f.BoolVar(&o.Sandbox, "sandbox", false, "it is for trying things out; --sandbox=false ends that")
	o.Retention, o.Privacy = &posternv1.Retention{}, &posternv1.Privacy{}
	retentionFlags(cmd, o.GetRetention())
	privacyFlags(cmd, o.GetPrivacy())
}

func (a *app) organizationOrError(o *posternv1.Organization, err error) error {
	switch {
	case err != nil:
		return err
	case a.json():
		return a.message(o)
	}
	return a.organization(o)
}

func (a *app) orgUpdate() *cobra.Command {
	var r resourceFlags
	o := &posternv1.Organization{}
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION",
		Short: "Change an organization's name, switches, retention and privacy",
		Long: `Change an organization's name and switches, for how long its record is kept and what it keeps of people: what is given, and nothing else.
Fewer days, and lifting a hold, need --reason. What the record keeps of people binds what happens from now on.`,
		Example: `  postern org update acme --display-name "Acme Ltd"
  postern org update acme --disabled --reason "incident 42"      # nobody signs in any more
  postern org update acme --disabled=false
  postern org update acme-test --sandbox=false
  postern org update acme --retention-sign-in 90 --reason "privacy review 7"
  postern org update acme --hold --hold-reason "case 2031-17"    # nothing of its record goes until --hold=false
  postern org update acme --privacy-email pseudonym --privacy-ip truncated`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields := map[string]string{"display-name": "display_name", "disabled": "disabled", "sandbox": "sandbox",
				"retention-sign-in": "retention.sign_in_days", "retention-administration": "retention.administration_days",
				"retention-activity": "retention.activity_days", "hold": "retention.hold", "hold-reason": "retention.hold_reason"}
			maps.Copy(fields, privacyFields())
			mask, err := given(cmd, fields)
			if err != nil {
				return err
			}
			if o.Name, err = resource(args[0], ""); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				made, err := client.Repeat(ctx, c.Directory.UpdateOrganization, &posternv1.UpdateOrganizationRequest{Organization: o, UpdateMask: mask,
					Etag: r.etag, RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason})
				return a.organizationOrError(made, err)
			})
		},
	}
	r.flags(a, cmd, true, false)
	organizationFlags(cmd, o)
	return cmd
}

func (a *app) orgDelete() *cobra.Command {
	var r resourceFlags
	cmd := &cobra.Command{
		Use:   "delete ORGANIZATION --reason TEXT",
		Short: "End an organization that is disabled, for good",
		Long: `End an organization that is disabled, for good: its sites, connections, policy and domains go, the accounts it claims are given up, and its id is
free. Its record stays in the archive. A large one takes a while; the command goes on until it is done, and one that was cut off goes
on with the same --request-id, --etag and --reason.`,
		Example: `  postern org update acme --disabled && postern org delete acme --reason "contract ended"`,
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "")
			if err != nil {
				return err
			}
			if r.reason == "" {
				return usagef("--reason is needed")
			}
			q := &posternv1.DeleteOrganizationRequest{Name: name, Etag: r.etag, RequestId: r.id(), Reason: r.reason}
			for {
				err := a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
					if q.Etag == "" {
						o, err := c.Directory.GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: name})
						if err != nil {
							return err
						}
						q.Etag = o.GetEtag()
					}
					_, err := client.Repeat(ctx, c.Directory.DeleteOrganization, q)
					return err
				})
				if f := client.Explain(err); f != nil && f.Code == codes.DeadlineExceeded && cmd.Context().Err() == nil && q.GetEtag() != "" {
					fmt.Fprintf(a.stderr, "still deleting %s (--request-id %s --etag %s)\n", printable.Escape(name), q.GetRequestId(), q.GetEtag())
					continue
				}
				if err != nil {
					return err
				}
				return a.gone(name)
			}
		},
	}
	r.flags(a, cmd, false, false)
	cmd.Flags().Lookup("etag").Usage = "version of the organization the deletion is based on (default: the current one)"
	return cmd
}

// gone says that something was removed.
func (a *app) gone(name string) error {
	if a.json() {
		return a.write([]byte("{}\n"))
	}
	_, err := fmt.Fprintf(a.stdout, "removed %s\n", printable.Escape(name))
	return err
}
