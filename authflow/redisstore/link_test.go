package redisstore_test

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/redisx"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

func newIdentity() (k authflow.IdentityKey) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// linkCommit makes a link, without a flow.
func linkCommit(o *policy.Organization, identity authflow.IdentityKey, account policy.AccountKey) *authflow.Commit {
	c := &authflow.Commit{OrganizationUID: o.UID, OwnKey: true, Outcome: &authflow.Outcome{},
		Link: &authflow.LinkWrite{Identity: identity, Account: account, Next: &authflow.Link{
			Identity: identity, AccountID: "acct-1", AccountKey: account, Issuer: "https://idp.example", SubjectID: "s-1", Email: "ada@example.org",
			ConnectionUID: uuid.NewString(), Linked: time.Now().UTC(), By: authflow.LinkedByEmail, Flow: uuid.NewString()}}}
	_, _ = rand.Read(c.Key[:]) // never fails
	return c
}

// linkIn makes a link and returns it as it is read.
func linkIn(t *testing.T, r *rig, o *policy.Organization) *authflow.Link {
	t.Helper()
	identity := newIdentity()
	commit(t, r.store, linkCommit(o, identity, newKey()))
	got, err := readLink(t, r, o, identity)
	if err != nil || got == nil {
		t.Fatalf("%+v, %v", got, err)
	}
	return got
}

func readLink(t *testing.T, r *rig, o *policy.Organization, identity authflow.IdentityKey) (*authflow.Link, error) {
	t.Helper()
	got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Identity: identity})
	if err != nil {
		return nil, err
	}
	return got.Link, nil
}

func TestALinkThatCannotBeReadIsNeverTakenForNone(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	theirs := linkIn(t, r, o)
	record := func(m *storev1.LinkRecord) string {
		m.OrganizationUid = o.UID
		b, err := redisx.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, c := range map[string]struct{ stored, want string }{
		"newer":               {"\x02\x0a\x00", "RECORD_FORMAT_NEWER"},
		"no format":           {"\x00", "RECORD_MALFORMED"},
		"no message":          {"\x01\xff\xff", "RECORD_MALFORMED"},
		"no account":          {record(&storev1.LinkRecord{}), "RECORD_MALFORMED"},
		"nobody in it":        {record(&storev1.LinkRecord{AccountKey: make([]byte, 16)}), "RECORD_MALFORMED"},
		"another identity's":  {theirs.Stored, "PERSONAL_UNREADABLE"},
		"empty, but is there": {"", "RECORD_MALFORMED"},
	} {
		mine := linkIn(t, r, o)
		if err := r.client.Set(t.Context(), r.store.IdentityKey(o.UID, mine.Identity), c.stored, 0).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := readLink(t, r, o, mine.Identity); !errs.Is(err, c.want) {
			t.Errorf("%s: read as %+v, %v", name, got, err)
		}
		if got, _, err := r.store.Links(t.Context(), o.UID, mine.AccountKey, "", 10); !errs.Is(err, c.want) {
			t.Errorf("%s: listed as %+v, %v", name, got, err)
		}
	}
}

func TestAFlowOfANewerFormatOrWithAnOddHashIsRefused(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	for name, spoil := range map[string]struct {
		with func(stored string) string
		want string
	}{
		"newer":                   {func(s string) string { return "\x02" + s[1:] }, "RECORD_FORMAT_NEWER"},
		"a used state of 3 bytes": {func(s string) string { return s + "\xea\x01\x05\x42\x03abc" }, "RECORD_MALFORMED"},
		"an age nobody can ask for": {func(s string) string {
			return s + "\xea\x01\x08\x32\x06\x10\xff\xff\xff\xff\x07"
		}, "RECORD_MALFORMED"},
		"a field from the next year": {func(s string) string { return s + "\xfa\x7f\x01x" }, ""},
	} {
		l, _ := boundFlow(t, r, o)
		key := r.store.FlowKey(o.UID, l.State.ID.String())
		stored := r.client.HGet(t.Context(), key, "s").Val()
		if err := r.client.HSet(t.Context(), key, "s", spoil.with(stored)).Err(); err != nil {
			t.Fatal(err)
		}
		got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Flow: l.State.ID})
		if spoil.want == "" && (err != nil || got.Flow == nil) || spoil.want != "" && !errs.Is(err, spoil.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// What stands in the wrong list is not listed: a link says itself whose it is.
func TestAListNamesOnlyWhatIsItsOwn(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	other := r.organization(t, "zeta")
	for n := 0; r.store.Partition(other.UID) != r.store.Partition(o.UID); n++ { // where the same names are the same keys
		other = r.organization(t, "zeta-"+string(rune('a'+n)))
	}
	mine, theirs := linkIn(t, r, o), linkIn(t, r, other)
	list := func(uid string) string { return r.store.FlowKey(uid, "")[:len("postern:{00}:")] + "identities:" + uid }
	name := func(account policy.AccountKey, identity authflow.IdentityKey) string {
		all := r.client.ZRange(t.Context(), list(other.UID), 0, -1).Val()
		if len(all) != 1 || len(all[0]) != 32+1+64 {
			t.Fatalf("%q", all)
		}
		return hex.EncodeToString(account[:]) + ":" + hex.EncodeToString(identity[:])
	}
	for _, n := range []string{name(theirs.AccountKey, theirs.Identity), name(newKey(), mine.Identity), name(mine.AccountKey, newIdentity())} {
		if err := r.client.ZAdd(t.Context(), list(o.UID), redis.Z{Member: n}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for size := 1; size < 5; size++ {
		var got []authflow.Link
		after := ""
		for {
			page, next, err := r.store.Links(t.Context(), o.UID, policy.AccountKey{}, after, size)
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, page...); next == "" {
				break
			}
			after = next
		}
		if len(got) != 1 || got[0].Identity != mine.Identity {
			t.Errorf("in pages of %d: %+v", size, got)
		}
	}
}

func TestLinksDoNotExpireAndAreInASnapshot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "snapshot")
	open := func() *embedded.Store {
		s, err := embedded.Open(t.Context(), embedded.Config{File: file, SaveEvery: time.Hour, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return s
	}
	serverOf := func(s *embedded.Store) server {
		return server{client: func(testing.TB) redis.UniversalClient { return s.Client(-1) }, dial: s.Dial}
	}
	first := open()
	r := newRig(t, serverOf(first))
	o := r.organization(t, "acme")
	want := linkIn(t, r, o)
	if ttl := r.client.PTTL(t.Context(), r.store.IdentityKey(o.UID, want.Identity)).Val(); ttl != -1 {
		t.Errorf("a link goes in %v", ttl)
	}
	if err := first.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Kill()
	again := &rig{server: serverOf(open()), sets: r.sets}
	again.client = again.server.client(t)
	again.store, again.directory, again.keyring = again.process(t, again.client)
	got, err := readLink(t, again, o, want.Identity)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-saved +read):\n%s", err, d)
	}
	if all, _, err := again.store.Links(t.Context(), o.UID, want.AccountKey, "", 10); err != nil || len(all) != 1 {
		t.Errorf("%d, %v", len(all), err)
	}
}

// A step that looks at a link costs one GET more, one that changes it what it writes; see TestWhatACommitMakesRedisDo for the rest.
func TestWhatALinkMakesRedisDo(t *testing.T) {
	server := redistest.Start(t)
	r := newRig(t, realServer(server))
	o := r.organization(t, "acme")
	step := map[string]int{"evalsha": 1, "hmget": 1, "hget": 1, "xadd": 1, "hset": 1, "get": 1}
	for name, c := range map[string]struct {
		write func(was *authflow.Link) *authflow.LinkWrite
		more  map[string]int
	}{
		"looks": {func(was *authflow.Link) *authflow.LinkWrite {
			return &authflow.LinkWrite{Identity: was.Identity, From: was.Stored}
		}, nil},
		"replaces": {func(was *authflow.Link) *authflow.LinkWrite {
			return &authflow.LinkWrite{Identity: was.Identity, From: was.Stored, Next: was, Account: was.AccountKey}
		}, map[string]int{"zscore": 1, "set": 1, "zadd": 1}},
		"removes": {func(was *authflow.Link) *authflow.LinkWrite {
			return &authflow.LinkWrite{Identity: was.Identity, From: was.Stored, Remove: true, Account: was.AccountKey}
		}, map[string]int{"zscore": 1, "del": 1, "zrem": 1}},
	} {
		l, next := boundFlow(t, r, o)
		change := next(l)
		change.Link = c.write(linkIn(t, r, o))
		before := calls(t, server.Client())
		commit(t, r.store, change)
		got := calls(t, server.Client())
		for command, n := range before {
			if got[command] -= n; got[command] == 0 {
				delete(got, command)
			}
		}
		want := map[string]int{}
		for _, m := range []map[string]int{step, c.more} {
			for command, n := range m {
				want[command] = n
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
