package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) orgDiff() *cobra.Command {
	return &cobra.Command{
		Use:   "diff ORGANIZATION FILE",
		Short: "What applying a document would change, in words",
		Long: `What applying a document would change, in words, and what in it is probably not meant; nothing is written. A change that apply
would refuse without --force is shown too, and marked.

Exit code 0 when applying it changes nothing, 1 when it would change something or the document is refused.`,
		Example: `  postern org diff acme acme.yaml
  git show HEAD:acme.yaml | postern org diff acme - || echo "somebody changed it elsewhere"`,
		Args: exactly("ORGANIZATION", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "")
			if err != nil {
				return err
			}
			document, err := a.read(args[1], maxDocument)
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				etag, err := currentEtag(ctx, c, name)
				if err != nil {
					return err
				}
				answer, err := c.Directory.ApplyOrganization(ctx, &posternv1.ApplyOrganizationRequest{
					Name: name, Document: string(document), Etag: etag, RequestId: newRequestID(), ValidateOnly: true, Force: true})
				if err != nil {
					return err
				}
				return a.differences(name, answer)
			})
		},
	}
}

func (a *app) differences(name string, answer *posternv1.ApplyOrganizationResponse) error {
	if a.json() {
		if err := a.message(answer); err != nil {
			return err
		}
	} else {
		a.changes(answer.GetChanges())
		a.warnings(answer.GetWarnings())
	}
	if len(answer.GetChanges()) > 0 {
		return errNo
	}
	if !a.json() {
		fmt.Fprintf(a.stdout, "%s: nothing would change\n", printable.Escape(name))
	}
	return nil
}

// lockOut is the field by which a change says that it denies everybody from outside, and what its text begins with.
const (
	lockOut = "lock_out"
	forced  = "forced: "
)

// changes tells what would change, one object a paragraph.
func (a *app) changes(list []*posternv1.PlannedChange) {
	for _, c := range list {
		fmt.Fprintln(a.stdout, printable.Escape(whatChanges(c)))
		for _, f := range c.GetChanges() {
			text := fieldChange(f)
			if f.GetField() == lockOut {
				text = "! without --force this is refused: " + strings.TrimPrefix(f.GetAfter(), forced)
			}
			fmt.Fprintln(a.stdout, "  "+printable.Escape(text))
		}
	}
}

// fields tells what fields became, one a line.
func (a *app) fields(list []*posternv1.Change) {
	for _, f := range list {
		fmt.Fprintln(a.stdout, "  "+printable.Escape(fieldChange(f)))
	}
}

func fieldChange(f *posternv1.Change) string {
	switch {
	case f.GetBefore() == "":
		return fmt.Sprintf("+ %s: %s", f.GetField(), f.GetAfter())
	case f.GetAfter() == "":
		return fmt.Sprintf("- %s: %s", f.GetField(), f.GetBefore())
	}
	return fmt.Sprintf("%s: %s -> %s", f.GetField(), f.GetBefore(), f.GetAfter())
}

// whatChanges is one change as a sentence without its fields.
func whatChanges(c *posternv1.PlannedChange) string {
	t := c.GetTarget()
	one := words(t.GetType(), t.GetId())
	n := len(c.GetNames())
	several := fmt.Sprintf("%d %s: %s", t.GetCount(), map[bool]string{true: t.GetType(), false: t.GetType() + "s"}[t.GetCount() == 1], strings.Join(c.GetNames(), ", "))
	if rest := t.GetCount() - int64(n); rest > 0 {
		several += fmt.Sprintf(" and %d more", rest)
	}
	switch c.GetType() {
	case string(audit.TypeDomainVerified):
		return "add " + several
	case string(audit.TypeAccountClaimed):
		return "claim " + several
	case string(audit.TypeDomainRemoved):
		return "remove " + several
	}
	switch {
	case strings.HasSuffix(c.GetType(), ".created"):
		return "create " + one
	case strings.HasSuffix(c.GetType(), ".deleted"):
		return "remove " + one
	}
	return "change " + one
}

// warnings tells what is probably not meant.
func (a *app) warnings(list []*posternv1.PolicyWarning) {
	for _, w := range list {
		place := w.GetPath()
		if w.GetLine() > 0 {
			place = fmt.Sprintf("line %d, %s", w.GetLine(), place)
		}
		fmt.Fprintln(a.stdout, printable.Escape(fmt.Sprintf("warning %s: %s: %s; %s", w.GetCode(), place, w.GetText(), w.GetFix())))
	}
}

func (a *app) orgExport() *cobra.Command {
	return &cobra.Command{
		Use:   "export ORGANIZATION",
		Short: "An organization as a document, to keep in git",
		Long: `An organization as a document, as apply takes it: applying it to the same organization changes nothing. Secrets of connections are
never in it. Claims are not in it either, since there may be any number (see "postern account list"), and neither are more than 20,000 domains;
a comment at its beginning says what is left out, and applying it leaves all that as it is. Accounts that rules and lists name
are written as account_keys, which mean nobody in another organization or installation.`,
		Example: `  postern org export acme > acme.yaml
  postern org export acme | diff acme.yaml -`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := resource(args[0], "")
			if err != nil {
				return err
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				e, err := c.Directory.ExportOrganization(ctx, &posternv1.ExportOrganizationRequest{Name: name})
				if err != nil {
					return err
				}
				if a.json() {
					return a.message(e)
				}
				return a.write([]byte(e.GetDocument()))
			})
		},
	}
}
