package directory

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
	"github.com/postern-audit/postern/policy/policypb"
)

// Namer makes the keyed hashes that applying needs. naming.Namer is one.
type Namer interface {
	policy.Namer
	// ApplyKey names one administrative call and what it asked for.
	ApplyKey(caller, method, parent, requestID string, canonical []byte) policy.ApplyKey
	// AccountOwner and AddressOwner hash an account id, and an address's Key(), for all organizations together.
	AccountOwner(accountID string) policy.AccountKey
	AddressOwner(a policy.Address) policy.AccountKey
}

// Minter makes organization keys. seal.Keyring is one.
type Minter interface {
	// Mint makes a key that is not used yet; it counts once it is stored.
	Mint(organizationUID string) (audit.OrganizationKey, error)
	// SealWith seals a record that is stored in the same write as the minted key, and leaves no trace of the key here.
	SealWith(key audit.OrganizationKey, recordID string, p audit.Personal) (*audit.Sealed, error)
}

// Deps is what applying works with. Every field is needed unless it says otherwise.
type Deps struct {
	Directory policy.Directory
	Writer    policy.DirectoryWriter
	Namer     Namer
	Keys      Minter
	Owners    policy.AccountOwners
	Sealer    AccountSealer
	NewID     func() string // UUIDv7
	Now       func() time.Time
	// Metadata reads SAML metadata in documents. May be nil: then such documents are refused.
	Metadata document.MetadataReader
	// Region is where this process keeps the record; empty: nowhere in particular. No site is bound to another one.
	Region string
}

// ApplyInput is a document to apply.
type ApplyInput struct {
	Organization string // id
	Document     []byte
	Etag         string // of the version the change is based on; empty exactly when the organization does not exist
	RequestID    string
	ValidateOnly bool
	Reason       string         // recorded, sealed
	Force        bool           // apply it although it locks people out
	Admin        policy.Address // whose way in must not be lost; zero: nobody's in particular
}

// ApplyResult is what an apply did, or with ValidateOnly would do: commits then have no revision and no events.
type ApplyResult struct {
	Organization *policy.Organization // as it is now; nil when it does not exist
	Commits      []policy.Applied
	// Warnings are about the organization as it is now, or would be, with the places of the document.
	Warnings document.Problems
	// Changes are what would change, with ValidateOnly.
	Changes []Planned
}

const methodApply = "ApplyOrganization"

// Apply makes an organization match a document. The same request id with the same input carries on where an earlier call
// stopped, or returns its answer.
func Apply(ctx context.Context, d Deps, caller string, in ApplyInput) (ApplyResult, error) {
	if in.Organization == audit.SystemID {
		return ApplyResult{}, errs.New(errs.PermissionDenied, "ORGANIZATION_RESERVED",
			"the organization "+audit.SystemID+" belongs to the sidecar itself")
	}
	doc, problems := document.ParseWith(in.Document, d.Metadata)
	if err := problems.Err(); err != nil {
		return ApplyResult{}, err
	}
	if doc.ID != in.Organization {
		return ApplyResult{}, errs.Field("document", "ORGANIZATION_DIFFERS",
			"it is for organization "+doc.ID+"; apply it to that one, or change its first line")
	}
	a := &apply{d: d, caller: caller, in: in, doc: doc, now: d.Now(), method: methodApply, origin: audit.OriginDocument}
	a.plans = a.ofDocument
	if err := a.look(ctx); err != nil {
		return ApplyResult{}, err
	}
	if a.progress != nil && a.progress.Done {
		return ApplyResult{Organization: a.current, Commits: a.progress.Commits, Warnings: doc.Lint(a.current, a.now)}, nil
	}
	if err := a.version(); err != nil {
		return ApplyResult{}, err
	}
	if err := a.makePlan(ctx); err != nil {
		return ApplyResult{}, err
	}
	if err := a.reserve(ctx); err != nil {
		return ApplyResult{}, err
	}
	if err := a.unclaimed(ctx); err != nil {
		return ApplyResult{}, err
	}
	r, err := a.run(ctx)
	if err != nil {
		return ApplyResult{}, err
	}
	r.Warnings = doc.Lint(a.plan.Organization, a.now)
	return r, nil
}

// reserve takes the id of an organization that does not exist yet, once nothing speaks against creating it. Another call may
// have reserved it before, with a uid that the plan then rests on.
func (a *apply) reserve(ctx context.Context) error {
	if a.current != nil || a.in.ValidateOnly {
		return nil
	}
	uid, err := a.d.Writer.Reserve(ctx, a.in.Organization, a.uid)
	if err != nil || uid == a.uid {
		return err
	}
	a.uid = uid
	return a.makePlan(ctx)
}

// apply is one call.
type apply struct {
	d        Deps
	caller   string
	in       ApplyInput
	doc      *document.Document
	now      time.Time
	method   string
	origin   audit.Origin // of its events
	uid      string
	key      policy.ApplyKey
	current  *policy.Organization // nil while it does not exist
	progress *policy.Progress     // of an earlier call with this request id
	plans    func(ctx context.Context) (*document.Plan, error)
	plan     *document.Plan
	forced   []audit.Change // what the event of a change says that was forced, where no object's event can
}

// look finds the organization and how far this call came before.
func (a *apply) look(ctx context.Context) error {
	var err error
	switch a.current, err = find(ctx, a.d.Directory, a.in.Organization); {
	case err == nil:
		a.uid = a.current.UID
	case errs.KindOf(err) != errs.NotFound:
		return err
	default:
		a.uid = a.d.NewID()
	}
	if a.in.ValidateOnly {
		return nil
	}
	a.key = a.d.Namer.ApplyKey(a.caller, a.method, a.in.Organization, a.in.RequestID, a.in.canonical())
	if a.current == nil {
		return nil // no call came far enough to be carried on
	}
	a.progress, err = a.d.Writer.Progress(ctx, a.uid, a.key)
	return err
}

// version checks that the change is based on what stands: on the etag given, or on what this very call left behind.
func (a *apply) version() error {
	moved := errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization has changed since the version given; read it again")
	switch {
	case a.progress != nil:
		if a.current == nil || a.current.Stamp != a.progress.Stamp {
			return moved
		}
		return nil
	case a.current == nil && a.in.Etag != "":
		return errs.Field("etag", "ETAG_UNEXPECTED", "the organization does not exist: leave the etag out to create it")
	case a.current == nil:
		return nil
	case a.in.Etag == "":
		return errs.Field("etag", "ETAG_REQUIRED", "the organization exists: give the etag of the version the change is based on")
	}
	stamp, err := policypb.ParseEtag(a.in.Etag)
	if err != nil {
		return errs.Field("etag", "ETAG_INVALID", "an etag is what a read or a change answered: 32 lower-case hex digits")
	}
	if stamp != a.current.Stamp {
		return moved
	}
	return nil
}

// makePlan works out what is left to do, and refuses what locks people out or cannot be written.
func (a *apply) makePlan(ctx context.Context) error {
	var err error
	if a.plan, err = a.plans(ctx); err != nil {
		return err
	}
	if err := a.settings(); err != nil {
		return err
	}
	if err := a.guard(ctx); err != nil || !a.plan.WritePolicy {
		return err
	}
	// Before the first commit: additions must not stay behind for a policy that cannot be written.
	return fits(a.plan.Organization)
}

// ofDocument is what the document changes.
func (a *apply) ofDocument(ctx context.Context) (*document.Plan, error) {
	now := document.Current{Organization: a.current, UID: a.uid}
	var err error
	if a.current != nil {
		if a.doc.Domains != nil {
			if now.Domains, err = a.domains(ctx); err != nil {
				return nil, err
			}
		}
		if now.Claims, err = a.claims(ctx); err != nil {
			return nil, err
		}
	}
	plan, problems := document.PlanOf(a.doc, now, a.d.Namer, a.d.NewID)
	return plan, problems.Err()
}

// guard refuses a plan that locks people out. One that is forced says so on the event of the policy, else of the first object, else of the
// first domains that go.
func (a *apply) guard(ctx context.Context) error {
	t := Threat{Before: a.current, After: a.plan.Organization, AddDomains: a.plan.AddDomains, Admin: a.in.Admin, Force: a.in.Force}
	for _, r := range a.plan.DropDomains {
		t.DropDomains = append(t.DropDomains, r.Domain)
	}
	for _, c := range a.plan.AddClaims {
		t.AddClaims = append(t.AddClaims, c.Record)
	}
	forced, err := Guard{Writer: a.d.Writer, Namer: a.d.Namer, Now: func() time.Time { return a.now }}.Check(ctx, t)
	if err != nil || len(forced) == 0 {
		return err
	}
	if len(a.plan.Objects) == 0 {
		a.forced = forced
		return nil
	}
	i := slices.IndexFunc(a.plan.Objects, func(o document.ObjectChange) bool { return o.Type == audit.TypePolicyUpdated })
	o := &a.plan.Objects[max(i, 0)]
	o.Changes = append(forced, o.Changes...)
	return nil
}

// fits refuses a policy record that cannot be written.
func fits(o *policy.Organization) error {
	if n := policypb.RecordSize(o); n > policypb.MaxRecord {
		return errs.Newf(errs.Invalid, "POLICY_TOO_LARGE",
			"sites, connections and policy together take %d bytes, at most %d are kept: shorten texts or use fewer, wider rules", n, policypb.MaxRecord)
	}
	return nil
}

const pageSize = 1000

func (a *apply) domains(ctx context.Context) ([]policy.DomainRecord, error) {
	var all []policy.DomainRecord
	var after policy.Domain
	for {
		page, err := a.d.Directory.Domains(ctx, a.uid, after, pageSize)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Domains...)
		if len(page.Domains) < pageSize {
			return all, nil
		}
		after = page.Domains[len(page.Domains)-1].Domain
	}
}

func (a *apply) claims(ctx context.Context) (map[policy.AccountKey]policy.ClaimRecord, error) {
	list := a.doc.ClaimList(a.uid, a.d.Namer)
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // nothing is asked about
	}
	keys := make([]policy.AccountKey, len(list))
	for i, c := range list {
		keys[i] = c.Record.Key
	}
	return a.d.Writer.ListsClaims(ctx, a.uid, keys)
}

// canonical is the input as length-prefixed fields in field-number order, absent ones left out.
func (in *ApplyInput) canonical() []byte {
	var b []byte
	add := func(number byte, v string) {
		if v != "" {
			b = append(binary.AppendUvarint(append(b, number), uint64(len(v))), v...)
		}
	}
	add(1, in.Organization)
	add(2, string(in.Document))
	add(3, in.Etag)
	add(6, in.Reason)
	if in.Force {
		add(7, "\x01")
	}
	if !in.Admin.IsZero() {
		add(8, in.Admin.Key())
	}
	return b
}
