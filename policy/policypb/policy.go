package policypb

import (
	"net/netip"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// What an organization chooses for an unreadable policy: Policy.on_unreadable.
const (
	OnUnreadableDeny  = "DENY"
	OnUnreadableAllow = "ALLOW"
)

// FromPolicy converts a policy and the organization's choice for an unreadable one.
func FromPolicy(p *policy.Policy, allowUnreadable bool) *posternv1.Policy {
	m := &posternv1.Policy{OnUnreadable: OnUnreadableDeny, DefaultDemands: FromDemands(&p.Default), Stops: fromStops(&p.Stops)}
	if allowUnreadable {
		m.OnUnreadable = OnUnreadableAllow
	}
	for i := range p.Rules {
		m.Rules = append(m.Rules, fromRule(&p.Rules[i]))
	}
	for i := range p.AccountLists {
		m.AccountLists = append(m.AccountLists, fromList(&p.AccountLists[i]))
	}
	for _, c := range p.RecordClasses {
		m.RecordClasses = append(m.RecordClasses, posternv1.Class(c))
	}
	return m
}

// FromPolicyOf converts the policy of an organization with all that goes with it: the choice for an unreadable one, the bound
// before which proofs count no more, and the end of a suspension. It is what is stored, and what an administrator is shown.
func FromPolicyOf(o *policy.Organization) *posternv1.Policy {
	m := FromPolicy(&o.Policy, o.AllowUnreadable)
	m.ProofsNotBefore, m.SuspendedUntil = fromTime(o.ProofsNotBefore), fromTime(o.SuspendedUntil)
	return m
}

// ToProofsNotBefore is the organization's bound for proofs. It can be read where the rest of a policy cannot.
func ToProofsNotBefore(m *posternv1.Policy) (time.Time, error) {
	if !valid(m.GetProofsNotBefore()) {
		return time.Time{}, unreadable("a bad time")
	}
	return toTime(m.GetProofsNotBefore()), nil
}

// ToSuspendedUntil is when a suspension of the policy ends.
func ToSuspendedUntil(m *posternv1.Policy) (time.Time, error) {
	if !valid(m.GetSuspendedUntil()) {
		return time.Time{}, unreadable("a bad time")
	}
	return toTime(m.GetSuspendedUntil()), nil
}

// ToPolicy is the reverse of FromPolicy.
func ToPolicy(m *posternv1.Policy) (p policy.Policy, allowUnreadable bool, err error) {
	switch m.GetOnUnreadable() {
	case "", OnUnreadableDeny:
	case OnUnreadableAllow:
		allowUnreadable = true
	default:
		return p, false, unreadable("on_unreadable")
	}
	for _, r := range m.GetRules() {
		rule, err := toRule(r)
		if err != nil {
			return policy.Policy{}, allowUnreadable, err
		}
		p.Rules = append(p.Rules, rule)
	}
	if p.Default, err = ToDemands(m.GetDefaultDemands()); err != nil {
		return policy.Policy{}, allowUnreadable, err
	}
	if p.Stops, err = toStops(m.GetStops()); err != nil {
		return policy.Policy{}, allowUnreadable, err
	}
	for _, l := range m.GetAccountLists() {
		list, err := toList(l)
		if err != nil {
			return policy.Policy{}, allowUnreadable, err
		}
		p.AccountLists = append(p.AccountLists, list)
	}
	for _, c := range m.GetRecordClasses() {
		if c < posternv1.Class_CLASS_EXTERNAL || c > posternv1.Class_CLASS_CLAIMED {
			return policy.Policy{}, allowUnreadable, unreadable("a class to record")
		}
		p.RecordClasses = append(p.RecordClasses, audit.Class(c))
	}
	return p, allowUnreadable, nil
}

func fromRule(r *policy.Rule) *posternv1.Rule {
	return &posternv1.Rule{Id: r.ID, Description: r.Description, Match: fromMatch(&r.Match), Demands: FromDemands(&r.Demands),
		Mode: posternv1.Mode(r.Mode), EnforceFrom: fromTime(r.EnforceFrom), ExpiresAt: fromTime(r.ExpiresAt),
		EnrolmentGrace: fromDuration(r.EnrolmentGrace), Message: r.Message, HelpUrl: r.HelpURL, Origin: fromOrigin(r.Origin)}
}

func toRule(m *posternv1.Rule) (policy.Rule, error) {
	r := policy.Rule{ID: m.GetId(), Description: m.GetDescription(), EnforceFrom: toTime(m.GetEnforceFrom()),
		ExpiresAt: toTime(m.GetExpiresAt()), Message: m.GetMessage(), HelpURL: m.GetHelpUrl(), Origin: toOrigin(m.GetOrigin())}
	switch m.GetMode() {
	case posternv1.Mode_MODE_ENFORCE:
		r.Mode = policy.ModeEnforce
	case posternv1.Mode_MODE_REPORT_ONLY:
		r.Mode = policy.ModeReportOnly
	case posternv1.Mode_MODE_UNSPECIFIED:
		return r, unreadable("a rule without mode")
	default:
		return r, unreadable("a rule of unknown mode")
	}
	if r.ID == "" || !valid(m.GetEnforceFrom()) || !valid(m.GetExpiresAt()) {
		return r, unreadable("a rule without id or with a bad time")
	}
	var err error
	if r.EnrolmentGrace, err = toDuration(m.GetEnrolmentGrace()); err != nil {
		return r, err
	}
	if r.Match, err = toMatch(m.GetMatch()); err != nil {
		return r, err
	}
	r.Demands, err = ToDemands(m.GetDemands())
	return r, err
}

func fromMatch(m *policy.Match) *posternv1.Match {
	out := &posternv1.Match{Domains: fromDomains(m.Domains), Accounts: fromKeys(m.Accounts), AccountLists: m.AccountLists,
		Sites: m.Sites, Networks: fromNetworks(m.Networks), Connections: m.Connections}
	for _, k := range m.Kinds {
		out.Kinds = append(out.Kinds, posternv1.SubjectKind(k))
	}
	return out
}

func toMatch(m *posternv1.Match) (policy.Match, error) {
	out := policy.Match{AccountLists: m.GetAccountLists(), Sites: m.GetSites(), Connections: m.GetConnections()}
	var err error
	if out.Domains, err = toDomains(m.GetDomains()); err != nil {
		return out, err
	}
	if out.Accounts, err = toKeys(m.GetAccounts()); err != nil {
		return out, err
	}
	if out.Networks, err = toNetworks(m.GetNetworks()); err != nil {
		return out, err
	}
	for _, k := range m.GetKinds() {
		if k < posternv1.SubjectKind_SUBJECT_KIND_PERSON || k > posternv1.SubjectKind_SUBJECT_KIND_APP {
			return out, unreadable("a kind of actor")
		}
		out.Kinds = append(out.Kinds, audit.SubjectKind(k))
	}
	return out, nil
}

func fromStops(s *policy.Stops) *posternv1.Stops {
	return &posternv1.Stops{External: s.External, Domains: fromDomains(s.Domains), Networks: fromNetworks(s.Networks)}
}

func toStops(m *posternv1.Stops) (policy.Stops, error) {
	domains, err := toDomains(m.GetDomains())
	if err != nil {
		return policy.Stops{}, err
	}
	networks, err := toNetworks(m.GetNetworks())
	return policy.Stops{External: m.GetExternal(), Domains: domains, Networks: networks}, err
}

func fromDomains(list []policy.DomainMatch) []*posternv1.DomainMatch {
	var out []*posternv1.DomainMatch
	for _, d := range list {
		out = append(out, &posternv1.DomainMatch{Domain: d.Domain.String(), IncludeSubdomains: d.Subdomains})
	}
	return out
}

func toDomains(list []*posternv1.DomainMatch) ([]policy.DomainMatch, error) {
	var out []policy.DomainMatch
	for _, m := range list {
		d, err := toDomain(m.GetDomain())
		if err != nil {
			return nil, err
		}
		out = append(out, policy.DomainMatch{Domain: d, Subdomains: m.GetIncludeSubdomains()})
	}
	return out, nil
}

func toDomain(s string) (policy.Domain, error) {
	d, err := policy.ParseDomain(s)
	if err != nil || d.String() != s {
		return policy.Domain{}, unreadable("a domain that is not in canonical form")
	}
	return d, nil
}

func fromKeys(keys []policy.AccountKey) [][]byte {
	var out [][]byte
	for _, k := range keys {
		out = append(out, k[:])
	}
	return out
}

func toKeys(list [][]byte) ([]policy.AccountKey, error) {
	var out []policy.AccountKey
	for _, b := range list {
		if len(b) != len(policy.AccountKey{}) {
			return nil, unreadable("an account key of another length")
		}
		out = append(out, policy.AccountKey(b))
	}
	return out, nil
}

func fromNetworks(list []netip.Prefix) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return out
}

func toNetworks(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, unreadable("a network")
		}
		out = append(out, p)
	}
	return out, nil
}

func fromDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

// toDuration refuses what Validate refuses: a duration that is there is more than zero.
func toDuration(d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if !d.IsValid() || d.AsDuration() <= 0 {
		return 0, unreadable("a duration that is not more than zero")
	}
	return d.AsDuration(), nil
}

func valid(t *timestamppb.Timestamp) bool { return t == nil || t.IsValid() }
