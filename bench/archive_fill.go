package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
)

const (
	recordDays    = 200
	recordBatch   = 1000 // events of one transaction
	recordSites   = 40
	rareEvents    = 20 // with rareReason, however large the record
	rareReason    = "RARE_REASON"
	commonReason  = audit.ReasonBadCredentials
	largeShare    = 0.8 // of the first organization
	fewSmallOnes  = 10
	perUser       = 20 // events to each of the people there are
	keptFlows     = 400
	archiveHolder = "bench"
)

// recordEnd is the moment at which the record is asked.
var recordEnd = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// generator makes a record of 200 days: sign-ins of a few steps, sessions, administration and uses of tokens, spread unevenly over
// people, addresses, sites and hours of the day. It makes the same one each time.
type generator struct {
	rows, tiny int
	made       int
	rand       *rand.Rand
	users, ips *rand.Zipf
	sites      *rand.Zipf
	codec      *codec.Codec
	pending    []audit.Event
	flows      []string // some of the large organization's
	started    int
}

func newGenerator(rows, tiny int) *generator {
	r := rand.New(rand.NewPCG(7, 11)) //nolint:gosec // a record that repeats
	people := uint64(max(1000, rows/perUser))
	return &generator{rows: rows, tiny: tiny, rand: r, codec: codec.New(nil),
		users: rand.NewZipf(r, 1.05, 8, people), ips: rand.NewZipf(r, 1.05, 8, people), sites: rand.NewZipf(r, 1.2, 2, recordSites-1)}
}

// fill appends the record and returns how long appending took, and how much of the processor.
func (g *generator) fill(ctx context.Context, a recordArchive, progress io.Writer) (spent, used time.Duration, err error) {
	const partitions = 64
	epochs := make([]audit.Epoch, partitions)
	for p := range epochs {
		if epochs[p], err = a.Take(ctx, p, archiveHolder); err != nil {
			return 0, 0, err
		}
	}
	told := 0
	for g.made < g.rows {
		byPartition := make([][]audit.Entry, partitions)
		for range min(recordBatch, g.rows-g.made) {
			e := g.next()
			raw, err := g.codec.Encode(&e)
			if err != nil {
				return spent, used, err
			}
			p := int(e.OrganizationUID[len(e.OrganizationUID)-1]+e.OrganizationUID[len(e.OrganizationUID)-2]) % partitions
			byPartition[p] = append(byPartition[p], audit.Entry{OutboxID: fmt.Sprintf("%d-%d", e.RecordedTime.UnixMilli(), g.made), RecordedTime: e.RecordedTime, Event: e, Raw: raw})
			g.made++
		}
		var batches []audit.Batch
		for p, entries := range byPartition {
			if len(entries) > 0 {
				batches = append(batches, audit.Batch{Partition: p, Epoch: epochs[p], Entries: entries})
			}
		}
		began, before := time.Now(), processorTime()
		if _, err := a.AppendAll(ctx, batches); err != nil {
			return spent, used, err
		}
		spent, used = spent+time.Since(began), used+processorTime()-before
		if tenth := 10 * g.made / g.rows; tenth > told {
			told = tenth
			_, _ = fmt.Fprintf(progress, "archive: %d of %d events, %.0f a second\n", g.made, g.rows, float64(g.made)/spent.Seconds())
		}
	}
	return spent, used, nil
}

// next returns the next event.
func (g *generator) next() audit.Event {
	for len(g.pending) == 0 {
		g.pending = g.act()
	}
	e := g.pending[0]
	g.pending = g.pending[1:]
	return e
}

// moment is when the next thing happens: evenly over the days, more of it by day than by night.
func (g *generator) moment() time.Time {
	began := recordEnd.Add(-recordDays * 24 * time.Hour)
	at := time.Duration(float64(g.made) / float64(g.rows) * float64(recordDays*24*time.Hour))
	day := at / (24 * time.Hour) * (24 * time.Hour)
	share := float64(at-day) / float64(24*time.Hour)
	if share < 0.2 { // a fifth of what happens, in the first ten hours
		share = share / 0.2 * 10 / 24
	} else {
		share = (10 + (share-0.2)/0.8*14) / 24
	}
	return began.Add(day + time.Duration(share*float64(24*time.Hour))).Truncate(time.Millisecond)
}

// act makes the events of one thing that somebody does.
func (g *generator) act() []audit.Event {
	at, organization := g.moment(), g.organization()
	if at := g.made * rareEvents / g.rows; at > g.started {
		g.started = at
		e := g.event(g.moment(), 0, audit.TypeMFARejected, organizationUID(0))
		e.Reason = rareReason
		return []audit.Event{e}
	}
	switch n := g.rand.IntN(100); {
	case n < 1:
		e := g.event(at, 0, audit.TypePolicyUpdated, organization)
		e.Site, e.Target, e.Indexes = "", &audit.Target{Type: "policy", ID: "policy"}, nil
		return []audit.Event{e}
	case n < 6:
		return []audit.Event{g.event(at, 0, audit.TypeTokenUsed, organization)}
	case n < 12:
		return []audit.Event{g.event(at, 0, audit.TypeSessionEnded, organization)}
	default:
		return g.signIn(at, organization)
	}
}

// signIn is a flow: now and then with wrong passwords first, with a second factor, or with no good end.
func (g *generator) signIn(at time.Time, organization string) []audit.Event {
	types := []audit.Type{audit.TypeSignInStarted}
	for g.rand.IntN(6) == 0 {
		types = append(types, audit.TypePasswordRejected)
	}
	types = append(types, audit.TypePasswordVerified)
	if g.rand.IntN(3) == 0 {
		types = append(types, audit.TypeMFAVerified)
	}
	types = append(types, []audit.Type{audit.TypeSignInSucceeded, audit.TypeSignInSucceeded, audit.TypeSignInSucceeded, audit.TypeSignInDenied}[g.rand.IntN(4)])
	flow := fmt.Sprintf("%s-7001-8000-%012x", audit.FirstID(at), g.made)
	if organization == organizationUID(0) && at.After(recordEnd.Add(-170*24*time.Hour)) && g.rand.IntN(max(g.rows/4/keptFlows, 1)) == 0 {
		g.flows = append(g.flows, flow)
	}
	out := make([]audit.Event, len(types))
	for i, t := range types {
		if i == 0 {
			out[0] = g.event(at, 0, t, organization)
		} else {
			out[i] = out[0]
			g.become(&out[i], at.Add(time.Duration(i)*3*time.Second), i, t)
		}
		out[i].Named = i >= slices.Index(types, audit.TypePasswordVerified)
		out[i].Flow, out[i].Step, out[i].SupportCode = flow, i+1, fmt.Sprintf("%05d-%05d", g.made/100_000, g.made%100_000)
		switch t {
		case audit.TypePasswordRejected:
			out[i].Reason = commonReason
		case audit.TypeMFAVerified:
			out[i].Method, out[i].Factor = "", audit.FactorTOTP
		case audit.TypeSignInDenied:
			out[i].Reason, out[i].Decision = "MFA_REQUIRED", &audit.Decision{Rule: fmt.Sprint("rule-", g.rand.IntN(5)), Verdict: audit.VerdictDeny}
		default:
		}
	}
	return out
}

// event makes one of a person at an address and a site.
func (g *generator) event(at time.Time, n int, t audit.Type, organization string) audit.Event {
	user, ip, site := g.users.Uint64(), g.ips.Uint64(), g.sites.Uint64()
	e := audit.Event{Organization: "organization", OrganizationUID: organization, Site: fmt.Sprint("site-", site), SiteUID: fmt.Sprintf("01930000-0001-7000-8000-%012d", site),
		Caller: "unix:1000", Class: audit.Class(1 + user%4), Evidence: audit.EvidenceAsserted, Method: "password", Client: audit.ClientWeb, Named: true,
		Sealed: &audit.Sealed{Salt: make([]byte, 16), Data: make([]byte, 180), Digest: make([]byte, 32)}, Indexes: append(ofUser(organization, user), ofIP(organization, ip)...)}
	g.become(&e, at, n, t)
	return e
}

// become gives an event its own id, time and type.
func (g *generator) become(e *audit.Event, at time.Time, n int, t audit.Type) {
	e.ID = fmt.Sprintf("%s-7000-8000-%011x%x", audit.FirstID(at), g.made, n&15)
	e.Time, e.RecordedTime, e.Type, e.Outcome = at, at.Add(20*time.Millisecond), t, audit.OutcomeOf(t)
	if g.rand.IntN(200) == 0 {
		e.Time, e.Late = at.Add(-time.Duration(g.rand.IntN(3600))*time.Second), true
	}
}

func (g *generator) organization() string {
	switch {
	case g.tiny > 0:
		return organizationUID(g.rand.IntN(g.tiny))
	case g.rand.Float64() < largeShare:
		return organizationUID(0)
	default:
		return organizationUID(1 + g.rand.IntN(fewSmallOnes))
	}
}

func organizationUID(n int) string { return fmt.Sprintf("01930000-0000-7000-8000-%012x", n) }

// ofUser are the blind indexes of a person, ofIP those of an address.
func ofUser(organization string, user uint64) []audit.Index {
	return []audit.Index{keyed(audit.IndexAccount, organization, user), keyed(audit.IndexEmail, organization, user),
		keyed(audit.IndexEmailDomain, organization, user%500), keyed(audit.IndexName, organization, user)}
}

func ofIP(organization string, ip uint64) []audit.Index {
	return []audit.Index{keyed(audit.IndexNetwork32, organization, ip), keyed(audit.IndexNetwork24, organization, ip/8), keyed(audit.IndexNetwork16, organization, ip/512)}
}

func keyed(p audit.Purpose, organization string, n uint64) audit.Index {
	b := binary.BigEndian.AppendUint64([]byte(organization), n)
	sum := sha256.Sum256(append(b, byte(p))) //nolint:gosec // purposes are small
	return audit.Index{Purpose: p, Value: append([]byte{1}, sum[:16]...)}
}
