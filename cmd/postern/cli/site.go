package cli

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) site() *cobra.Command {
	return group(&cobra.Command{Use: "site", Short: "The places where people sign in"},
		a.siteCreate(), a.siteGet(), a.siteList(), a.siteUpdate(), a.siteDelete())
}

// bySite is how commands about one site are used.
const bySite = "The site is given as ORGANIZATION SITE, as ORGANIZATION/SITE or by its full name."

func siteName(args []string) (string, error) { return resource(strings.Join(args, "/"), "sites") }

// oneSite demands the arguments that siteName reads.
func oneSite(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION SITE", cmd.CommandPath())
	}
	return nil
}

func siteFlags(cmd *cobra.Command, s *posternv1.Site) {
	f := cmd.Flags()
	f.StringVar(&s.DisplayName, "display-name", "", "name to show")
	f.StringSliceVar(&s.Hostnames, "hostname", nil, "host name it answers at, in lower case; may be repeated, and replaces all of them")
	f.BoolVar(&s.Disabled, "disabled", false, "stop sign-ins; --disabled=false lets them in again")
	f.BoolVar(&s.TrustsAccountEmail, "trusts-account-email", false, "the account's own e-mail counts as verified")
	f.StringVar(&s.Region, "region", "", "region its record may be kept in; empty: any")
	s.Privacy = &posternv1.Privacy{}
	privacyFlags(cmd, s.GetPrivacy())
}

func (a *app) siteOrError(s *posternv1.Site, err error) error {
	switch {
	case err != nil:
		return err
	case a.json():
		return a.message(s)
	}
	rows := [][]string{{"name", s.GetName()}, {"display name", s.GetDisplayName()}, {"uid", s.GetUid()}, {"hostnames", strings.Join(s.GetHostnames(), " ")},
		{"disabled", strconv.FormatBool(s.GetDisabled())}, {"trusts account e-mail", strconv.FormatBool(s.GetTrustsAccountEmail())},
		{"keeps of people", privacyWords(s.GetPrivacy())}, {"region", s.GetRegion()},
		{"maintained by", show.Enum("ORIGIN", s.GetOrigin())}, {"proofs not before", show.Time(s.GetProofsNotBefore())}, {"etag", s.GetEtag()}}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows)
}

func (a *app) siteCreate() *cobra.Command {
	var r resourceFlags
	s := &posternv1.Site{}
	cmd := &cobra.Command{
		Use:   "create ORGANIZATION SITE",
		Short: "Add a site",
		Long:  "Add a site. It is maintained through the API from then on: documents must not name it.",
		Example: `  postern site create acme wiki --display-name "Acme Wiki" --hostname wiki.acme.com
  postern site create acme shop --disabled --dry-run`,
		Args: exactly("ORGANIZATION", "SITE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return a.siteOrError(client.Repeat(ctx, c.Directory.CreateSite, &posternv1.CreateSiteRequest{Parent: parent, SiteId: args[1], Site: s, Etag: r.etag,
					RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason, Force: r.force, AdminEmail: r.admin}))
			})
		},
	}
	r.flags(a, cmd, true, true)
	siteFlags(cmd, s)
	return cmd
}

func (a *app) siteGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get ORGANIZATION SITE",
		Short:   "One site",
		Long:    "One site. " + bySite,
		Example: "  postern site get acme wiki",
		Args:    oneSite,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := siteName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return a.siteOrError(c.Directory.GetSite(ctx, &posternv1.GetSiteRequest{Name: name}))
			})
		},
	}
}

func (a *app) siteList() *cobra.Command {
	return &cobra.Command{
		Use:     "list ORGANIZATION",
		Short:   "All sites of an organization, by id",
		Example: "  postern site list acme",
		Args:    exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			parent, err := resource(args[0], "")
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, 0, func(ctx context.Context, size int32, token string) ([]*posternv1.Site, string, error) {
					r, err := c.Directory.ListSites(ctx, &posternv1.ListSitesRequest{Parent: parent, PageSize: size, PageToken: token})
					return r.GetSites(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, []string{"SITE", "DISPLAY NAME", "HOSTNAMES", "MAINTAINED BY", "STATE"}, func(s *posternv1.Site) []string {
					return []string{s.GetId(), s.GetDisplayName(), strings.Join(s.GetHostnames(), " "), show.Enum("ORIGIN", s.GetOrigin()), when(s.GetDisabled(), "DISABLED")}
				})
			})
		},
	}
}

func (a *app) siteUpdate() *cobra.Command {
	var r resourceFlags
	s := &posternv1.Site{}
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION SITE",
		Short: "Change a site",
		Long: `Change a site: what is given, and nothing else. A site that a document maintains is maintained through the API from then on, and a document
that still names it is refused until it leaves it out. ` + bySite,
		Example: `  postern site update acme wiki --hostname wiki.acme.com --hostname wiki.acme.net
  postern site update acme/wiki --disabled --reason "incident 42"
  postern site update acme wiki --privacy-ip omitted --privacy-email inherited`,
		Args: oneSite,
		RunE: func(cmd *cobra.Command, args []string) error {
			fields := map[string]string{"display-name": "display_name", "hostname": "hostnames", "disabled": "disabled",
				"trusts-account-email": "trusts_account_email", "region": "region"}
			maps.Copy(fields, privacyFields())
			mask, err := given(cmd, fields)
			if err != nil {
				return err
			}
			if s.Name, err = siteName(args); err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				return a.siteOrError(client.Repeat(ctx, c.Directory.UpdateSite, &posternv1.UpdateSiteRequest{Site: s, UpdateMask: mask, Etag: r.etag,
					RequestId: r.id(), ValidateOnly: r.check, Reason: r.reason, Force: r.force, AdminEmail: r.admin}))
			})
		},
	}
	r.flags(a, cmd, true, true)
	siteFlags(cmd, s)
	return cmd
}

func (a *app) siteDelete() *cobra.Command {
	var r resourceFlags
	cmd := &cobra.Command{
		Use:   "delete ORGANIZATION SITE",
		Short: "Remove a site that no rule names",
		Long: `Remove a site that no rule names. Sign-ins under way there end denied at their next step, and its record stays. A document that still names it
makes another site of that id. ` + bySite,
		Example: `  postern site delete acme shop --reason "closed down"`,
		Args:    oneSite,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := siteName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if _, err := client.Repeat(ctx, c.Directory.DeleteSite, &posternv1.DeleteSiteRequest{Name: name, Etag: r.etag, RequestId: r.id(), Reason: r.reason}); err != nil {
					return err
				}
				return a.gone(name)
			})
		},
	}
	r.flags(a, cmd, false, false)
	return cmd
}
