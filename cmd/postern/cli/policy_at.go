package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func (a *app) policyAt() *cobra.Command {
	return &cobra.Command{
		Use:   "at ORGANIZATION [SITE] TIME",
		Short: "Which policy was in force at a moment: its rules, who wrote it, when and why",
		Long: `Which policy was in force at a moment, in an organization or at one of its sites: its revision, who wrote it, when and why, whether
it was suspended, which sites were open, and its rules; with SITE only that site and the rules that could apply there. It is read
from the archive's history, which outlasts the events: what was recorded at or before TIME counts. "postern policy get --at"
prints the whole policy, "postern explain --at" what it made of somebody.`,
		Example: `  postern policy at acme 2026-11-20T08:00:00Z
  postern policy at acme wiki 2026-11-20T08:00:00Z
  postern policy at acme wiki 2026-11-20T08:00:00Z --output json | jq -r '.written.caller'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && len(args) != 3 {
				return usagef("postern policy at takes ORGANIZATION [SITE] TIME")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := policyName(args[0])
			if err != nil {
				return err
			}
			at, err := a.past("TIME", args[len(args)-1], 0)
			switch {
			case err != nil:
				return err
			case at == nil:
				return usagef("TIME must be a moment such as 2026-11-20T08:00:00Z")
			}
			return a.call(cmd.Context(), func(ctx context.Context, c *client.Client) error {
				s, err := c.Policy.GetPolicy(ctx, &posternv1.GetPolicyRequest{Name: name, Time: at})
				if err != nil {
					return err
				}
				if len(args) == 3 {
					if err := onlyAt(s, args[1]); err != nil {
						return err
					}
				}
				if a.json() {
					return a.message(s)
				}
				return a.inForce(s, at.AsTime())
			})
		},
	}
}

// past reads a moment that is asked about; nil when none is. A revision may not be asked about as well.
func (a *app) past(what, text string, revision int64) (*timestamppb.Timestamp, error) {
	switch {
	case text == "":
		return nil, nil //nolint:nilnil // the present
	case revision != 0:
		return nil, usagef("--revision and --at ask for two different things: give one of them")
	}
	at, err := a.moment(what, text)
	if err != nil {
		return nil, usagef("%s must be a moment such as 2026-11-20T08:00:00Z", what)
	}
	return timestamppb.New(at), nil
}

// onlyAt leaves of a policy what bears on one site.
func onlyAt(s *posternv1.PolicyState, site string) error {
	s.Sites = slices.DeleteFunc(s.GetSites(), func(one *posternv1.PolicyState_SiteState) bool { return one.GetId() != site })
	if len(s.GetSites()) == 0 {
		return fmt.Errorf("there was no site %q in it at that moment", site)
	}
	if s.GetPolicy() != nil {
		s.Policy.Rules = slices.DeleteFunc(s.Policy.GetRules(), func(r *posternv1.Rule) bool {
			sites := r.GetMatch().GetSites()
			return len(sites) > 0 && !slices.Contains(sites, site)
		})
	}
	return nil
}

// inForce prints a policy of a moment.
func (a *app) inForce(s *posternv1.PolicyState, at time.Time) error {
	w := s.GetWritten()
	say := func(format string, args ...any) {
		fmt.Fprintln(a.stdout, printable.Escape(fmt.Sprintf(format, args...)))
	}
	say("%s at %s: revision %d, written %s by %s (%s, %s)", s.GetName(), at.UTC().Format(time.RFC3339Nano), s.GetRevision(), show.Time(w.GetTime()), w.GetCaller(),
		w.GetType(), w.GetEvent())
	if w.GetReason() != "" {
		say("Why: %s", w.GetReason())
	}
	if s.GetOrganizationDisabled() {
		say("The organization was disabled: nobody was let in.")
	}
	if s.GetSuspended() {
		say("Suspended until %s: no rule was enforced, stops were.", show.Time(s.GetPolicy().GetSuspendedUntil()))
	}
	if err := a.sitesThen(s.GetSites()); err != nil {
		return err
	}
	if s.GetUnreadable() {
		say("What was stored could not be read: everybody was treated as on_unreadable says.")
		return nil
	}
	return a.rulesThen(s.GetPolicy(), at)
}

func (a *app) sitesThen(sites []*posternv1.PolicyState_SiteState) error {
	rows := make([][]string, len(sites))
	for i, s := range sites {
		rows[i] = []string{s.GetId(), when(s.GetDisabled(), "disabled") + when(!s.GetDisabled(), "open"),
			when(s.GetTrustsAccountEmail(), "yes") + when(!s.GetTrustsAccountEmail(), "no"), s.GetUid()}
	}
	return show.Table(a.stdout, []string{"SITE", "STATE", "TRUSTS ACCOUNT E-MAIL", "UID"}, rows)
}

func (a *app) rulesThen(p *posternv1.Policy, at time.Time) error {
	var rows [][]string
	for _, r := range p.GetRules() {
		rows = append(rows, []string{r.GetId(), ruleState(r, at), matchText(r.GetMatch()), demandsText(r.GetDemands())})
	}
	rows = append(rows, []string{"(default)", "ENFORCED", "everybody else", demandsText(p.GetDefaultDemands())})
	if stops := stopsText(p.GetStops()); stops != "" {
		rows = append(rows, []string{"(stops)", "ENFORCED", stops, "refused"})
	}
	return show.Table(a.stdout, []string{"RULE", "STATE", "WHO", "DEMANDS"}, rows)
}

// ruleState says whether a rule bit at a moment.
func ruleState(r *posternv1.Rule, at time.Time) string {
	switch {
	case r.GetExpiresAt() != nil && !at.Before(r.GetExpiresAt().AsTime()):
		return "EXPIRED"
	case r.GetMode() == posternv1.Mode_MODE_REPORT_ONLY:
		return "REPORT_ONLY"
	case r.GetEnforceFrom() != nil && at.Before(r.GetEnforceFrom().AsTime()):
		return "NOT_YET"
	}
	return "ENFORCED"
}

func matchText(m *posternv1.Match) string {
	var parts []string
	add := func(what string, values []string) {
		if len(values) > 0 {
			parts = append(parts, what+" "+strings.Join(values, ", "))
		}
	}
	add("domain", domainTexts(m.GetDomains()))
	if n := len(m.GetAccounts()); n > 0 {
		parts = append(parts, fmt.Sprintf("%d named accounts", n))
	}
	add("on list", m.GetAccountLists())
	var kinds []string
	for _, k := range m.GetKinds() {
		kinds = append(kinds, show.Enum("SUBJECT_KIND", k))
	}
	add("kind", kinds)
	add("at site", m.GetSites())
	add("from", m.GetNetworks())
	add("through", m.GetConnections())
	if len(parts) == 0 {
		return "everybody"
	}
	return strings.Join(parts, "; ")
}

func domainTexts(list []*posternv1.DomainMatch) (out []string) {
	for _, d := range list {
		out = append(out, when(d.GetIncludeSubdomains(), "*.")+d.GetDomain())
	}
	return out
}

func demandsText(d *posternv1.Demands) string {
	var parts []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	length := func(v *durationpb.Duration) string { return show.Duration(v.AsDuration()) }
	add(d.GetBlock(), "refused")
	add(len(d.GetAllowedMethods()) > 0, "methods %s", strings.Join(d.GetAllowedMethods(), ", "))
	add(d.GetSsoConnection() != "", "SSO through %s", d.GetSsoConnection())
	if m := d.GetMfa(); m != nil {
		add(true, "second factor%s%s", when(len(m.GetFactors()) > 0, " "+strings.Join(m.GetFactors(), ", ")),
			when(m.GetMaxAge() != nil, " no older than "+length(m.GetMaxAge())))
	}
	add(d.GetReverification() != nil, "re-verified within %s", length(d.GetReverification()))
	add(d.GetSessionLength() != nil, "sessions of at most %s", length(d.GetSessionLength()))
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func stopsText(s *posternv1.Stops) string {
	var parts []string
	if s.GetExternal() {
		parts = append(parts, "every external user")
	}
	if list := domainTexts(s.GetDomains()); len(list) > 0 {
		parts = append(parts, "external users of "+strings.Join(list, ", "))
	}
	if len(s.GetNetworks()) > 0 {
		parts = append(parts, "everybody from "+strings.Join(s.GetNetworks(), ", "))
	}
	return strings.Join(parts, "; ")
}
