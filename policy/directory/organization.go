package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// Resources are the use cases around organizations, their sites and their connections, one by one. Every field is needed.
type Resources struct {
	Deps
	Deletions policy.Deletions
	Accounts  *Accounts
	Domains   *Domains
	// KeyArchive and UnderWay are for destroying keys.
	KeyArchive KeyArchive
	UnderWay   UnderWay
}

// Methods, as they stand in the keys of calls.
const (
	methodCreateOrganization = "CreateOrganization"
	methodUpdateOrganization = "UpdateOrganization"
	methodDeleteOrganization = "DeleteOrganization"
	methodCreateSite         = "CreateSite"
	methodUpdateSite         = "UpdateSite"
	methodDeleteSite         = "DeleteSite"
	methodCreateConnection   = "CreateConnection"
	methodUpdateConnection   = "UpdateConnection"
	methodDeleteConnection   = "DeleteConnection"
)

// ResourceChange is what every change of a resource says.
type ResourceChange struct {
	Organization string // id
	Etag         string // version of the organization the change is based on; empty: whatever there is
	RequestID    string
	ValidateOnly bool
	Reason       string         // recorded, sealed
	Force        bool           // make it although it locks people out
	Admin        policy.Address // whose way in must not be lost; zero: nobody's in particular
}

// edit is the call that makes such a change; what is asked for beside it is its signature.
func (r *Resources) edit(caller, method string, in ResourceChange, signature []byte) edit {
	return edit{d: r.Deps, method: method, caller: caller, in: ApplyInput{Organization: in.Organization, Document: signature, Etag: in.Etag,
		RequestID: in.RequestID, ValidateOnly: in.ValidateOnly, Reason: in.Reason, Force: in.Force, Admin: in.Admin}}
}

// Fields of an organization that a change may name.
const (
	FieldDisplayName = "display_name"
	FieldDisabled    = "disabled"
	FieldSandbox     = "sandbox"
)

// OrganizationInput is an organization as it is to be.
type OrganizationInput struct {
	ResourceChange
	DisplayName string
	Disabled    bool
	Sandbox     bool
	Retention   policy.Retention
	Privacy     audit.Privacy
	Fields      []string // of an update: what of the above counts
}

func (in *OrganizationInput) signature() []byte {
	return fields(append([]string{in.DisplayName, written(in.Disabled), written(in.Sandbox), retained(&in.Retention), hidden(in.Privacy)}, in.Fields...)...)
}

func written(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// CreateOrganization makes an organization without sites, domains and policy.
func (r *Resources) CreateOrganization(ctx context.Context, caller string, in OrganizationInput) (*policy.Organization, error) {
	e := r.edit(caller, methodCreateOrganization, in.ResourceChange, in.signature())
	e.creates = true
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		plan, problems := document.PlanChange(nil, &policy.Organization{ID: in.Organization, UID: a.uid, DisplayName: in.DisplayName,
			Disabled: in.Disabled, Sandbox: in.Sandbox, Retention: in.Retention, Privacy: in.Privacy})
		return plan, refused(problems, names{"": "organization", "organization": "organization_id"})
	}
	return r.made(e.run(ctx))(&e)
}

// UpdateOrganization changes what of an organization the fields name.
func (r *Resources) UpdateOrganization(ctx context.Context, caller string, in OrganizationInput) (*policy.Organization, error) {
	e := r.edit(caller, methodUpdateOrganization, in.ResourceChange, in.signature())
	e.plan = func(_ context.Context, a *apply) (*document.Plan, error) {
		next := *a.current
		for _, f := range in.Fields {
			switch f {
			case FieldDisplayName:
				next.DisplayName = in.DisplayName
			case FieldDisabled:
				next.Disabled = in.Disabled
			case FieldSandbox:
				next.Sandbox = in.Sandbox
			default:
				if !setRetention(&next.Retention, &in.Retention, f) {
					setPrivacy(&next.Privacy, in.Privacy, f)
				}
			}
		}
		return changed(a.current, &next, names{"": "organization"})
	}
	return r.made(e.run(ctx))(&e)
}

// made is the organization as it is after a call, or would be.
func (r *Resources) made(a *apply, done ApplyResult, err error) func(e *edit) (*policy.Organization, error) {
	return func(e *edit) (*policy.Organization, error) {
		if err != nil {
			return nil, err
		}
		return e.shown(a, done), nil
	}
}

// changed is the plan of a change of a policy record that can be read.
func changed(now, next *policy.Organization, as names) (*document.Plan, error) {
	if now.Unreadable {
		return nil, errs.New(errs.FailedPrecondition, ReasonUnreadable, "the stored policy cannot be read: write it anew first")
	}
	plan, problems := document.PlanChange(now, next)
	return plan, refused(problems, as)
}

// removed is changed for something that goes: what the policy says of it is why it cannot, which is inUse.
func removed(now, next *policy.Organization, as names, inUse string) (*document.Plan, error) {
	_, problems := document.PlanChange(now, next)
	for _, p := range problems {
		if !p.Warning && strings.HasPrefix(p.Path, "policy.") && !now.Unreadable {
			return nil, errs.New(errs.FailedPrecondition, inUse, "the policy names it: "+p.Path+". Change the policy first")
		}
	}
	return changed(now, next, as)
}

// names says what the fields of a document are called in a request: by the beginnings of their paths, the longest counts. The empty one
// is what stands in front of fields of the organization itself.
type names map[string]string

func (n names) of(path string) string {
	best := ""
	for from := range n {
		if strings.HasPrefix(path, from) && len(from) > len(best) {
			best = from
		}
	}
	rest := path[len(best):]
	if best == "" && n[""] != "" {
		return n[""] + "." + rest
	}
	return n[best] + rest
}

// refused is the error of a change whose outcome breaks the rules that documents are held against; nil when it breaks none.
func refused(problems document.Problems, as names) error {
	problems = slices.DeleteFunc(slices.Clone(problems), func(p document.Problem) bool { return p.Warning })
	if len(problems) == 0 {
		return nil
	}
	e := &errs.Error{Kind: errs.Invalid, Reason: "FIELD_INVALID"}
	for _, p := range problems[:min(len(problems), document.MaxProblems)] {
		text := p.Text
		if p.Fix != "" {
			text += "; " + p.Fix
		}
		e.Violations = append(e.Violations, errs.Violation{Field: as.of(p.Path), Description: text})
	}
	e.Public = e.Violations[0].Field + ": " + e.Violations[0].Description
	return e
}
