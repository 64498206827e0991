package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) domain() *cobra.Command {
	return group(&cobra.Command{Use: "domain", Short: "Domains of an organization: prove them, and see how they stand"},
		a.domainAdd(), a.domainUpdate(), a.domainVerify(), a.domainList(), a.domainGet(), a.domainConfirmRemoval(), a.domainRemove())
}

// byDomain is how commands about one domain are used.
const byDomain = `The domain is given as ORGANIZATION DOMAIN, as ORGANIZATION/DOMAIN or by its full name.`

// domainName reads one domain from one or two arguments.
func domainName(args []string) (string, error) {
	return resource(strings.TrimSuffix(strings.ToLower(strings.Join(args, "/")), "."), "domains")
}

// oneDomain demands the arguments that domainName reads.
func oneDomain(cmd *cobra.Command, args []string) error {
	if len(args) != 1 && len(args) != 2 {
		return usagef("%s takes ORGANIZATION DOMAIN", cmd.CommandPath())
	}
	return nil
}

const day = 24 * time.Hour

func (a *app) domainAdd() *cobra.Command {
	r := &posternv1.CreateDomainRequest{}
	var lapseDays int
	cmd := &cobra.Command{
		Use:   "add ORGANIZATION DOMAIN",
		Short: "Begin to prove a domain, and say which record to set",
		Long: `Begin to prove a domain, and say which TXT record its zone has to show. Nothing follows from it until the record was seen: then everybody
with a verified e-mail at the domain is the organization's own. The record has to stay: it is looked at every day. A domain whose zone
denies it for three days fails, and goes on counting, marked STALE, until an administrator ends it; with --lapse-after it ends by
itself when it has failed that many days, after three warnings.`,
		Example: `  postern domain add acme acme.com
  postern domain add acme acme.com --subdomains
  postern domain add acme acme.com --lapse-after 30 --output json | jq -r '.recordName, .recordText'`,
		Args: exactly("ORGANIZATION", "DOMAIN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			if r.LapseAfter, err = lapseAfter(lapseDays); err != nil {
				return err
			}
			r.Domain, r.RequestId = args[1], newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				d, err := client.Repeat(ctx, c.Directory.CreateDomain, r)
				if err != nil {
					return err
				}
				if err := a.showDomain(d); err != nil || a.json() {
					return err
				}
				name := printable.Escape(strings.Replace(strings.TrimPrefix(d.GetName(), "organizations/"), "/domains/", " ", 1))
				fmt.Fprintf(a.stdout, "\nSet this record, then run: postern domain verify %s\n%s. IN TXT \"%s\"\n", name,
					printable.Escape(d.GetRecordName()), printable.Escape(d.GetRecordText()))
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.IncludeSubdomains, "subdomains", false, "its subdomains are the organization's too")
	f.IntVar(&lapseDays, "lapse-after", 0, "days of failing after which it lapses by itself, 7 to 365; 0 means never")
	f.StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}

func (a *app) showDomain(d *posternv1.Domain) error {
	if a.json() {
		return a.message(d)
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Domain(d))
}

func (a *app) domainVerify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify ORGANIZATION DOMAIN",
		Short: "Look at a domain's zone now",
		Long: `Look at a domain's zone now, and say what was found. That may take 15 seconds, whatever --timeout says. Exit code 0 when the domain is
verified, 1 when it is not. ` + byDomain,
		Example: `  postern domain verify acme acme.com
  postern domain verify acme/acme.com --output json | jq -r .checkDetail`,
		Args: oneDomain,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := domainName(args)
			if err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error {
				ctx, cancel := context.WithTimeout(cmd.Context(), max(a.timeout, testTime))
				defer cancel()
				d, err := client.Repeat(ctx, c.Directory.VerifyDomain, &posternv1.VerifyDomainRequest{Name: name, RequestId: newRequestID()})
				if err != nil {
					return err
				}
				if err := a.showDomain(d); err != nil {
					return err
				}
				if d.GetState() != posternv1.Domain_STATE_VERIFIED {
					return errNo
				}
				return nil
			})
		},
	}
}

func (a *app) domainList() *cobra.Command {
	r := &posternv1.ListDomainsRequest{}
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:   "list ORGANIZATION",
		Short: "Domains of an organization, by name",
		Example: `  postern domain list acme
  postern domain list acme --state failing`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			if state != "" {
				n, err := enum("state", "STATE", state, posternv1.Domain_State_value)
				if err != nil {
					return err
				}
				r.State = posternv1.Domain_State(n)
			}
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Domain, string, error) {
					r.PageSize, r.PageToken = size, token
					answer, err := c.Directory.ListDomains(ctx, r)
					return answer.GetDomains(), answer.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, show.DomainHeader(), show.DomainRow)
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only domains that are pending, verified, failing or lapsed")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all")
	return cmd
}

func (a *app) domainGet() *cobra.Command {
	return &cobra.Command{
		Use:     "get ORGANIZATION DOMAIN",
		Short:   "One domain: its record, its state and what the last look found",
		Long:    "One domain: its record, its state and what the last look found. " + byDomain,
		Example: "  postern domain get acme acme.com",
		Args:    oneDomain,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := domainName(args)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				d, err := c.Directory.GetDomain(ctx, &posternv1.GetDomainRequest{Name: name})
				if err != nil {
					return err
				}
				return a.showDomain(d)
			})
		},
	}
}

func (a *app) domainConfirmRemoval() *cobra.Command {
	r := &posternv1.ConfirmDomainRemovalRequest{}
	cmd := &cobra.Command{
		Use:   "confirm-removal ORGANIZATION DOMAIN",
		Short: "End a domain that fails",
		Long: `End a domain that fails: the people at it are external from the next sign-in on. A domain whose record was only lost on the way needs no such
thing: set the record again. ` + byDomain,
		Example: `  postern domain confirm-removal acme old-acme.com --reason "sold last year"`,
		Args:    oneDomain,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = domainName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				d, err := client.Repeat(ctx, c.Directory.ConfirmDomainRemoval, r)
				if err != nil {
					return err
				}
				return a.showDomain(d)
			})
		},
	}
	a.guardFlags(cmd, &r.Force, &r.AdminEmail)
	cmd.Flags().StringVar(&r.Etag, "etag", "", "version of the domain the change is based on (default: whatever there is)")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}

func (a *app) domainRemove() *cobra.Command {
	r := &posternv1.DeleteDomainRequest{}
	cmd := &cobra.Command{
		Use:   "remove ORGANIZATION DOMAIN",
		Short: "Remove a domain, whatever its state",
		Long: `Remove a domain, whatever its state, with its record's token: adding it again asks for another record. The people at it are external from
the next sign-in on. Domains that a document lists are removed there. ` + byDomain,
		Example: `  postern domain remove acme old-acme.com --reason "sold last year"`,
		Args:    oneDomain,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Name, err = domainName(args); err != nil {
				return err
			}
			r.RequestId = newRequestID()
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				answer, err := client.Repeat(ctx, c.Directory.DeleteDomain, r)
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(answer)
				}
				fmt.Fprintf(a.stdout, "removed %s\n", printable.Escape(r.GetName()))
				return nil
			})
		},
	}
	a.guardFlags(cmd, &r.Force, &r.AdminEmail)
	cmd.Flags().StringVar(&r.Etag, "etag", "", "version of the domain the change is based on (default: whatever there is)")
	cmd.Flags().StringVar(&r.Reason, "reason", "", "why; kept in the record")
	return cmd
}
