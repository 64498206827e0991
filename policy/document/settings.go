package document

import (
	"strconv"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// retention reads how long an organization's record is kept. What is left out is kept for as long as is standard, and not held.
func (r *reader) retention(n *node, path string) (out policy.Retention) {
	r.table(n, path, fields{
		"sign_in_days":        func(n *node, path string) { out.SignIn = r.days(n, path) },
		"administration_days": func(n *node, path string) { out.Administration = r.days(n, path) },
		"activity_days":       func(n *node, path string) { out.Activity = r.days(n, path) },
		"hold":                func(n *node, path string) { out.Hold = r.boolean(n, path) },
		"hold_reason":         func(n *node, path string) { out.HoldReason = r.text(n, path) },
	})
	return out
}

// days reads a number of days for which a record may be kept.
func (r *reader) days(n *node, path string) int {
	fix := "write " + strconv.Itoa(audit.MinRetention) + " to " + strconv.Itoa(audit.MaxRetention)
	if !r.want(n, path, isNumber, fix) {
		return 0
	}
	days, err := strconv.Atoi(n.text)
	if err != nil || days < audit.MinRetention || days > audit.MaxRetention {
		r.problem(n.place, path, "not a number of days to keep a record for", fix)
		return 0
	}
	return days
}

// privacy reads what the record keeps of people. What is left out is not given.
func (r *reader) privacy(n *node, path string) (out audit.Privacy) {
	r.table(n, path, fields{
		"email": func(n *node, path string) {
			out.Email = choice(r, n, path, []string{"FULL", "PSEUDONYM", "OMITTED"}, []audit.EmailPrivacy{audit.EmailFull, audit.EmailPseudonym, audit.EmailOmitted})
		},
		"ip": func(n *node, path string) {
			out.IP = choice(r, n, path, []string{"FULL", "TRUNCATED", "OMITTED"}, []audit.IPPrivacy{audit.IPFull, audit.IPTruncated, audit.IPOmitted})
		},
		"user_content": func(n *node, path string) {
			out.UserContent = choice(r, n, path, []string{"KEPT", "OMITTED"}, []audit.ContentPrivacy{audit.ContentKept, audit.ContentOmitted})
		},
	})
	return out
}

// retention writes what is not standard.
func (w *writer) retention(r *policy.Retention) {
	is := r.Days()
	if is == audit.StandardRetention() {
		w.line("retention: {}")
		return
	}
	w.table("retention", func(w *writer) {
		for _, d := range daysOf(is) {
			w.line(d.path + ": " + d.value)
		}
		w.flag("hold", r.Hold)
		w.text("hold_reason", r.HoldReason)
	})
}

// privacy writes what is given.
func (w *writer) privacy(p audit.Privacy) {
	w.table("privacy", func(w *writer) {
		w.text("email", lower(p.Email))
		w.text("ip", lower(p.IP))
		w.text("user_content", lower(p.UserContent))
	})
}

func lower(s interface{ String() string }) string { return strings.ToLower(s.String()) }

// daysOf are the days of a retention by the fields they stand in.
func daysOf(r audit.Retention) []field {
	return []field{{"sign_in_days", strconv.Itoa(r.SignIn)}, {"administration_days", strconv.Itoa(r.Administration)}, {"activity_days", strconv.Itoa(r.Activity)}}
}

// everything is what the record of an organization keeps that says nothing.
func everything() audit.Privacy {
	return audit.Privacy{Email: audit.EmailFull, IP: audit.IPFull, UserContent: audit.ContentKept}
}

// settings lists what changes of how long an organization's record is kept, with the days in force before and after, and of what it keeps.
func settings(old, next *policy.Organization) []audit.Change {
	var out []audit.Change
	was, is := daysOf(old.Retention.Days()), daysOf(next.Retention.Days())
	for i := range is {
		if was[i].value != is[i].value {
			out = append(out, audit.Change{Field: "retention." + is[i].path, Before: was[i].value, After: is[i].value})
		}
	}
	var before, after flat
	before.held(&old.Retention)
	after.held(&next.Retention)
	before.privacy(old.Privacy.Over(everything()))
	after.privacy(next.Privacy.Over(everything()))
	return append(out, changes(before, after)...)
}

func (f *flat) held(r *policy.Retention) {
	f.flag("retention.hold", r.Hold)
	f.add("retention.hold_reason", r.HoldReason)
}

func (f *flat) privacy(p audit.Privacy) {
	f.add("privacy.email", p.Email.String())
	f.add("privacy.ip", p.IP.String())
	f.add("privacy.user_content", p.UserContent.String())
}
