package directory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/domaincheck"
)

// DomainChecker looks at the zones of domains. resolve.Resolver is one.
type DomainChecker interface {
	// Check asks for a challenge's record and says what the answers come to. It ends with ctx, and within seconds.
	Check(ctx context.Context, c *policy.DomainChallenge, now time.Time) domaincheck.Finding
}

// Domains are the use cases around the domains of organizations. Every field is needed.
type Domains struct {
	Directory  policy.Directory
	Writer     policy.DirectoryWriter
	Challenges policy.Challenges
	Owners     policy.DomainOwners
	Checker    DomainChecker
	Namer      Namer
	NewID      func() string // UUIDv7
	NewToken   func() policy.ChallengeToken
	Jitter     func() float64 // 0 to 1
	Now        func() time.Time
	// Checked hears of every look that was written down, and of the type of its event, empty when it changed nothing. May be nil.
	Checked func(f domaincheck.Finding, event audit.Type)
}

// Domain is a domain as organizations see it: the record that counts, the verification behind it, or both.
type Domain struct {
	OrganizationID  string
	OrganizationUID string
	Record          *policy.DomainRecord    // nil: it counts for nothing
	Challenge       *policy.DomainChallenge // nil: a document lists it
}

// Etag is the version of a domain: it moves with every change of state and with nothing else. Empty without a challenge.
func (d *Domain) Etag() string {
	c := d.Challenge
	if c == nil {
		return ""
	}
	b := binary.BigEndian.AppendUint64(append(c.Token[:], byte(c.State)), uint64(c.Revision)) //nolint:gosec // counts up from 1
	sum := sha256.Sum256(append(b, d.OrganizationUID+"/"+c.Domain.String()...))
	return hex.EncodeToString(sum[:16])
}

// Methods, as they stand in the keys of calls.
const (
	methodCreateDomain  = "CreateDomain"
	methodUpdateDomain  = "UpdateDomain"
	methodVerifyDomain  = "VerifyDomain"
	methodConfirmDomain = "ConfirmDomainRemoval"
	methodDeleteDomain  = "DeleteDomain"
)

// NewDomain is a domain to verify.
type NewDomain struct {
	Organization string // id
	Domain       policy.Domain
	Subdomains   bool
	LapseAfter   time.Duration // zero: never
	RequestID    string
	Reason       string
}

// DomainInput names a domain to do something with.
type DomainInput struct {
	Organization string // id
	Domain       policy.Domain
	RequestID    string
	Etag         string // empty: whatever there is
	Reason       string
	Admin        policy.Address // of who makes the change; zero: nobody in particular
	Force        bool           // make it although it locks people out
}

func notThere() error {
	return errs.New(errs.NotFound, "DOMAIN_NOT_FOUND", "there is no such domain in this organization")
}

func changing() error {
	return errs.New(errs.Conflict, "ETAG_MISMATCH", "the organization keeps changing; try again")
}

// Get returns one domain.
func (d *Domains) Get(ctx context.Context, organization string, name policy.Domain) (Domain, error) {
	o, err := find(ctx, d.Directory, organization)
	if err != nil {
		return Domain{}, err
	}
	return d.get(ctx, organization, o.UID, name)
}

func (d *Domains) get(ctx context.Context, organization, uid string, name policy.Domain) (Domain, error) {
	out := Domain{OrganizationID: organization, OrganizationUID: uid}
	records, err := d.Writer.ListsDomains(ctx, uid, []policy.Domain{name})
	if err != nil {
		return Domain{}, err
	}
	if r, ok := records[name]; ok {
		out.Record = &r
	}
	if out.Challenge, err = d.Challenges.Challenge(ctx, uid, name); err != nil {
		return Domain{}, err
	}
	if out.Record == nil && out.Challenge == nil {
		return Domain{}, notThere()
	}
	return out, nil
}

// Recheck looks at a domain that is due. What moved meanwhile, or is due no more, is left alone.
func (d *Domains) Recheck(ctx context.Context, due policy.DueCheck) error {
	o, err := d.Directory.Organization(ctx, due.OrganizationUID)
	if err != nil {
		return err
	}
	asked, err := d.Challenges.Challenge(ctx, o.UID, due.Domain)
	if err != nil || asked == nil || asked.Due.IsZero() || asked.Due.After(d.Now()) {
		return err
	}
	call := domainCall{d: d, caller: callerProcess, organization: o.ID, domain: due.Domain}
	_, err = call.look(ctx, o.UID, asked)
	if errs.Is(err, policy.ReasonDomainTaken) || errs.Is(err, "DOMAIN_NOT_FOUND") {
		return nil // written down, or gone
	}
	return err
}

// callerProcess is who changes what nobody asked for.
const callerProcess = "process"

// List returns up to limit domains of an organization after the given one, in order.
func (d *Domains) List(ctx context.Context, organization string, after policy.Domain, limit int) ([]Domain, error) {
	o, err := find(ctx, d.Directory, organization)
	if err != nil {
		return nil, err
	}
	uid := o.UID
	page, err := d.Directory.Domains(ctx, uid, after, limit)
	if err != nil {
		return nil, err
	}
	challenges, err := d.Challenges.Challenges(ctx, uid, after, limit)
	if err != nil {
		return nil, err
	}
	var out []Domain
	records := page.Domains
	for len(out) < limit && len(records)+len(challenges) > 0 {
		next := Domain{OrganizationID: organization, OrganizationUID: uid}
		order := compare(records, challenges)
		if order <= 0 {
			next.Record, records = &records[0], records[1:]
		}
		if order >= 0 {
			next.Challenge, challenges = &challenges[0], challenges[1:]
		}
		out = append(out, next)
	}
	return out, nil
}

// compare says which list is ahead: below zero the records, above the challenges, zero when both begin with one domain.
func compare(records []policy.DomainRecord, challenges []policy.DomainChallenge) int {
	switch {
	case len(challenges) == 0:
		return -1
	case len(records) == 0:
		return 1
	case records[0].Domain.String() < challenges[0].Domain.String():
		return -1
	case records[0].Domain == challenges[0].Domain:
		return 0
	}
	return 1
}

// Create begins the verification of a domain.
func (d *Domains) Create(ctx context.Context, caller string, in NewDomain) (Domain, error) {
	token := d.NewToken()
	flags := byte(0)
	if in.Subdomains {
		flags = 1
	}
	canonical := fields(in.Domain.String(), string([]byte{flags}), in.LapseAfter.String(), in.Reason)
	call := domainCall{d: d, caller: caller, organization: in.Organization, domain: in.Domain, reason: in.Reason,
		key: d.Namer.ApplyKey(caller, methodCreateDomain, in.Organization, in.RequestID, canonical)}
	return call.run(ctx, func(ctx context.Context, o *policy.Organization, now Domain) (*policy.Change, error) {
		if now.Record != nil || now.Challenge != nil {
			return nil, errs.New(errs.AlreadyExists, "DOMAIN_EXISTS", "the organization has this domain already")
		}
		c, err := domaincheck.New(in.Domain, in.Subdomains, token, in.LapseAfter, d.Now())
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the core
		}
		return call.change(o, nil, &c, audit.TypeDomainCreated, nil), nil
	})
}

// Verify looks at a domain's zone now and does what follows. That the record is not there is no error.
func (d *Domains) Verify(ctx context.Context, caller string, in DomainInput) (Domain, error) {
	call := domainCall{d: d, caller: caller, organization: in.Organization, domain: in.Domain,
		key: d.Namer.ApplyKey(caller, methodVerifyDomain, in.Organization, in.RequestID, fields(in.Domain.String()))}
	o, err := find(ctx, d.Directory, in.Organization)
	if err != nil {
		return Domain{}, err
	}
	uid := o.UID
	now, err := d.get(ctx, in.Organization, uid, in.Domain)
	if err != nil {
		return Domain{}, err
	}
	if p, err := d.Writer.Progress(ctx, uid, call.key); err != nil || p != nil {
		return now, err
	}
	if now.Challenge == nil || now.Record != nil && now.Record.Origin != audit.OriginAPI {
		return Domain{}, byOperator()
	}
	return call.look(ctx, uid, now.Challenge)
}

func byOperator() error {
	return errs.New(errs.FailedPrecondition, "DOMAIN_BY_OPERATOR", "a document lists this domain: change it there")
}

// ConfirmRemoval ends a domain that fails.
func (d *Domains) ConfirmRemoval(ctx context.Context, caller string, in DomainInput) (Domain, error) {
	call := d.call(caller, methodConfirmDomain, in)
	out, err := call.run(ctx, func(ctx context.Context, o *policy.Organization, now Domain) (*policy.Change, error) {
		if err := call.based(&now, in.Etag); err != nil {
			return nil, err
		}
		after, err := domaincheck.Confirm(*now.Challenge)
		if err != nil {
			return nil, err //nolint:wrapcheck // an errs.Error of the core
		}
		forced, err := call.guard(ctx, o, &now, nil)
		if err != nil {
			return nil, err
		}
		return call.change(o, now.Challenge, &after, audit.TypeDomainLapsed, append([]audit.Change{{Field: "confirmed", After: "true"}}, forced...)), nil
	})
	if err != nil {
		return out, err
	}
	return out, d.release(ctx, in.Domain, out.OrganizationUID)
}

// Delete removes a domain with its challenge, whatever its state.
func (d *Domains) Delete(ctx context.Context, caller string, in DomainInput) error {
	call := d.call(caller, methodDeleteDomain, in)
	_, err := call.run(ctx, func(ctx context.Context, o *policy.Organization, now Domain) (*policy.Change, error) {
		if err := call.based(&now, in.Etag); err != nil {
			return nil, err
		}
		forced, err := call.guard(ctx, o, &now, nil)
		if err != nil {
			return nil, err
		}
		return call.change(o, now.Challenge, nil, audit.TypeDomainRemoved, forced), nil
	})
	if err != nil && !errs.Is(err, "DOMAIN_NOT_FOUND") {
		return err
	}
	uid, errResolve := d.Directory.Resolve(ctx, in.Organization)
	if errResolve != nil {
		return errResolve
	}
	if errRelease := d.release(ctx, in.Domain, uid); errRelease != nil {
		return errRelease
	}
	return err
}

func (d *Domains) call(caller, method string, in DomainInput) domainCall {
	return domainCall{d: d, caller: caller, organization: in.Organization, domain: in.Domain, reason: in.Reason, admin: in.Admin, force: in.Force,
		key: d.Namer.ApplyKey(caller, method, in.Organization, in.RequestID, fields(in.canonical()...))}
}

func (in *DomainInput) canonical() []string {
	return []string{in.Domain.String(), in.Etag, in.Reason, in.Admin.String(), strconv.FormatBool(in.Force)}
}

// fields are texts, length-prefixed.
func fields(all ...string) []byte {
	var b []byte
	for _, s := range all {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}
