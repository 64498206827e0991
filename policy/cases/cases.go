package cases

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// Directory is what a document makes of an organization that did not exist: what a sidecar would read for a decision.
type Directory struct {
	org     *policy.Organization
	domains []policy.DomainRecord
	claims  map[policy.AccountKey]policy.ClaimRecord
}

// uid stands for the organization's uid.
const uid = "offline"

// New applies a document to nothing. With problems that are not warnings the directory is nil. Accounts that the document names by
// account_keys are nobody here: their hashes are those of an installation.
func New(doc *document.Document) (*Directory, document.Problems) {
	minted := 0
	plan, problems := document.PlanOf(doc, document.Current{UID: uid}, namer{}, func() string {
		minted++
		return "offline-" + strconv.Itoa(minted)
	})
	if plan == nil {
		return nil, problems
	}
	d := &Directory{org: plan.Organization, domains: plan.AddDomains, claims: map[policy.AccountKey]policy.ClaimRecord{}}
	for _, c := range plan.AddClaims {
		d.claims[c.Record.Key] = c.Record
	}
	return d, problems
}

// Organization is the organization that the document makes. It is shared: never change it.
func (d *Directory) Organization() *policy.Organization { return d.org }

// namer makes keys that are equal for equal accounts, and secret of nobody: they leave no process.
type namer struct{}

func (namer) AccountKey(uid, id string) policy.AccountKey { return keyOf("account", uid, id) }

func (namer) AddressKey(uid string, a policy.Address) policy.AccountKey {
	return keyOf("address", uid, a.Key())
}

func keyOf(kind, uid, name string) policy.AccountKey {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", kind, uid, name))
	return policy.AccountKey(sum[:16])
}

func deviceKey(name string) (key [16]byte) {
	if name != "" {
		sum := sha256.Sum256([]byte("device\x00" + name))
		copy(key[:], sum[:])
	}
	return key
}

// Input is what a sign-in like the case would have the policy look at; now is the time of cases that say none. A case that
// names what the document does not have is refused with what is wrong with it.
func (d *Directory) Input(c *document.Case, now time.Time) (policy.Input, error) {
	in := policy.Input{Organization: d.org, Now: now, Device: deviceKey(c.Device)}
	if !c.Time.IsZero() {
		in.Now = c.Time
	}
	if err := d.site(c, &in); err != nil {
		return in, err
	}
	in.Subject = policy.Subject{AccountID: c.AccountID, Address: c.Address, EmailVerified: c.EmailVerified && !c.Address.IsZero(), Kind: c.Kind}
	if c.AccountID != "" {
		in.Subject.AccountKey = namer{}.AccountKey(uid, c.AccountID)
	}
	if !c.Address.IsZero() {
		in.Subject.AddressKey = namer{}.AddressKey(uid, c.Address)
	}
	in.Records = d.records(&in.Subject)
	in.Context = policy.Context{SiteID: in.Site.ID, IP: c.IP, Method: c.Method.Token, Connection: c.Method.Connection}
	for i := range c.Shown {
		s, err := d.shown(&c.Shown[i], in.Now)
		if err != nil {
			return in, err
		}
		s.Step = i + 2 // the first step of a flow is its start
		in.Shown = append(in.Shown, s)
		if in.Context.Method == "" {
			in.Context.Method, in.Context.Connection = s.Method, s.Connection
		}
	}
	for i := range c.Remembered {
		s, err := d.shown(&c.Remembered[i], in.Now)
		if err != nil {
			return in, err
		}
		in.Proofs = append(in.Proofs, d.proof(&s, c.Remembered[i].Device, i))
	}
	if c.Enrolled != nil {
		in.Enrolment = policy.Enrolment{Known: true, Factors: *c.Enrolled}
	}
	return in, d.known(c.Method)
}

func (d *Directory) site(c *document.Case, in *policy.Input) error {
	i := slices.IndexFunc(d.org.Sites, func(s policy.Site) bool { return c.Site == "" || s.ID == c.Site })
	if i < 0 {
		return fmt.Errorf("the document has no site %q", c.Site)
	}
	in.Site = &d.org.Sites[i]
	return nil
}

// known refuses a connection that the document does not have: a slip would else pass for somebody else's provider.
func (d *Directory) known(m audit.Method) error {
	if m.Connection != "" && d.org.Connection(m.Connection) == nil {
		return fmt.Errorf("the document has no connection %q", m.Connection)
	}
	return nil
}

// records finds what a directory would.
func (d *Directory) records(s *policy.Subject) policy.Records {
	var r policy.Records
	if c, is := d.claims[s.AccountKey]; is && s.AccountID != "" {
		r.AccountClaim = &c
	}
	if s.Address.IsZero() {
		return r
	}
	if c, is := d.claims[s.AddressKey]; is {
		r.AddressClaim = &c
	}
	r.Domain = policy.MostSpecific(d.domains, s.Address.Domain())
	return r
}

func (d *Directory) shown(s *document.CaseStep, now time.Time) (policy.Shown, error) {
	return policy.Shown{Method: s.Method.Token, Connection: s.Method.Connection, Factor: s.Factor, Evidence: s.Evidence, At: now.Add(-s.Ago),
		UserVerified: s.UserVerified, PartnerAMR: s.PartnerAMR, PartnerACR: s.PartnerACR}, d.known(s.Method)
}

func (d *Directory) proof(s *policy.Shown, device string, i int) policy.Proof {
	p := policy.Proof{Method: s.Method, Connection: s.Connection, Factor: s.Factor, Evidence: s.Evidence, At: s.At, UserVerified: s.UserVerified,
		PartnerAMR: s.PartnerAMR, PartnerACR: s.PartnerACR, Device: deviceKey(device), Flow: "remembered-" + strconv.Itoa(i+1), Step: 2}
	if c := d.org.Connection(s.Connection); c != nil {
		p.ConnectionUID = c.UID
	}
	return p
}
