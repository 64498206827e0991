package policy_test

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// A file of cases. testdata/README.md says what the keys mean.
type file struct {
	About    string `yaml:"about"`
	Document string `yaml:"document"`
	Example  string `yaml:"example"` // instead of document: a file in examples/
	Cases    []aCase
}

type aCase struct {
	It         string
	Site       string
	Typed      string
	Subject    *subject
	From       from
	At         string
	Shown      []shown
	Enrolled   *[]string
	Memory     memory `yaml:",inline"`
	Unreadable bool
	Suspended  string
	Want       string
	Class      string
	By         string
	WouldBe    string `yaml:"would_be"`
	Met        []string
	Unmet      []string
	Counts     []string
	Next       *[]string
	Conditions []string
	Stop       string
	Grace      bool
	Message    string
}

type subject struct {
	Account  string
	Email    string
	Verified bool
	Kind     string
}

type from struct{ IP, Method, Connection string }

type shown struct {
	Method       string
	Connection   string
	Factor       string
	Evidence     string
	Ago          string
	UserVerified bool `yaml:"user_verified"`
	AMR          []string
	ACR          string
}

const defaultNow = "2027-06-01T12:00:00Z"

func TestCorpus(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("testdata", "cases", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	total := 0
	for _, path := range paths {
		f := load(t, path)
		total += len(f.Cases)
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			d := directoryOf(t, f)
			seen := map[string]bool{}
			for _, c := range f.Cases {
				if c.It == "" || c.Want == "" || seen[c.It] {
					t.Errorf("case %q has no name, a name twice or no want", c.It)
				}
				seen[c.It] = true
				t.Run(c.It, func(t *testing.T) { c.check(t, d) })
			}
		})
	}
	if total < 190 {
		t.Errorf("only %d cases", total)
	}
}

func load(t testing.TB, path string) file {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := yaml.UnmarshalWithOptions(b, &f, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// directory is what a document makes of an organization: the records that Redis would hold.
type directory struct {
	org     *policy.Organization
	domains []policy.DomainRecord
	claims  map[policy.AccountKey]policy.ClaimRecord
}

func directoryOf(t testing.TB, f file) directory {
	t.Helper()
	text := []byte(f.Document)
	if f.Example != "" {
		b, err := os.ReadFile(filepath.Join("..", "examples", f.Example))
		if err != nil {
			t.Fatal(err)
		}
		text = b
	}
	return apply(t, text)
}

func apply(t testing.TB, text []byte) directory {
	t.Helper()
	doc, problems := document.Parse(text)
	if doc == nil {
		t.Fatalf("document: %v", problems.Err())
	}
	n := 0
	plan, problems := document.PlanOf(doc, document.Current{UID: "org-uid"}, namer{}, func() string { n++; return fmt.Sprintf("uid-%d", n) })
	if plan == nil {
		t.Fatalf("document: %v", problems.Err())
	}
	d := directory{org: plan.Organization, domains: plan.AddDomains, claims: map[policy.AccountKey]policy.ClaimRecord{}}
	d.org.PolicyStamp = policy.Stamp{7: 42, 15: 1}
	for i := range d.domains {
		d.domains[i].Revision = 7
	}
	for _, c := range plan.AddClaims {
		c.Record.Revision = 8
		d.claims[c.Record.Key] = c.Record
	}
	return d
}

// namer hashes without a key: tests need equality, not secrecy.
type namer struct{}

func (namer) AccountKey(uid, id string) policy.AccountKey { return keyOf(uid + "\x00account\x00" + id) }

func (namer) AddressKey(uid string, a policy.Address) policy.AccountKey {
	return keyOf(uid + "\x00address\x00" + a.Key())
}

func keyOf(s string) policy.AccountKey {
	sum := sha256.Sum256([]byte(s))
	return policy.AccountKey(sum[:16])
}

// records finds what the store would find for a subject.
func (d directory) records(s policy.Subject) policy.Records {
	var r policy.Records
	if c, ok := d.claims[s.AccountKey]; ok && s.AccountID != "" {
		r.AccountClaim = &c
	}
	if !s.Address.IsZero() {
		if c, ok := d.claims[s.AddressKey]; ok {
			r.AddressClaim = &c
		}
		r.Domain = policy.MostSpecific(d.domains, s.Address.Domain())
	}
	return r
}

func (d directory) subject(account, email string) policy.Subject {
	s := policy.Subject{AccountID: account, Address: policy.ParseIdentifier(email).Address()}
	if account != "" {
		s.AccountKey = namer{}.AccountKey(d.org.UID, account)
	}
	if !s.Address.IsZero() {
		s.AddressKey = namer{}.AddressKey(d.org.UID, s.Address)
	}
	return s
}

func (c *aCase) input(t testing.TB, d directory) policy.Input {
	t.Helper()
	org := *d.org
	if c.Suspended != "" {
		org.SuspendedUntil = now.Add(now.Sub(past(t, c.Suspended, now)))
	}
	if c.Unreadable {
		org.Unreadable, org.Policy = true, policy.Policy{}
	}
	in := policy.Input{Organization: &org, Now: parseTime(t, c.At)}
	for i := range org.Sites {
		if c.Site == "" || org.Sites[i].ID == c.Site {
			in.Site = &org.Sites[i]
			break
		}
	}
	if c.Subject != nil {
		in.Subject = d.subject(c.Subject.Account, c.Subject.Email)
		in.Subject.EmailVerified = c.Subject.Verified
		if c.Subject.Kind != "" {
			kind, err := audit.ParseSubjectKind(c.Subject.Kind)
			if err != nil {
				t.Fatal(err)
			}
			in.Subject.Kind = kind
		}
	} else {
		in.Subject = d.subject("", c.Typed)
		in.Subject.Typed = true
	}
	in.Records = d.records(in.Subject)
	in.Context = policy.Context{SiteID: c.Site, Method: c.From.Method, Connection: c.From.Connection}
	if c.From.IP != "" {
		in.Context.IP = netip.MustParseAddr(c.From.IP)
	}
	for i, s := range c.Shown {
		in.Shown = append(in.Shown, s.convert(t, i+2, in.Now))
	}
	if len(in.Shown) > 0 && in.Context.Connection == "" {
		in.Context.Method, in.Context.Connection = in.Shown[0].Method, in.Shown[0].Connection
	}
	if c.Enrolled != nil {
		in.Enrolment = policy.Enrolment{Known: true, Factors: *c.Enrolled}
	}
	c.Memory.into(t, &in)
	return in
}

func (s shown) convert(t testing.TB, step int, now time.Time) policy.Shown {
	t.Helper()
	out := policy.Shown{Step: step, Method: s.Method, Connection: s.Connection, Factor: s.Factor, Evidence: audit.EvidenceAsserted,
		At: now, UserVerified: s.UserVerified, PartnerAMR: s.AMR, PartnerACR: s.ACR}
	if s.Evidence != "" {
		e, err := audit.ParseEvidence(s.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		out.Evidence = e
	}
	out.At = past(t, s.Ago, now)
	return out
}

func parseTime(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		s = defaultNow
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (c *aCase) check(t *testing.T, d directory) {
	in := c.input(t, d)
	r := policy.Decide(in)
	got := r.Decision
	same := func(what, got, want string) {
		t.Helper()
		if want != "" && got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
	same("verdict", words(got.Verdict.String(), got.Reason), c.Want)
	same("class", words(got.Class.String(), got.Basis.By), c.Class)
	same("source", words(got.Source, got.Rule), c.By)
	same("message", got.Message, c.Message)
	would := "none"
	if w := got.WouldBe; w != nil {
		would = words(w.Verdict.String(), w.Reason)
		if w.Rule != "" {
			would += " by " + w.Rule
		}
	}
	same("would_be", would, c.WouldBe)
	stop := ""
	if r.Stop != nil {
		stop = r.Stop.Reason
	}
	if stop != c.Stop {
		t.Errorf("stop is %q, want %q", stop, c.Stop)
	}
	if got.GraceUntil.IsZero() == c.Grace {
		t.Errorf("grace until %v, want grace %v", got.GraceUntil, c.Grace)
	}
	met, unmet := demandLists(got.Demands)
	lists(t, "met", met, c.Met)
	lists(t, "unmet", unmet, c.Unmet)
	if c.Next != nil {
		lists(t, "next", moves(r.Next), *c.Next)
		if len(*c.Next) == 0 && len(r.Next) > 0 {
			t.Errorf("next is %v, want nothing", moves(r.Next))
		}
	}
	c.checkCounts(t, r.Frozen, in.Shown)
	c.checkLater(t, in, r)
	c.checkConditions(t, got.Conditions)
}

func (c *aCase) checkCounts(t *testing.T, f policy.Frozen, shown []policy.Shown) {
	t.Helper()
	var got []string
	for _, s := range shown {
		ok, reason := policy.Counts(f, s)
		if ok {
			got = append(got, "yes")
		} else {
			got = append(got, "no "+reason)
		}
	}
	lists(t, "counts", got, c.Counts)
}

func (c *aCase) checkConditions(t *testing.T, got []audit.Condition) {
	t.Helper()
	for _, want := range c.Conditions {
		name, met := strings.TrimPrefix(want, "not "), !strings.HasPrefix(want, "not ")
		if !slices.ContainsFunc(got, func(g audit.Condition) bool { return g.Name == name && g.Met == met }) {
			t.Errorf("condition %q is not among %+v", want, got)
		}
	}
	for _, g := range got {
		if c.Subject != nil && len(c.Subject.Account) > 4 && strings.Contains(g.Detail, c.Subject.Account) || strings.Contains(g.Detail, "@") {
			t.Errorf("condition %q is personal", g.Detail)
		}
	}
}

func lists(t *testing.T, what string, got, want []string) {
	t.Helper()
	if want != nil && !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func demandLists(list []audit.Demand) (met, unmet []string) {
	for _, d := range list {
		if d.Met {
			met = append(met, d.Kind+" "+metBy(d))
		} else {
			unmet = append(unmet, words(d.Kind, d.Reason))
		}
	}
	return met, unmet
}

func moves(list []policy.Next) []string {
	var out []string
	for _, n := range list {
		s := n.Method
		if n.Connection != "" {
			s += ":" + n.Connection
		}
		if n.Factor != "" {
			s += ":" + n.Factor
		}
		if n.Enrolled != nil {
			s += map[bool]string{true: " enrolled", false: " unenrolled"}[*n.Enrolled]
		}
		out = append(out, s)
	}
	return out
}

func words(a, b string) string { return strings.TrimSpace(a + " " + b) }
