package redisstore_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/authflow/redisstore"
	"github.com/postern-audit/postern/internal/embedded"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/testkit/redistest"
	"github.com/postern-audit/postern/policy"
)

// subjectCommit writes an authenticator and a person anew, without a flow.
func subjectCommit(o *policy.Organization, was *authflow.SubjectRecords) *authflow.Commit {
	now := time.Now().UTC()
	c := &authflow.Commit{OrganizationUID: o.UID, OwnKey: true, Outcome: &authflow.Outcome{},
		Authenticator: &authflow.AuthenticatorWrite{Subject: was.Key, From: was.AuthenticatorStamp, Next: &factor.Authenticator{
			State: factor.Active, AccountID: "acct-1", LastStep: 7, Active: factor.Credential{UID: uuid.NewString(), Sealed: []byte("sealed"),
				Algorithm: factor.SHA1, Digits: 6, Period: 30 * time.Second, Enrolled: now, By: "unix:0", Confirmed: now}}},
		Person: &authflow.PersonWrite{Subject: was.Key, From: was.PersonStamp, Until: now.Add(time.Hour), Next: &authflow.Person{
			Proofs: []policy.Proof{{Factor: "TOTP", Device: [16]byte{3}, At: now, Flow: uuid.NewString(), Step: 3, SiteUID: o.UID}}}}}
	_, _ = rand.Read(c.Key[:]) // never fails
	return c
}

func newKey() (k policy.AccountKey) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

func commit(t *testing.T, s *redisstore.Store, c *authflow.Commit) *authflow.Committed {
	t.Helper()
	done, err := s.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func subjectOf(t *testing.T, s *redisstore.Store, o *policy.Organization, key policy.AccountKey) *authflow.SubjectRecords {
	t.Helper()
	got, err := s.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Subject: &key})
	if err != nil {
		t.Fatal(err)
	}
	return got.Subject
}

func TestWhatIsKeptOfSubjectsAndSessionsIsInASnapshot(t *testing.T) {
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
	key, handle := newKey(), [32]byte{1, 2}
	commit(t, r.store, subjectCommit(o, &authflow.SubjectRecords{Key: key}))
	commit(t, r.store, &authflow.Commit{OrganizationUID: o.UID, Session: &authflow.SessionWrite{Handle: handle, IsNew: true, Session: authflow.Session{
		SiteUID: o.UID, Started: time.Now(), Expires: time.Now().Add(time.Hour), Kind: "TOKEN", Subject: authflow.SessionSubject{AccountID: "acct-1"}}}})
	want := subjectOf(t, r.store, o, key)
	if err := first.Save(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, r.store, subjectCommit(o, want)) // lost with the kill
	first.Kill()

	again := &rig{server: serverOf(open()), sets: r.sets}
	again.client = again.server.client(t)
	again.store, again.directory, again.keyring = again.process(t, again.client)
	if d := cmp.Diff(want, subjectOf(t, again.store, o, key)); d != "" {
		t.Errorf("(-saved +read):\n%s", d)
	}
	got, err := again.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Session: handle})
	if err != nil || got.Session == nil || got.Session.Subject.AccountID != "acct-1" {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := again.store.Authenticators(t.Context(), o.UID, policy.AccountKey{}, 10); err != nil || len(list) != 1 || list[0].Key != key {
		t.Errorf("%v, %v", list, err)
	}
	if ttl := again.client.PTTL(t.Context(), again.store.PersonKey(o.UID, key)).Val(); ttl <= 0 || ttl > time.Hour {
		t.Errorf("what is remembered goes in %v", ttl)
	}
}

func TestRecordsOfASubjectThatCannotBeReadAreNeverTakenForNone(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	made := func() policy.AccountKey {
		key := newKey()
		commit(t, r.store, subjectCommit(o, &authflow.SubjectRecords{Key: key}))
		return key
	}
	refused := func(name, hash, field, value string, key policy.AccountKey, want string) {
		t.Helper()
		if err := r.client.HSet(t.Context(), hash, field, value).Err(); err != nil {
			t.Fatal(err)
		}
		if got, err := r.store.Read(t.Context(), authflow.Read{OrganizationUID: o.UID, Subject: &key}); !errs.Is(err, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, spoil := range map[string]struct{ field, value, want string }{
		"newer":       {"s", "\x02\x0a\x00", "RECORD_FORMAT_NEWER"},
		"no format":   {"s", "\x00", "RECORD_MALFORMED"},
		"no message":  {"s", "\x01\xff\xff", "RECORD_MALFORMED"},
		"empty":       {"s", "", "RECORD_MALFORMED"},
		"short stamp": {"st", "1", "RECORD_MALFORMED"},
	} {
		key := made()
		refused(name+" authenticator", r.store.AuthenticatorKey(o.UID, key), spoil.field, spoil.value, key, spoil.want)
		key = made()
		refused(name+" person", r.store.PersonKey(o.UID, key), spoil.field, spoil.value, key, spoil.want)
	}
	theirs := r.client.HGet(t.Context(), r.store.AuthenticatorKey(o.UID, made()), "s").Val()
	mine := made()
	refused("somebody else's authenticator", r.store.AuthenticatorKey(o.UID, mine), "s", theirs, mine, "PERSONAL_UNREADABLE")
}

func TestASubjectsCommitThatRunsTwiceIsNoConflict(t *testing.T) {
	r := newRig(t, embeddedServer(t))
	o := r.organization(t, "acme")
	c := r.server.client(t)
	c.AddHook(twice{})
	s, _, keyring := r.process(t, c)
	r.know(t, keyring)
	for name, strip := range map[string]func(*authflow.Commit){
		"authenticator": func(c *authflow.Commit) { c.Person = nil },
		"person":        func(c *authflow.Commit) { c.Authenticator = nil },
		"both":          func(*authflow.Commit) {},
	} {
		change := subjectCommit(o, &authflow.SubjectRecords{Key: newKey()})
		change.Key, change.Outcome = authflow.CommitKey{}, nil // nothing to be told apart by
		key := change.Person.Subject
		strip(change)
		done := commit(t, s, change)
		if now := subjectOf(t, r.store, o, key); done.AuthenticatorStamp != now.AuthenticatorStamp || done.PersonStamp != now.PersonStamp {
			t.Errorf("%s: the stamps answered are not those stored", name)
		}
	}
}

// The hot path: what a step on a warm flow makes Redis do, command by command. A record of the subject adds its comparison, and
// its write when it changes; a flow without one costs what it did before there were any.
func TestWhatACommitMakesRedisDo(t *testing.T) {
	server := redistest.Start(t)
	r := newRig(t, realServer(server))
	o := r.organization(t, "acme")
	step := map[string]int{"evalsha": 1, "hmget": 1, "hget": 1, "xadd": 1, "hset": 1}
	with := func(more map[string]int) map[string]int {
		all := maps.Clone(step)
		for name, n := range more {
			all[name] += n
		}
		return all
	}
	for name, c := range map[string]struct {
		authenticator, person bool // part of it
		write                 bool // and changed
		want                  map[string]int
	}{
		"without a subject":          {false, false, false, step},
		"looks at the authenticator": {true, false, false, with(map[string]int{"hget": 1})},
		"looks at both":              {true, true, false, with(map[string]int{"hget": 2})},
		"attempt":                    {true, false, true, with(map[string]int{"hget": 1, "hset": 1})},
		"attempt that is remembered": {true, true, true, with(map[string]int{"hget": 2, "hset": 2, "pexpire": 1})},
	} {
		key := newKey()
		was := commit(t, r.store, subjectCommit(o, &authflow.SubjectRecords{Key: key}))
		l, next := boundFlow(t, r, o)
		change := next(l)
		all := subjectCommit(o, &authflow.SubjectRecords{Key: key, AuthenticatorStamp: was.AuthenticatorStamp, PersonStamp: was.PersonStamp})
		if !c.write {
			all.Authenticator.Next, all.Person.Next = nil, nil
		}
		if c.authenticator {
			change.Authenticator = all.Authenticator
		}
		if c.person {
			change.Person = all.Person
		}
		before := calls(t, server.Client())
		commit(t, r.store, change)
		got := calls(t, server.Client())
		for command, n := range before {
			if got[command] -= n; got[command] == 0 {
				delete(got, command)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// calls counts what a server has done, but for being asked.
func calls(t *testing.T, c *redis.Client) map[string]int {
	t.Helper()
	info, err := c.Info(context.WithoutCancel(t.Context()), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for line := range strings.Lines(info) {
		name, rest, found := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		number, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(number); found && err == nil && name != "info" && name != "hello" {
			out[name] = n
		}
	}
	return out
}
