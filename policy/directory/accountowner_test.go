package directory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/directory"
)

var errDead = errors.New("the process was killed")

type owners = policy.AccountOwners

// mortal is a process that dies at a step: it does nothing from then on.
type mortal struct {
	policy.DirectoryWriter
	owners
	at   string
	dead atomic.Bool
	// between is called before the commit. May be nil.
	between func()
}

func (m *mortal) alive(step string) bool {
	if m.at == step {
		m.dead.Store(true)
	}
	return !m.dead.Load()
}

func (m *mortal) TakeAccounts(ctx context.Context, uid string, at time.Time, accounts []policy.NamedOwner) (bool, error) {
	if !m.alive("take") {
		return false, errDead
	}
	return m.owners.TakeAccounts(ctx, uid, at, accounts)
}

func (m *mortal) Commit(ctx context.Context, c policy.Change) (policy.Applied, policy.Stamp, error) {
	if m.between != nil {
		m.between()
	}
	if !m.alive("commit") {
		return policy.Applied{}, policy.Stamp{}, errDead
	}
	applied, stamp, err := m.DirectoryWriter.Commit(ctx, c)
	if !m.alive("answer") {
		return policy.Applied{}, policy.Stamp{}, errDead
	}
	return applied, stamp, err
}

func (m *mortal) FreeAccounts(ctx context.Context, accounts []policy.NamedOwner) error {
	if !m.alive("free") {
		return errDead
	}
	return m.owners.FreeAccounts(ctx, accounts)
}

// dying is the first process, which dies at a step.
func (w *accountWorld) dying(at string) (*directory.Accounts, *mortal) {
	m := &mortal{DirectoryWriter: w.first.Writer, owners: w.first.Owners, at: at}
	a := *w.first
	a.Writer, a.Owners = m, m
	return &a, m
}

func TestAKilledProcessBlocksNobodyForGoodAndGivesNobodyTwoOwners(t *testing.T) {
	for _, c := range []struct {
		at    string
		has   bool // acme has it
		stays bool // others are kept off for two minutes
	}{{"take", false, false}, {"commit", false, true}, {"answer", true, true}} {
		t.Run(c.at, func(t *testing.T) {
			w := newAccountWorld(t)
			a, _ := w.dying(c.at)
			_, err := a.Create(t.Context(), "unix:7", w.input("acme", "x"))
			if !errors.Is(err, errDead) {
				t.Fatalf("%v", err)
			}
			if got := len(w.listed("acme")) == 1; got != c.has {
				t.Fatalf("acme has it: %t", got)
			}
			claim := func() error {
				_, err := w.second.Create(t.Context(), "unix:7", w.input("globex", "x"))
				return err
			}
			if err := claim(); c.stays != errs.Is(err, "ACCOUNT_TAKEN") {
				t.Errorf("at once: %v", err)
			}
			w.pass(3 * time.Minute)
			if err := claim(); c.has != errs.Is(err, "ACCOUNT_TAKEN") || !c.has && err != nil && !errs.Is(err, "ACCOUNT_EXISTS") {
				t.Errorf("later: %v", err)
			}
			if c.has { // what acme has it can give up, whoever claimed it
				if err := w.second.Delete(t.Context(), "unix:7", w.naming("acme", "x")); err != nil {
					t.Fatal(err)
				}
				if err := claim(); err != nil {
					t.Errorf("given up: %v", err)
				}
			}
			if a, g := len(w.listed("acme")), len(w.listed("globex")); a != 0 || g != 1 {
				t.Errorf("acme has %d, globex %d", a, g)
			}
		})
	}
}

func TestAProcessThatDiesWhileItGivesUpLeavesNoOrphan(t *testing.T) {
	w := newAccountWorld(t)
	w.claim("acme", "x")
	a, _ := w.dying("free")
	if err := a.Delete(t.Context(), "unix:7", w.naming("acme", "x")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.second.Create(t.Context(), "unix:7", w.input("globex", "x")); !errs.Is(err, "ACCOUNT_TAKEN") {
		t.Errorf("just claimed, and just released: %v", err)
	}
	w.pass(3 * time.Minute)
	if _, err := w.second.Create(t.Context(), "unix:7", w.input("globex", "x")); err != nil {
		t.Errorf("%v", err)
	}
}

func TestACommitThatComesTooLateIsNotMade(t *testing.T) {
	w := newAccountWorld(t)
	w.pass(-10 * time.Minute) // of the paused process, as of when it took
	a, m := w.dying("")
	paused := true
	m.between = func() {
		if !paused {
			return
		}
		paused = false
		w.pass(10 * time.Minute) // it stood still
		if _, err := w.second.Create(t.Context(), "unix:7", w.input("globex", "x")); err != nil {
			t.Errorf("two minutes later: %v", err)
		}
	}
	if _, err := a.Create(t.Context(), "unix:7", w.input("acme", "x")); !errs.Is(err, "ACCOUNT_TAKEN") {
		t.Errorf("the one that was paused: %v", err)
	}
	if a, g := len(w.listed("acme")), len(w.listed("globex")); a != 0 || g != 1 {
		t.Errorf("acme has %d, globex %d", a, g)
	}
}

func TestOneOrganizationsProcessesDoNotUndoEachOthersTakes(t *testing.T) {
	w := newAccountWorld(t)
	// While one process of acme is about to commit, another of its own claims and releases the same account, and globex asks in between.
	a, m := w.dying("")
	tries := 0
	m.between = func() {
		if tries++; tries > 3 {
			return
		}
		if _, err := w.second.CreateMany(t.Context(), "unix:7", w.input("acme", "x")); err != nil {
			t.Error(err)
		}
		if _, err := w.second.DeleteMany(t.Context(), "unix:7", w.naming("acme", "x")); err != nil {
			t.Error(err)
		}
		_, err := w.second.Create(t.Context(), "unix:7", w.input("globex", "x"))
		if err != nil && !errs.Is(err, "ACCOUNT_TAKEN") && !errs.Is(err, "ACCOUNT_EXISTS") {
			t.Error(err)
		}
		m.dead.Store(false)
	}
	_, err := a.Create(t.Context(), "unix:7", w.input("acme", "x"))
	has := map[bool]int{}
	has[true], has[false] = len(w.listed("acme")), len(w.listed("globex"))
	if has[true]+has[false] != 1 || (err == nil) != (has[true] == 1) {
		t.Errorf("acme has %d, globex %d, %v", has[true], has[false], err)
	}
}

// TestWhateverHappensAtOnceNoAccountHasTwoOrganizations lets processes of three organizations claim, release and import the same few
// accounts at once, and die at random steps. The store is a real one.
func TestWhateverHappensAtOnceNoAccountHasTwoOrganizations(t *testing.T) {
	server := redistest.Start(t)
	client, err := redisx.NewScripts(redisx.Options{Mode: redisx.Standalone, Addresses: []string{"unix:" + server.Socket()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	base := newWorld(t)
	base.client = client
	base.process()
	w := accountsOn(t, base)
	organizations := []string{"acme", "globex", "initech"}
	w.uids["initech"] = w.must(directory.ApplyInput{Organization: "initech", Document: []byte("organization: initech\n")}).Organization.UID
	names := []string{"a", "b", "c", "d", "e@example.com", "f@example.com"}
	steps := []string{"", "", "", "", "take", "commit", "answer", "free"}
	for round := range 60 {
		var wait sync.WaitGroup
		for worker := range 9 {
			organization := organizations[worker%3]
			pick := round*31 + worker*17
			a, _ := w.dying(steps[pick%len(steps)])
			if worker%2 == 0 {
				a.Directory, a.Claims = w.second.Directory, w.second.Claims
			}
			some := []string{names[pick%6], names[(pick/6+1)%6], names[(pick/36+2)%6]}
			in, out := w.input(organization, some...), w.naming(organization, some[:2]...)
			wait.Go(func() {
				switch pick % 4 {
				case 0, 1:
					_, _ = a.CreateMany(t.Context(), "unix:7", in)
				case 2:
					_, _ = a.DeleteMany(t.Context(), "unix:7", out)
				case 3:
					if run, at, err := a.Import(t.Context(), "unix:7", directory.ImportBegin{Organization: organization, RequestID: uuid.NewString()}); err == nil {
						_, _ = run.Batch(t.Context(), at.NextRow, []directory.ImportRow{{Account: in.Accounts[0]}, {Account: in.Accounts[1]}})
					}
				}
			})
		}
		wait.Wait()
		if two := w.shared(organizations); len(two) > 0 {
			t.Fatalf("round %d: two organizations have %v", round, two)
		}
		if round%7 == 6 {
			w.pass(3 * time.Minute) // what the dead had taken is free
		}
	}
	// In the end nothing is lost for good: what nobody has, anybody can claim; what somebody has, its events say.
	w.pass(3 * time.Minute)
	held := map[string]string{}
	for _, o := range organizations {
		for _, n := range w.listed(o) {
			held[n] = o
		}
		if want := w.replayed(o); !slices.Equal(w.listed(o), want) {
			t.Errorf("%s has %v, its events say %v", o, w.listed(o), want)
		}
	}
	for i, n := range names {
		o := organizations[i%3]
		_, err := w.second.Create(t.Context(), "unix:7", w.input(o, n))
		switch {
		case held[n] == "" && err != nil:
			t.Errorf("%s belongs to nobody: %v", n, err)
		case held[n] != "" && held[n] != o && !errs.Is(err, "ACCOUNT_TAKEN"):
			t.Errorf("%s belongs to %s: %v", n, held[n], err)
		}
	}
}

// shared are accounts that more than one organization has.
func (w *accountWorld) shared(organizations []string) (two []string) {
	seen := map[string]string{}
	for _, o := range organizations {
		for _, n := range w.listed(o) {
			if seen[n] != "" {
				two = append(two, fmt.Sprintf("%s: %s and %s", n, seen[n], o))
			}
			seen[n] = o
		}
	}
	return two
}

// replayed is what an organization has by its events.
func (w *accountWorld) replayed(organization string) []string {
	has := map[string]bool{}
	for _, line := range w.told(organization) {
		typ, items, _ := strings.Cut(line, " ")
		for n := range strings.SplitSeq(items, " ") {
			if has[n] = typ == "account.claimed"; !has[n] {
				delete(has, n)
			}
		}
	}
	var out []string
	for n := range has {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
