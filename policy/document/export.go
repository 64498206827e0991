package document

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// Standing is an organization as Export shows it.
type Standing struct {
	Organization *policy.Organization
	// Domains are its domain records, or the first of them.
	Domains []policy.DomainRecord
	// DomainCount and ClaimCount are how many there are.
	DomainCount, ClaimCount int64
}

// Exported is a document and what stands in it no more than as a comment.
type Exported struct {
	Text string
	// LeftOut says, a sentence each, what the document does not hold. Applying it leaves all of that as it is.
	LeftOut []string
}

// Export writes what documents own of an organization as a document. Applying it to that organization changes nothing.
//
// A section is written whole or left out, since one that is there replaces what it does not name. Left out are: claims, of which
// there may be any number; domains when there are more than are given or than a document holds; a policy that cannot be read;
// objects that are maintained through the API. Accounts in rules and lists are written as the hashes they are kept as
// (account_keys), which mean something in this organization of this installation alone. Secrets are never written.
func Export(s Standing) Exported {
	o := s.Organization
	e := &exporter{}
	if s.ClaimCount > 0 {
		e.leave("%d claimed accounts or addresses: there may be more of them than a document holds; list them by themselves", s.ClaimCount)
	}
	head := e.body(o)
	domains := e.domains(s)
	tail := e.policy(o)
	if len(head)+len(domains)+len(tail) > MaxBytes-maxNotes {
		e.leave("%d domains: a document has at most 1 MiB", s.DomainCount)
		domains = ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Organization %s at revision %d, as `postern org export` wrote it. Applying it changes nothing.\n", o.ID, o.Revision)
	for _, note := range e.leftOut {
		b.WriteString("# Left out: " + note + ".\n")
	}
	if e.hashed {
		b.WriteString("# account_keys are keyed hashes of accounts: they mean nobody in another organization or installation. New accounts stand\n# under accounts and addresses beside them.\n")
	}
	return Exported{Text: b.String() + head + domains + tail, LeftOut: e.leftOut}
}

// maxNotes is more than the comments at the beginning take.
const maxNotes = 4 << 10

// exporter collects what is left out while it writes.
type exporter struct {
	leftOut []string
	hashed  bool // account_keys were written
}

func (e *exporter) leave(format string, args ...any) {
	e.leftOut = append(e.leftOut, fmt.Sprintf(format, args...))
}

// owned returns what documents own, and notes how many others there are.
func owned[T any](e *exporter, what string, all []T, origin func(*T) audit.Origin) []T {
	var out []T
	for i := range all {
		if origin(&all[i]) == audit.OriginDocument {
			out = append(out, all[i])
		}
	}
	if n := len(all) - len(out); n > 0 {
		e.leave("%d %s that are maintained through the API", n, what)
	}
	return out
}

func (e *exporter) body(o *policy.Organization) string {
	w := &writer{}
	w.text("organization", o.ID)
	w.text("display_name", o.DisplayName)
	w.bool("disabled", o.Disabled)
	w.bool("sandbox", o.Sandbox)
	w.retention(&o.Retention)
	w.privacy(o.Privacy)
	sites := owned(e, "sites", o.Sites, func(s *policy.Site) audit.Origin { return s.Origin })
	w.items("sites", len(sites), func(i int) {
		s := &sites[i]
		w.text("id", s.ID)
		w.text("display_name", s.DisplayName)
		w.list("hostnames", s.Hostnames)
		w.flag("disabled", s.Disabled)
		w.flag("trusts_account_email", s.TrustsAccountEmail)
		if s.Privacy != (audit.Privacy{}) {
			w.privacy(s.Privacy)
		}
		w.text("region", s.Region)
	})
	connections := owned(e, "connections", o.Connections, func(c *policy.Connection) audit.Origin { return c.Origin })
	w.items("connections", len(connections), func(i int) { w.connection(&connections[i]) })
	return w.b.String()
}

func (e *exporter) domains(s Standing) string {
	if s.DomainCount > int64(len(s.Domains)) {
		e.leave("%d domains: at most %d are exported, and a part of them would drop the rest", s.DomainCount, len(s.Domains))
		return ""
	}
	w := &writer{}
	list := owned(e, "domains", s.Domains, func(d *policy.DomainRecord) audit.Origin { return d.Origin })
	w.items("domains", len(list), func(i int) {
		if !list[i].Subdomains {
			w.value(list[i].Domain.String())
			return
		}
		w.text("domain", list[i].Domain.String())
		w.flag("include_subdomains", true)
	})
	return w.b.String()
}

func (e *exporter) policy(o *policy.Organization) string {
	if o.Unreadable {
		e.leave("the policy, which cannot be read")
		return ""
	}
	p := &o.Policy
	rules := owned(e, "rules", p.Rules, func(r *policy.Rule) audit.Origin { return r.Origin })
	w := &writer{}
	w.table("policy", func(w *writer) {
		w.items("rules", len(rules), func(i int) { e.rule(w, &rules[i]) })
		w.demands("default", &p.Default)
		w.table("stops", func(w *writer) {
			w.flag("external", p.Stops.External)
			w.domains("domains", p.Stops.Domains)
			w.list("networks", texts(p.Stops.Networks))
		})
		w.items("account_lists", len(p.AccountLists), func(i int) {
			w.text("name", p.AccountLists[i].Name)
			e.list(w, &p.AccountLists[i])
		})
		if len(p.RecordClasses) == 0 {
			w.line("record: []")
		}
		w.list("record", texts(p.RecordClasses))
		w.text("on_unreadable", map[bool]string{false: "deny", true: "allow"}[o.AllowUnreadable])
	})
	return w.b.String()
}

func (e *exporter) rule(w *writer, r *policy.Rule) {
	w.text("id", r.ID)
	w.text("description", r.Description)
	w.table("match", func(w *writer) {
		w.list("sites", r.Match.Sites)
		w.list("kinds", texts(r.Match.Kinds))
		w.domains("domains", r.Match.Domains)
		e.accounts(w, r.Match.Accounts)
		w.list("account_lists", r.Match.AccountLists)
		w.list("networks", texts(r.Match.Networks))
		w.list("connections", r.Match.Connections)
	})
	w.demands("demands", &r.Demands)
	w.text("mode", map[policy.Mode]string{policy.ModeEnforce: "enforce", policy.ModeReportOnly: "report_only"}[r.Mode])
	w.time("enforce_from", r.EnforceFrom)
	w.time("expires_at", r.ExpiresAt)
	w.duration("enrolment_grace", r.EnrolmentGrace)
	w.text("message", r.Message)
	w.text("help_url", r.HelpURL)
}

func (e *exporter) accounts(w *writer, keys []policy.AccountKey) {
	hexes := make([]string, len(keys))
	for i, k := range keys {
		hexes[i] = fmt.Sprintf("%x", k[:])
		e.hashed = true
	}
	w.list("account_keys", hexes)
}

// list writes the entries of a list; those that expire each on lines of their own.
func (e *exporter) list(w *writer, l *policy.AccountList) {
	if len(l.Expiries) == 0 {
		e.accounts(w, l.Accounts)
		return
	}
	e.hashed = true
	w.items("account_keys", len(l.Accounts), func(i int) {
		key := fmt.Sprintf("%x", l.Accounts[i][:])
		at := l.Expires(l.Accounts[i])
		if at.IsZero() {
			w.value(key)
			return
		}
		w.text("account_key", key)
		w.time("expires_at", at)
	})
}

func (w *writer) demands(key string, d *policy.Demands) {
	w.table(key, func(w *writer) {
		w.list("methods", d.Methods)
		w.text("sso", d.SSOConnection)
		w.evidence(d.SSOEvidence)
		if m := d.MFA; m != nil {
			w.table("mfa", func(w *writer) {
				w.list("factors", m.Factors)
				w.duration("max_age", m.MaxAge)
				w.flag("accept_partner", m.AcceptPartner)
				w.list("partner_acr", m.PartnerACR)
				w.evidence(m.Evidence)
			})
		}
		w.duration("reverification", d.Reverify)
		w.duration("session_length", d.SessionLength)
		w.flag("block", d.Block)
	})
}

func (w *writer) evidence(e audit.Evidence) {
	if e != audit.EvidenceUnspecified {
		w.text("evidence", strings.ToLower(e.String()))
	}
}

func (w *writer) domains(key string, list []policy.DomainMatch) {
	if len(list) == 0 {
		return
	}
	w.items(key, len(list), func(i int) {
		if !list[i].Subdomains {
			w.value(list[i].Domain.String())
			return
		}
		w.text("domain", list[i].Domain.String())
		w.flag("include_subdomains", true)
	})
}

func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

func (w *writer) time(key string, t time.Time) {
	if !t.IsZero() {
		w.text(key, t.UTC().Format(time.RFC3339Nano))
	}
}

func (w *writer) duration(key string, d time.Duration) {
	if d != 0 {
		w.text(key, FormatDuration(d))
	}
}
