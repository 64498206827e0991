package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// lapseAfter reads days of failing; nil is never.
func lapseAfter(days int) (*durationpb.Duration, error) {
	switch {
	case days == 0:
		return nil, nil //nolint:nilnil // never
	case days < 7 || days > 365:
		return nil, usagef("--lapse-after must be 7 to 365 days, or 0 for never")
	}
	return durationpb.New(time.Duration(days) * day), nil
}

func (a *app) domainUpdate() *cobra.Command {
	r := &posternv1.UpdateDomainRequest{Domain: &posternv1.Domain{}, UpdateMask: &fieldmaskpb.FieldMask{}}
	var lapseDays int
	cmd := &cobra.Command{
		Use:   "update ORGANIZATION DOMAIN",
		Short: "Change what was chosen about a domain",
		Long: `Change whether a domain's subdomains count, or after how many days of failing it lapses by itself. What is not named stays as it is.
` + byDomain,
		Example: `  postern domain update acme acme.com --subdomains
  postern domain update acme acme.com --subdomains=false --reason "each subsidiary proves its own"
  postern domain update acme acme.com --lapse-after 0`,
		Args: oneDomain,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Domain.Name, err = domainName(args); err != nil {
				return err
			}
			if cmd.Flags().Changed("subdomains") {
				r.UpdateMask.Paths = append(r.UpdateMask.Paths, "include_subdomains")
			}
			if cmd.Flags().Changed("lapse-after") {
				r.UpdateMask.Paths = append(r.UpdateMask.Paths, "lapse_after")
				if r.Domain.LapseAfter, err = lapseAfter(lapseDays); err != nil {
					return err
				}
			}
			if len(r.GetUpdateMask().GetPaths()) == 0 {
				return usagef("say what to change: --subdomains or --lapse-after")
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				d, err := client.Repeat(ctx, c.Directory.UpdateDomain, r)
				if err != nil {
					return err
				}
				return a.showDomain(d)
			})
		},
	}
	a.guardFlags(cmd, &r.Force, &r.AdminEmail)
	f := cmd.Flags()
	f.BoolVar(&r.Domain.IncludeSubdomains, "subdomains", false, "whether its subdomains are the organization's too")
	f.IntVar(&lapseDays, "lapse-after", 0, "days of failing after which it lapses by itself, 7 to 365; 0 means never")
	f.StringVar(&r.Etag, "etag", "", "version of the domain the change is based on (default: whatever there is)")
	f.StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}
