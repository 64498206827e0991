package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Limits of an organization's policy record. The store also refuses a record of more than 256 KiB encoded.
const (
	MaxRules        = 200
	MaxSites        = 200
	MaxConnections  = 100
	MaxHostnames    = 20
	MaxAccountLists = 50
	MaxListAccounts = 5000
	MaxMatchValues  = 500 // of each condition of a rule, and of each stop
	MaxPartnerACR   = 20
	MaxText         = 512 // bytes of description, message, help link and display name
	MaxDuration     = 400 * 24 * time.Hour
)

// Problem is one thing that is wrong with an organization, or only worth a warning.
type Problem struct {
	// Path names the field as an organization document does: "policy.rules[guests].demands.methods[0]".
	Path    string
	Text    string // what is wrong
	Fix     string // what to write instead
	Warning bool   // it may be applied nevertheless
	Code    string // of a warning: one of Codes
	Rule    string // id of the rule a warning is about; "" when it is about something else
}

// problems collects them.
type problems struct{ list []Problem }

func (p *problems) add(path, text, fix string) {
	p.list = append(p.list, Problem{Path: path, Text: text, Fix: fix})
}

func (p *problems) warn(code, path, text, fix string) {
	p.list = append(p.list, Problem{Path: path, Text: text, Fix: fix, Warning: true, Code: code, Rule: ruleOf(path)})
}

// ruleOf returns the id of the rule that a path is about, "" when it is about none.
func ruleOf(path string) string {
	rest, is := strings.CutPrefix(path, "policy.rules[")
	if !is {
		return ""
	}
	id, _, _ := strings.Cut(rest, "]")
	return id
}

// Validate returns everything that is wrong with an organization: ids, limits, references and its policy. No problem but
// warnings means that every rule can be evaluated.
func (o *Organization) Validate() []Problem {
	p := &problems{}
	if !ValidID(o.ID) {
		p.add("organization", "not an id", idFix)
	}
	if o.ID == audit.SystemID {
		p.add("organization", "this id is reserved", "choose another id")
	}
	p.text("display_name", o.DisplayName)
	o.validateRetention(p)
	o.validateSites(p)
	o.validateConnections(p)
	p.list = append(p.list, o.Policy.Validate(o.Sites, o.Connections)...)
	return p.list
}

func (o *Organization) validateSites(p *problems) {
	p.most("sites", len(o.Sites), MaxSites)
	seen, hosts := map[string]bool{}, map[string]string{}
	for i := range o.Sites {
		s := &o.Sites[i]
		path := "sites[" + s.ID + "]"
		p.id(path, s.ID, seen)
		p.text(path+".display_name", s.DisplayName)
		if s.Region != "" && !validRegion(s.Region) {
			p.add(path+".region", "not a region", "use "+regionForm)
		}
		p.most(path+".hostnames", len(s.Hostnames), MaxHostnames)
		for j, h := range s.Hostnames {
			at := fmt.Sprintf("%s.hostnames[%d]", path, j)
			if !validHostname(h) {
				p.add(at, "not a host name", "write it in lower case without scheme, port and path, such as wiki.example.com")
			} else if other, taken := hosts[h]; taken {
				p.add(at, "site "+other+" has this host name already", "name each host once")
			}
			hosts[h] = s.ID
		}
	}
}

// Validate returns everything that is wrong with a policy for an organization with these sites and connections.
func (p *Policy) Validate(sites []Site, connections []Connection) []Problem {
	v := &validation{problems: &problems{}, sites: map[string]bool{}, connections: map[string]*Connection{}, lists: map[string]bool{}}
	for i := range sites {
		v.sites[sites[i].ID] = true
	}
	for i := range connections {
		v.connections[connections[i].ID] = &connections[i]
	}
	v.accountLists(p.AccountLists)
	v.rules(p.Rules)
	v.demands("policy.default", &p.Default)
	v.domains("policy.stops.domains", p.Stops.Domains)
	v.networks("policy.stops.networks", p.Stops.Networks)
	for i, c := range p.RecordClasses {
		path := fmt.Sprintf("policy.record[%d]", i)
		switch c {
		case audit.ClassManaged, audit.ClassClaimed:
		case audit.ClassExternal:
			v.add(path, "EXTERNAL is always recorded", "leave it out")
		default:
			v.add(path, "this class cannot be chosen", "write MANAGED or CLAIMED")
		}
	}
	return v.list
}

const idFix = "use 1 to 63 of a-z, 0-9 and inner hyphens"

// ValidID reports whether s can be the id of an organization, site, connection, rule or account list: 1 to 63 characters of
// a-z, 0-9 and hyphens, none at an end.
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func validHostname(s string) bool {
	if len(s) == 0 || len(s) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !ValidID(label) {
			return false
		}
	}
	return true
}

// id checks an id and that it is not taken.
func (p *problems) id(path, id string, seen map[string]bool) {
	if !ValidID(id) {
		p.add(path+".id", "not an id", idFix)
	}
	if seen[id] {
		p.add(path+".id", "this id is there already", "give each its own id")
	}
	seen[id] = true
}

func (p *problems) text(path, s string) {
	if len(s) > MaxText {
		p.add(path, fmt.Sprintf("longer than %d bytes", MaxText), "shorten it")
	}
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) >= 0 {
		p.add(path, "has control characters", "remove them")
	}
}

func (p *problems) most(path string, n, most int) {
	if n > most {
		p.add(path, fmt.Sprintf("%d entries, at most %d are taken", n, most), "shorten the list")
	}
}

func (p *problems) duration(path string, d time.Duration) {
	if d < 0 || d > MaxDuration {
		p.add(path, "a duration is more than zero and at most 400 days", "write it as 12h or 7d, or leave it out")
	}
}
