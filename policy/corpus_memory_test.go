package policy_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

// memory is what a case says of earlier flows, and of what comes later.
type memory struct {
	Remembered []proof
	Device     string
	Revoked    revoked
	Until      string
	Then       []later
}

// proof is something remembered. Its flow is p1, p2, … in the order of the list.
type proof struct {
	What   shown `yaml:",inline"`
	Device string
	UID    string // of the connection, when it is not the present one
}

// revoked says how long ago proofs were revoked.
type revoked struct{ Subject, Organization, Site string }

// later is the same input after some time, and what became of it.
type later struct {
	After   string
	Revoked revoked
	Want    string
	Met     []string
}

func device(name string) (key [16]byte) {
	if name != "" {
		sum := sha256.Sum256([]byte("device " + name))
		copy(key[:], sum[:])
	}
	return key
}

// past is a moment that was so long ago; "unknown" is no moment, "" is now, -5m is in five minutes.
func past(t testing.TB, ago string, now time.Time) time.Time {
	t.Helper()
	switch ago {
	case "":
		return now
	case "unknown":
		return time.Time{}
	}
	d, ok := document.ParseDuration(strings.TrimPrefix(ago, "-"))
	if !ok {
		t.Fatalf("duration %q", ago)
	}
	if strings.HasPrefix(ago, "-") {
		d = -d
	}
	return now.Add(-d)
}

func (m *memory) into(t testing.TB, in *policy.Input) {
	t.Helper()
	in.Device = device(m.Device)
	for i, p := range m.Remembered {
		s := p.What.convert(t, 0, in.Now)
		one := policy.Proof{Method: s.Method, Factor: s.Factor, Connection: s.Connection, Device: device(p.Device), At: s.At, Evidence: s.Evidence,
			UserVerified: s.UserVerified, PartnerAMR: s.PartnerAMR, PartnerACR: s.PartnerACR, Flow: fmt.Sprintf("p%d", i+1), Step: 3, ConnectionUID: p.UID}
		if j := slices.IndexFunc(in.Organization.Connections, func(c policy.Connection) bool { return c.ID == p.What.Connection }); j >= 0 && p.UID == "" {
			one.ConnectionUID = in.Organization.Connections[j].UID
		}
		in.Proofs = append(in.Proofs, one)
	}
	m.Revoked.into(t, in)
}

// into sets the bounds on copies: the directory is shared by the cases of a file.
func (r revoked) into(t testing.TB, in *policy.Input) {
	t.Helper()
	if r.Subject != "" {
		in.NotBefore = past(t, r.Subject, in.Now)
	}
	if r.Organization != "" {
		org := *in.Organization
		org.ProofsNotBefore = past(t, r.Organization, in.Now)
		in.Organization = &org
	}
	if r.Site != "" {
		site := *in.Site
		site.ProofsNotBefore = past(t, r.Site, in.Now)
		in.Site = &site
	}
}

// checkLater compares how long the decision holds, and what it is later.
func (c *aCase) checkLater(t *testing.T, in policy.Input, r policy.Result) {
	t.Helper()
	if c.Memory.Until != "" {
		got := "never"
		if until := policy.ValidUntil(r.Frozen, in); !until.IsZero() {
			got = until.Sub(in.Now).Truncate(time.Second).String()
		}
		if want := c.Memory.Until; got != want && got != past(t, "-"+want, in.Now).Sub(in.Now).String() {
			t.Errorf("it holds until %s, want %s", got, want)
		}
	}
	for _, then := range c.Memory.Then {
		again := in
		again.Now = past(t, "-"+then.After, in.Now)
		then.Revoked.into(t, &again)
		d := policy.Decide(again).Decision
		if got := words(d.Verdict.String(), d.Reason); got != then.Want {
			t.Errorf("after %s the verdict is %q, want %q", then.After, got, then.Want)
		}
		met, _ := demandLists(d.Demands)
		lists(t, "met after "+then.After, met, then.Met)
	}
}

// metBy names the step or the remembered proof that met a demand.
func metBy(d audit.Demand) string {
	if d.MetByProof == nil {
		return fmt.Sprint(d.MetByStep)
	}
	if d.MetByStep != 0 {
		return "both"
	}
	return d.MetByProof.Flow
}
