package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// maxDocument is what the API takes; reading stops there.
const maxDocument = 1 << 20

func (a *app) org() *cobra.Command {
	return group(&cobra.Command{Use: "org", Short: "Organizations: their sites, domains, claims, connections and policy"},
		a.orgApply(), a.orgDiff(), a.orgExport(), a.orgGet(), a.orgList(), a.orgCreate(), a.orgUpdate(), a.orgForgetKey(), a.orgDelete())
}

func (a *app) orgApply() *cobra.Command {
	var etag, reason, requestID, admin string
	var check, force bool
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make an organization match a document",
		Long: `Make an organization match a document of YAML or JSON ("-" reads standard input). Sections the document leaves out stay
as they are; one it holds replaces what earlier documents wrote. Without --etag the change is based on what is there
now; with it, the change is refused when somebody else came first. What is probably not meant is warned about.

A change after which every external user, the people of a domain that goes, or you (--admin-email) would be denied at a site that is
open now is refused (LOCK_OUT). --force applies it nevertheless, and the record says so.`,
		Example: `  postern org apply examples/acme.yaml
  postern org apply --dry-run acme.yaml                   # what would change, and what is wrong
  postern org apply --reason "partner X joined" acme.yaml
  git show HEAD:acme.yaml | postern org apply -`,
		Args: exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			document, err := a.read(args[0], maxDocument)
			if err != nil {
				return err
			}
			name, err := organizationOf(document)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			resumes := requestID != ""
			if !resumes {
				requestID = newRequestID()
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				if etag == "" && !resumes {
					if etag, err = currentEtag(ctx, c, name); err != nil {
						return err
					}
				}
				answer, err := client.Repeat(ctx, c.Directory.ApplyOrganization, &posternv1.ApplyOrganizationRequest{
					Name: name, Document: string(document), Etag: etag, RequestId: requestID, ValidateOnly: check, Reason: reason, Force: force, AdminEmail: admin})
				if err != nil {
					return err
				}
				return a.applied(name, answer, check)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&check, "dry-run", false, "check everything, say what would change, and apply nothing")
	f.BoolVar(&check, "check", false, "the same as --dry-run")
	a.guardFlags(cmd, &force, &admin)
	f.StringVar(&etag, "etag", "", "version the change is based on (default: the current one; with --request-id none)")
	f.StringVar(&reason, "reason", "", "why; kept in the record")
	f.StringVar(&requestID, "request-id", "", "idempotency key: the same one, with the same document, etag and reason, resumes an apply that was cut off (default: a new one)")
	return cmd
}

// read reads a file or standard input, up to a limit.
func (a *app) read(path string, limit int64) ([]byte, error) {
	from := a.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, limit+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case int64(len(b)) > limit:
		return nil, fmt.Errorf("%s is longer than the %d bytes it may have", path, limit)
	}
	return b, nil
}

// organizationOf returns the resource name of the organization a document is about. All else in it is the server's to judge.
func organizationOf(document []byte) (string, error) {
	var head struct {
		Organization string `yaml:"organization"`
	}
	if err := yaml.Unmarshal(document, &head); err != nil {
		return "", errors.New(yaml.FormatError(err, false, false))
	}
	if head.Organization == "" {
		return "", errors.New("does not name its organization; it needs a line \"organization: ID\"")
	}
	return "organizations/" + head.Organization, nil
}

// currentEtag returns the etag of an organization, empty when there is none yet.
func currentEtag(ctx context.Context, c *client.Client, name string) (string, error) {
	o, err := c.Directory.GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: name})
	if f := client.Explain(err); f != nil && f.Code == codes.NotFound {
		return "", nil
	}
	return o.GetEtag(), err
}

func (a *app) applied(name string, answer *posternv1.ApplyOrganizationResponse, check bool) error {
	if a.json() {
		return a.message(answer)
	}
	o := answer.GetOrganization()
	if check {
		fmt.Fprintf(a.stdout, "%s would change:\n", printable.Escape(name))
		a.changes(answer.GetChanges())
	} else {
		fmt.Fprintf(a.stdout, "%s is at revision %d, etag %s\n", o.GetName(), o.GetRevision(), o.GetEtag())
	}
	rows := make([][]string, len(answer.GetCommits()))
	for i, c := range answer.GetCommits() {
		rows[i] = []string{c.GetKind(), strconv.FormatInt(c.GetCount(), 10), strconv.FormatInt(c.GetRevision(), 10), strconv.Itoa(len(c.GetEvents()))}
	}
	if err := show.Table(a.stdout, []string{"COMMIT", "OBJECTS", "REVISION", "EVENTS"}, rows); err != nil {
		return err
	}
	a.warnings(answer.GetWarnings())
	return nil
}

func (a *app) orgGet() *cobra.Command {
	return &cobra.Command{
		Use:   "get ORGANIZATION",
		Short: "One organization with its sites, connections, domains and rules",
		Example: `  postern org get acme
  postern org get acme --output json | jq .policy`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "")
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				o, err := c.Directory.GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: name})
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(o)
				}
				return a.organization(o)
			})
		},
	}
}

func (a *app) organization(o *posternv1.Organization) error {
	rows := [][]string{
		{"name", o.GetName()}, {"display name", o.GetDisplayName()}, {"uid", o.GetUid()}, {"disabled", strconv.FormatBool(o.GetDisabled())}, {"sandbox", strconv.FormatBool(o.GetSandbox())},
		{"keeps its record", retentionWords(o.GetRetention())}, {"keeps of people", privacyWords(o.GetPrivacy())},
		{"revision", strconv.FormatInt(o.GetRevision(), 10)}, {"etag", o.GetEtag()},
		{"created", show.Time(o.GetCreateTime())}, {"updated", show.Time(o.GetUpdateTime())},
		{"domains", strconv.FormatInt(o.GetDomainCount(), 10)}, {"claims", strconv.FormatInt(o.GetClaimCount(), 10)},
	}
	for _, s := range o.GetSites() {
		rows = append(rows, []string{"site " + s.GetId(), words(s.GetDisplayName(), strings.Join(s.GetHostnames(), " "), s.GetRegion(), when(s.GetDisabled(), "DISABLED"))})
	}
	for _, c := range o.GetConnections() {
		rows = append(rows, []string{"connection " + c.GetId(), words(show.Enum("KIND", c.GetKind()), show.Enum("PROTOCOL", c.GetProtocol()),
			c.GetDisplayName(), provider(c), secretOf(c), when(c.GetDisabled(), "DISABLED"))})
	}
	for _, d := range o.GetDomains() {
		rows = append(rows, []string{"domain " + d.GetDomain(), words(when(d.GetIncludeSubdomains(), "with subdomains,"), "verified by", d.GetVerifiedBy())})
	}
	for _, r := range o.GetPolicy().GetRules() {
		rows = append(rows, []string{"rule " + r.GetId(), words(show.Enum("MODE", r.GetMode()), r.GetDescription())})
	}
	return show.Table(a.stdout, []string{"FIELD", "VALUE"}, rows)
}

// secretOf says in a few words whether a connection has the secret it may need.
func secretOf(c *posternv1.Connection) string {
	if s := show.Secret(c); s != "" {
		return "(secret: " + s + ")"
	}
	return ""
}

// words joins those that are not empty.
func words(parts ...string) string {
	var b []string
	for _, p := range parts {
		if p != "" {
			b = append(b, p)
		}
	}
	return strings.Join(b, " ")
}

func when(yes bool, text string) string {
	if yes {
		return text
	}
	return ""
}

func (a *app) orgList() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "All organizations, by id",
		Example: "  postern org list",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.connect(func(c *client.Client) error {
				all, err := pages(cmd.Context(), a, 0, func(ctx context.Context, size int32, token string) ([]*posternv1.Organization, string, error) {
					r, err := c.Directory.ListOrganizations(ctx, &posternv1.ListOrganizationsRequest{PageSize: size, PageToken: token})
					return r.GetOrganizations(), r.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				return list(a, all, []string{"ORGANIZATION", "DISPLAY NAME", "REVISION", "UPDATED", "STATE"}, func(o *posternv1.Organization) []string {
					return []string{strings.TrimPrefix(o.GetName(), "organizations/"), o.GetDisplayName(), strconv.FormatInt(o.GetRevision(), 10), show.Time(o.GetUpdateTime()),
						words(when(o.GetDisabled(), "DISABLED"), when(o.GetSandbox(), "SANDBOX"))}
				})
			})
		},
	}
}

// maxPage is the largest page the API gives.
const maxPage = 1000

// pages collects pages until limit items, or all with limit 0. Each page may take the time of a call.
func pages[M any](ctx context.Context, a *app, limit int, page func(context.Context, int32, string) ([]M, string, error)) ([]M, error) {
	var all []M
	for token := ""; ; {
		size := maxPage
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		bounded, cancel := context.WithTimeout(ctx, a.timeout)
		items, next, err := page(bounded, int32(size), token)
		cancel()
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		if next == "" || limit > 0 && len(all) >= limit {
			return all, nil
		}
		token = next
	}
}
