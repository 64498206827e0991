package server

import (
	"context"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// subject is the one person asked about, with what its records are found by; false when there is none.
func (e *emptiness) subject() (policy.Subject, policy.LookupKeys, bool) {
	var s policy.Subject
	switch {
	case e.account != "":
		s.AccountID, s.AccountKey = e.account, e.Namer.AccountKey(e.organizationUID, e.account)
	case e.email != "":
		address, err := policy.ParseUsableAddress(e.email)
		if err != nil {
			return s, policy.LookupKeys{}, false
		}
		s.Address, s.EmailVerified, s.AddressKey = address, true, e.Namer.AddressKey(e.organizationUID, address)
	default:
		return s, policy.LookupKeys{}, false
	}
	return s, policy.LookupKeys{Account: s.AccountKey, Address: s.AddressKey, Domain: s.Address.Domain()}, true
}

// classNow says who the person is to the organization.
func (e *emptiness) classNow(ctx context.Context) error {
	subject, keys, ok := e.subject()
	if !ok || e.present == nil {
		return nil
	}
	read, err := e.Records.Read(ctx, authflow.Read{OrganizationUID: e.organizationUID, Organization: true, Lookups: []policy.LookupKeys{keys}})
	if err != nil {
		return err //nolint:wrapcheck // an errs.Error of the store
	}
	if read.Organization == nil || len(read.Records) != 1 {
		return nil
	}
	e.out.Classes = []*posternv1.ClassThen{classified(read.Organization, subject, read.Records[0])}
	return nil
}

// classes says who the person was at both ends of the time asked about, in front of who it is now.
func (e *emptiness) classes(ctx context.Context) {
	subject, keys, ok := e.subject()
	if !ok || e.present == nil {
		return
	}
	var then []*posternv1.ClassThen
	for i, at := range []time.Time{e.start, e.then} {
		if at.IsZero() || !at.Before(e.now) || i == 1 && at.Equal(e.start) {
			continue
		}
		c := e.classAt(ctx, at, subject, keys)
		c.Time = convert.Timestamp(at)
		then = append(then, c)
	}
	e.out.Classes = slices.Concat(then, e.out.GetClasses())
}

func (e *emptiness) classAt(ctx context.Context, at time.Time, subject policy.Subject, keys policy.LookupKeys) *posternv1.ClassThen {
	m, err := e.Past.At(ctx, e.organizationUID, at)
	if err == nil {
		var records policy.Records
		if records, err = e.Past.Records(ctx, m, keys); err == nil {
			return classified(m.Organization, subject, records)
		}
	}
	for _, reason := range []string{audit.HistoryUnknown, audit.HistoryNotArchived} {
		if errs.Is(err, reason) {
			return &posternv1.ClassThen{Unknown: reason}
		}
	}
	return &posternv1.ClassThen{Unknown: "UNAVAILABLE"}
}

func classified(o *policy.Organization, subject policy.Subject, records policy.Records) *posternv1.ClassThen {
	class, b, _ := policy.Classify(o, nil, subject, records)
	return &posternv1.ClassThen{Class: posternv1.Class(class), Basis: &posternv1.ClassBasis{
		By: b.By, Domain: b.Domain, VerifiedBy: b.VerifiedBy, Revision: b.Revision, Stale: b.Stale,
	}}
}
