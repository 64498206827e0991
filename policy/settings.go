package policy

import (
	"slices"
	"strconv"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// ReasonRegionMismatch refuses what belongs into another region than that of the process.
const ReasonRegionMismatch = "REGION_MISMATCH"

// MaxRegion bounds the name of a region, in bytes.
const MaxRegion = 63

// Retention says how long an organization's record is kept. Zero days are the standard ones.
type Retention struct {
	audit.Retention
	HoldReason string // why it is held, in the clear: it goes with the hold
}

// Days returns the retention in force, with days for every category.
func (r *Retention) Days() audit.Retention {
	out := r.Retention
	for _, days := range []*int{&out.SignIn, &out.Administration, &out.Activity} {
		if *days == 0 {
			*days = audit.DefaultRetention
		}
	}
	return out
}

// Loses reports whether a change from r to next lets events go that r keeps: fewer days, or a hold that ends.
func (r *Retention) Loses(next *Retention) bool {
	was, is := r.Days(), next.Days()
	return was.Hold && !is.Hold || is.SignIn < was.SignIn || is.Administration < was.Administration || is.Activity < was.Activity
}

// PrivacyAt returns what the record keeps of people at a site of the organization, by its uid; elsewhere, and at a site that is
// not there, what the organization says.
func (o *Organization) PrivacyAt(siteUID string) audit.Privacy {
	if s := o.siteByUID(siteUID); s != nil {
		return s.Privacy.Over(o.Privacy)
	}
	return o.Privacy
}

func (o *Organization) siteByUID(uid string) *Site {
	if uid == "" {
		return nil
	}
	if i := slices.IndexFunc(o.Sites, func(s Site) bool { return s.UID == uid }); i >= 0 {
		return &o.Sites[i]
	}
	return nil
}

// Marks writes on an event of the organization what the organization says of its events: that they are made for trying things out,
// what they keep of people, and the region of the site they name. What an event says already only becomes stricter.
func (o *Organization) Marks(e *audit.Event) {
	e.Sandbox = e.Sandbox || o.Sandbox
	e.Privacy = e.Privacy.With(o.PrivacyAt(e.SiteUID))
	if s := o.siteByUID(e.SiteUID); s != nil && e.Region == "" {
		e.Region = s.Region
	}
}

// InRegion answers REGION_MISMATCH unless the record of the site may be kept in the region.
func (s *Site) InRegion(region string) error {
	if s.Region == "" || s.Region == region {
		return nil
	}
	text := "this process keeps its record in region " + region
	if region == "" {
		text = "this process keeps its record in no region"
	}
	return errs.New(errs.FailedPrecondition, ReasonRegionMismatch, "site "+s.ID+" is bound to region "+s.Region+", and "+text)
}

// validRegion reports whether a text is the name of a region: 1 to MaxRegion of a-z, 0-9 and '-', beginning with a letter.
func validRegion(s string) bool {
	if s == "" || len(s) > MaxRegion || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

const regionForm = "1 to 63 of a-z, 0-9 and '-', beginning with a letter"

func (o *Organization) validateRetention(p *problems) {
	r := &o.Retention
	for _, days := range []struct {
		name string
		n    int
	}{{"sign_in_days", r.SignIn}, {"administration_days", r.Administration}, {"activity_days", r.Activity}} {
		if days.n < 0 || days.n > audit.MaxRetention {
			p.add("retention."+days.name, "not a number of days to keep a record for", "write "+strconv.Itoa(audit.MinRetention)+" to "+strconv.Itoa(audit.MaxRetention))
		}
	}
	p.text("retention.hold_reason", r.HoldReason)
	if r.HoldReason != "" && !r.Hold {
		p.add("retention.hold_reason", "there is no hold it could be the reason of", "set hold, or leave the reason out")
	}
}
