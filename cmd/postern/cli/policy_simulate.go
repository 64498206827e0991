package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// mostSamples is how many flows are named of each kind at most.
const mostSamples = 100

func (a *app) policySimulate() *cobra.Command {
	var policyFile, documentFile string
	var when period
	var sites []string
	var samples int
	cmd := &cobra.Command{
		Use:   "simulate ORGANIZATION",
		Short: "What a draft would have done to the sign-ins on record",
		Long: `What a draft would have done to the sign-ins on record: each is decided anew, as if the draft had been in force then, and those
that would have come out otherwise are counted, by what changes, by e-mail domain, site and rule. Nothing is written, and nobody who
signs in notices. --policy takes a policy as "postern policy update" does, --document an organization document as "postern org apply"
does, with its sites, domains and claims; without a draft the sign-ins are tried on everything as it is now.

Rules count as they do at the moment of each sign-in: one on trial, or with an enforce_from after it, decides nothing. To see what it
would do, let the draft enforce it from the beginning. What the model cannot know stands in docs/policy-admin.md.`,
		Example: `  postern policy simulate acme --policy next.yaml
  postern policy simulate acme --document acme.yaml --since 720h --site wiki
  postern policy simulate acme --policy next.yaml --output json | jq '.changes[] | select(.verdict == "VERDICT_DENY")'`,
		Args: exactly("ORGANIZATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := &posternv1.SimulateRequest{Sites: sites}
			var err error
			if r.Name, err = policyName(args[0]); err != nil {
				return err
			}
			if r.StartTime, r.EndTime, err = when.times(a.now()); err != nil {
				return err
			}
			if r.SampleSize, err = sampleSize(samples); err != nil {
				return err
			}
			if err := a.draft(r, policyFile, documentFile); err != nil {
				return err
			}
			return a.connect(func(c *client.Client) error { return a.simulate(cmd.Context(), c, r) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&policyFile, "policy", "", `file with a draft of the policy; "-" reads standard input`)
	f.StringVar(&documentFile, "document", "", `file with a draft of the organization; "-" reads standard input`)
	when.flags(f)
	f.Lookup("since").Usage += " (default: 720h)"
	f.StringSliceVar(&sites, "site", nil, "only sign-ins at this site")
	f.IntVar(&samples, "samples", 3, "how many sign-ins of each kind of change to name, at most 100")
	return cmd
}

func sampleSize(n int) (int32, error) {
	if n < 1 || n > mostSamples {
		return 0, usagef("--samples must be from 1 to %d", mostSamples)
	}
	return int32(n), nil
}

// draft reads the draft into the request, and says which of its rules decide nothing yet.
func (a *app) draft(r *posternv1.SimulateRequest, policyFile, documentFile string) error {
	organization := strings.TrimSuffix(strings.TrimPrefix(r.GetName(), "organizations/"), "/policy")
	var draft *document.Document
	switch {
	case policyFile != "" && documentFile != "":
		return usagef("give --policy or --document, not both")
	case policyFile != "":
		text, err := a.read(policyFile, maxDocument)
		if err != nil {
			return err
		}
		r.Draft = &posternv1.SimulateRequest_Policy{Policy: string(text)}
		draft, _ = document.ParsePolicy(organization, text)
	case documentFile != "":
		text, err := a.read(documentFile, maxDocument)
		if err != nil {
			return err
		}
		r.Draft = &posternv1.SimulateRequest_OrganizationDocument{OrganizationDocument: string(text)}
		draft, _ = a.parse(text)
	}
	if draft == nil || draft.Policy == nil || draft.Policy.Rules == nil {
		return nil // what is wrong with it, the sidecar says
	}
	end := a.now()
	if r.GetEndTime() != nil {
		end = r.GetEndTime().AsTime()
	}
	for _, rule := range *draft.Policy.Rules {
		if why := idle(&rule, end); why != "" {
			fmt.Fprintf(a.stderr, "note: rule %s %s: it decides none of these sign-ins\n", rule.ID, why)
		}
	}
	return nil
}

// idle says why a rule decides nothing before a moment, "" when it may.
func idle(r *document.Rule, end time.Time) string {
	switch {
	case r.Mode == policy.ModeReportOnly:
		return "is on trial (report_only)"
	case !r.EnforceFrom.IsZero() && !r.EnforceFrom.Before(end):
		return "is enforced from " + r.EnforceFrom.UTC().Format(time.RFC3339) + " on"
	}
	return ""
}

func (a *app) simulate(ctx context.Context, c *client.Client, r *posternv1.SimulateRequest) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		takeLeave(ctx, c)
	}()
	stream, err := c.Policy.Simulate(ctx, r)
	if err != nil {
		return err
	}
	last, err := follow(a, stream.Recv)
	switch {
	case err != nil:
		return err
	case last.GetResult() == nil:
		return errNoResult
	case a.json():
		return a.message(last.GetResult())
	}
	return a.simulated(last.GetResult())
}

// errNoResult is a stream that ended without what it was asked for.
var errNoResult = errors.New("the sidecar ended the answer before the result; try again")

// follow takes a stream to its end, shows how far it is where somebody looks at it, and returns the last message.
func follow[M interface{ GetProgress() *posternv1.Progress }](a *app, receive func() (M, error)) (last M, err error) {
	shows := show.IsTerminal(a.stderr)
	if shows {
		defer fmt.Fprint(a.stderr, "\r\x1b[K")
	}
	for {
		m, err := receive()
		switch {
		case errors.Is(err, io.EOF):
			return last, nil
		case err != nil:
			return last, err
		}
		last = m
		if p := m.GetProgress(); p != nil && shows {
			fmt.Fprint(a.stderr, "\r"+far(p))
		}
	}
}

// far is how far a scan is, as a line.
func far(p *posternv1.Progress) string {
	done, total := p.GetDone(), p.GetTotal()
	if total <= 0 {
		return strconv.FormatInt(done, 10) + " sign-ins"
	}
	const width = 40
	filled := int(width * min(done, total) / total)
	return fmt.Sprintf("[%s%s] %d of %d sign-ins", strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
}

// simulated tells what a draft would have done.
func (a *app) simulated(s *posternv1.Simulation) error {
	changed := int64(0)
	for _, c := range s.GetChanges() {
		changed += c.GetFlows()
	}
	fmt.Fprintf(a.stdout, "%d sign-ins: %d come out as they did, %d change (%s)\n", s.GetFlows(), s.GetUnchanged(), changed, persons(s.GetPeople()))
	if s.GetUndecided() > 0 {
		fmt.Fprintf(a.stdout, "%d had nobody proven in them: no policy decided them\n", s.GetUndecided())
	}
	if s.GetUnreadable() > 0 {
		fmt.Fprintf(a.stdout, "%d cannot be told: their record does not hold what the draft asks about\n", s.GetUnreadable())
	}
	if s.GetNeedsEnrolment().GetCount() > 0 {
		fmt.Fprintf(a.stdout, "%s would need to enrol a second factor\n", persons(s.GetNeedsEnrolment()))
	}
	rows := make([][]string, 0, len(s.GetChanges()))
	for _, c := range s.GetChanges() {
		rows = append(rows, []string{short("ENDING", c.GetEnding().String()), dash(c.GetReason()), short("VERDICT", c.GetVerdict().String()), dash(c.GetWouldBeReason()),
			mark(c.GetClassChanges()), strconv.FormatInt(c.GetFlows(), 10), headcount(c.GetPeople()), bare(c.GetSamples())})
	}
	if err := a.table([]string{"ENDED", "REASON", "DRAFT", "WHY", "CLASS CHANGES", "SIGN-INS", "PEOPLE", "SUCH AS"}, rows); err != nil {
		return err
	}
	for _, t := range []struct {
		head, none string
		of         []*posternv1.SimulatedCount
	}{{"E-MAIL DOMAIN", "(no e-mail)", s.GetDomains()}, {"SITE", "-", s.GetSites()}, {"DRAFT'S RULE", "(default)", s.GetRules()}} {
		rows := make([][]string, 0, len(t.of))
		for _, c := range t.of {
			key := c.GetKey()
			if key == "" {
				key = t.none
			}
			rows = append(rows, []string{key, strconv.FormatInt(c.GetFlows(), 10), headcount(c.GetPeople())})
		}
		if err := a.table([]string{t.head, "SIGN-INS", "PEOPLE"}, rows); err != nil {
			return err
		}
	}
	return nil
}

// table prints rows behind an empty line, nothing without rows.
func (a *app) table(header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	return show.Table(a.stdout, header, rows)
}

func short(prefix, name string) string { return strings.TrimPrefix(name, prefix+"_") }

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func mark(on bool) string {
	if on {
		return "yes"
	}
	return "-"
}

// headcount is how many people, with a sign when that is an estimate.
func headcount(p *posternv1.PeopleCount) string {
	if p.GetApproximate() {
		return "~" + strconv.FormatInt(p.GetCount(), 10)
	}
	return strconv.FormatInt(p.GetCount(), 10)
}

func persons(p *posternv1.PeopleCount) string {
	if p.GetCount() == 1 {
		return "1 person"
	}
	return headcount(p) + " people"
}

// bare are the ids of flows.
func bare(flows []string) string {
	out := make([]string, len(flows))
	for i, f := range flows {
		out[i] = f[strings.LastIndexByte(f, '/')+1:]
	}
	return strings.Join(out, " ")
}
