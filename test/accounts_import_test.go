package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// importRun is one `postern account import`.
type importRun struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	said   bytes.Buffer
	exited chan error
}

func startImport(t *testing.T, p *process, args ...string) *importRun {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	i := &importRun{exited: make(chan error, 1)}
	i.cmd = exec.Command(path, append([]string{"account", "import", "--address", "unix:" + p.socket, "--output", "json"}, args...)...)
	i.cmd.Stdout, i.cmd.Stderr = &i.out, &i.said
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { i.exited <- i.cmd.Wait() }()
	return i
}

// finish waits for the end of an import, and goes on with one that gave up because its sidecar was away for too long.
func finish(t *testing.T, p *process, run *importRun, args ...string) *importRun {
	t.Helper()
	for range 20 {
		err := <-run.exited
		if strings.Contains(run.out.String(), `"done":true`) { // exit code 1: rows were refused
			return run
		}
		t.Logf("again after %v: %s", err, run.said.String())
		p.awaitServing()
		run = startImport(t, p, args...)
	}
	t.Fatal("the import does not come to its end")
	return nil
}

// imported is the last line of an import.
type imported struct {
	Rows, Created, Unchanged, Refused, Total int64
	Done                                     bool
}

func (i *importRun) result(t *testing.T) imported {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(i.out.String()), "\n")
	var last imported
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatalf("%q: %v\n%s", i.out.String(), err, i.said.String())
	}
	return last
}

// moments are n different numbers below most, in order.
func moments(t *testing.T, n int, most int64) []int64 {
	t.Helper()
	var out []int64
	for len(out) < n {
		m, err := rand.Int(rand.Reader, big.NewInt(most))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(out, m.Int64()) {
			out = append(out, m.Int64())
		}
	}
	slices.Sort(out)
	return out
}

// claimed waits until an organization claims so many accounts, or the import is over. Redis may be away for moments.
func claimed(t *testing.T, client *redis.Client, uid string, most int64, run *importRun) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			t.Fatalf("it does not get to %d claims: %s", most, run.said.String())
		case err := <-run.exited:
			run.exited <- err
			return false
		case <-tick.C:
		}
		keys, err := client.Keys(ctx, "postern:{*}:org:"+uid).Result()
		if err != nil || len(keys) != 1 {
			continue
		}
		if n, err := client.HGet(ctx, keys[0], "nc").Int64(); err == nil && n >= most {
			return true
		}
	}
}

// TestAnImportLosesAndDoublesNothingWhoeverIsKilled kills the client, the sidecar and Redis again and again, at moments nobody chose, while
// 20,000 rows are imported, and compares what is claimed and what is on the record with the list.
func TestAnImportLosesAndDoublesNothingWhoeverIsKilled(t *testing.T) {
	t.Parallel()
	const rows, twice, taken, bad = 20_000, 300, 40, 25
	r := newRig(t)
	p := r.start("one", "signin", "archiver", "api")
	p.apply("organizations/acme", "organization: acme\n")
	p.apply("organizations/globex", "organization: globex\n")
	directory := posternv1.NewDirectoryServiceClient(p.conn)
	ctx := t.Context()

	var list strings.Builder
	list.WriteString("account_id,email,note\n")
	want := map[string]bool{}
	others := &posternv1.BatchCreateAccountsRequest{Parent: "organizations/globex", RequestId: "theirs"}
	for i := range rows {
		switch {
		case i%(rows/taken) == 7:
			id := fmt.Sprint("theirs-", i)
			others.Accounts = append(others.Accounts, &posternv1.Account{AccountId: id})
			fmt.Fprintf(&list, "%s,,\n", id)
		case i%(rows/bad) == 11:
			fmt.Fprintf(&list, ",nobody-%d,\n", i)
		case i >= rows-twice:
			fmt.Fprintf(&list, "acct-%d,,again\n", (i-rows+twice)*10)
		case i%10 == 0:
			fmt.Fprintf(&list, "acct-%d,,note %d\n", i, i)
			want[fmt.Sprint("acct-", i)] = true
		default:
			fmt.Fprintf(&list, ",p%d@people-%d-x.com,\n", i, i%50)
			want[fmt.Sprintf("p%d@people-%d-x.com", i, i%50)] = true
		}
	}
	if _, err := directory.BatchCreateAccounts(ctx, others); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "people.csv")
	if err := os.WriteFile(file, []byte(list.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := directory.GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: "organizations/acme"})
	if err != nil {
		t.Fatal(err)
	}
	first := o.GetRevision()

	args := []string{"acme", file, "--reason", "the list of May"}
	run := startImport(t, p, args...)
	killed := map[string]int{}
	who := []string{"client", "sidecar", "redis"}
	for n, moment := range moments(t, 12, rows*9/10) {
		if !claimed(t, r.redis.Client(), o.GetUid(), moment, run) {
			run = startImport(t, p, args...) // it gave up, or was done before
			continue
		}
		switch whom := who[n%3]; whom {
		case "client":
			_ = run.cmd.Process.Kill() // gone already is fine
			if err := <-run.exited; err == nil {
				t.Log("the client was done before it was killed")
			}
			run = startImport(t, p, args...)
			killed[whom]++
		case "sidecar":
			p.kill()
			p.run()
			p.awaitServing()
			killed[whom]++
		case "redis":
			r.redis.Kill()
			r.redis.Restart()
			killed[whom]++
		}
	}
	run = finish(t, p, run, args...)
	t.Logf("killed: %v", killed)
	if len(killed) != 3 {
		t.Errorf("the import was over before everything had been killed: %v", killed)
	}
	got := run.result(t)
	if w := (imported{rows, int64(len(want)), 0, 0, rows, true}); got.Rows != w.Rows || got.Created != w.Created || got.Total != w.Total || !got.Done ||
		got.Refused != int64(len(others.GetAccounts()))+bad || got.Created+got.Unchanged+got.Refused != rows {
		t.Errorf("%+v, want %d created, %d refused", got, len(want), len(others.GetAccounts())+bad)
	}
	p.wantClaims(t, "organizations/acme", want)
	p.wantEvents(t, "organizations/acme", want, first)
}

// wantClaims compares what an organization claims with what it should.
func (p *process) wantClaims(t *testing.T, parent string, want map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	r := &posternv1.ListAccountsRequest{Parent: parent, PageSize: 1000}
	for {
		page, err := posternv1.NewDirectoryServiceClient(p.conn).ListAccounts(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if page.GetTotalSize() != int64(len(want)) {
			t.Fatalf("%d claims counted, want %d", page.GetTotalSize(), len(want))
		}
		for _, a := range page.GetAccounts() {
			name := a.GetAccountId() + a.GetEmail()
			if seen[name] || !want[name] {
				t.Errorf("%q is claimed: twice %t", name, seen[name])
			}
			seen[name] = true
		}
		if r.PageToken = page.GetNextPageToken(); r.GetPageToken() == "" {
			break
		}
	}
	if len(seen) != len(want) {
		t.Errorf("%d claims, want %d", len(seen), len(want))
	}
}

// wantEvents compares what the record says was claimed with what is, each once, in commits that follow one on another.
func (p *process) wantEvents(t *testing.T, parent string, want map[string]bool, revision int64) {
	t.Helper()
	err := eventually(time.Minute, func(ctx context.Context) error {
		o, err := posternv1.NewDirectoryServiceClient(p.conn).GetOrganization(ctx, &posternv1.GetOrganizationRequest{Name: parent})
		if err != nil {
			return err
		}
		all, err := p.record(parent)
		if err != nil {
			return err
		}
		named, at := map[string]int{}, revision
		for _, e := range all {
			if e.GetType() != "account.claimed" {
				continue
			}
			if at++; e.GetRevision() != at {
				return fmt.Errorf("an event of revision %d where %d was expected", e.GetRevision(), at)
			}
			for _, item := range e.GetPersonal().GetItems() {
				named[item]++
			}
			if n := len(e.GetPersonal().GetItems()); n == 0 || n > 500 || int64(n) != e.GetTarget().GetCount() {
				return fmt.Errorf("an event names %d accounts", n)
			}
		}
		if at != o.GetRevision() {
			return fmt.Errorf("events up to revision %d of %d", at, o.GetRevision())
		}
		for name, n := range named {
			if n != 1 || !want[name] {
				return fmt.Errorf("the record names %q %d times", name, n)
			}
		}
		if len(named) != len(want) {
			return fmt.Errorf("the record names %d accounts, want %d", len(named), len(want))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTwoOrganizationsImportOneListAndEachAccountHasOneOfThem imports one list into two organizations at once, each through a sidecar of its
// own, while both sidecars are killed again and again: between taking an account, committing and confirming it, among others.
func TestTwoOrganizationsImportOneListAndEachAccountHasOneOfThem(t *testing.T) {
	t.Parallel()
	const rows = 15_000
	r := newRig(t)
	processes := map[string]*process{"acme": r.start("one", "signin", "archiver", "api"), "globex": r.start("two", "signin", "api")}
	uids, runs, total := map[string]string{}, map[string]*importRun{}, map[string]int64{}
	var names []string
	for i := range rows {
		names = append(names, fmt.Sprint("person-", i))
	}
	files := map[string]string{}
	for id, p := range processes { // one begins at the end, so that they meet
		slices.Reverse(names)
		files[id] = filepath.Join(t.TempDir(), "people")
		if err := os.WriteFile(files[id], []byte(strings.Join(names, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		p.apply("organizations/"+id, "organization: "+id+"\n")
		o, err := posternv1.NewDirectoryServiceClient(p.conn).GetOrganization(t.Context(), &posternv1.GetOrganizationRequest{Name: "organizations/" + id})
		if err != nil {
			t.Fatal(err)
		}
		uids[id] = o.GetUid()
	}
	for id, p := range processes {
		runs[id] = startImport(t, p, id, files[id])
	}
	for n, moment := range moments(t, 10, rows/2) {
		id := []string{"acme", "globex"}[n%2]
		if claimed(t, r.redis.Client(), uids[id], moment, runs[id]) {
			processes[id].kill()
			processes[id].run()
			processes[id].awaitServing()
		}
	}
	owner := map[string]string{}
	for id, p := range processes {
		runs[id] = finish(t, p, runs[id], id, files[id])
		if got := runs[id].result(t); got.Rows != rows || got.Created+got.Refused != rows {
			t.Errorf("%s: %+v", id, got)
		}
		request := &posternv1.ListAccountsRequest{Parent: "organizations/" + id, PageSize: 1000}
		for {
			page, err := posternv1.NewDirectoryServiceClient(p.conn).ListAccounts(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range page.GetAccounts() {
				if other := owner[a.GetAccountId()]; other != "" {
					t.Errorf("%s belongs to %s and to %s", a.GetAccountId(), other, id)
				}
				owner[a.GetAccountId()] = id
				total[id]++
			}
			if request.PageToken = page.GetNextPageToken(); request.GetPageToken() == "" {
				break
			}
		}
	}
	t.Logf("%v", total)
	if len(owner) != rows {
		t.Errorf("%d accounts belong to somebody, of %d", len(owner), rows)
	}
}
