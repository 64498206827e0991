package archivetest

import (
	"reflect"

	"github.com/postern-audit/postern/audit"
)

var erasureFlowCases = []testCase{
	{"a sign-in goes as a whole, also what was recorded before anybody was proven", func(w *world) {
		mine := []audit.Event{w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordRejected, by("alice")),
			w.step(1, 3, audit.TypePasswordVerified, by("alice")), w.step(1, 4, audit.TypeSignInSucceeded, by("alice")),
			w.event(func(e *audit.Event) { e.Type, e.Flow = audit.TypeSessionStarted, id("flow", 1) })}
		his := []audit.Event{w.step(2, 1, audit.TypeSignInStarted), w.step(2, 2, audit.TypePasswordVerified, by("bob"))}
		w.add(mine...)
		w.add(his...)
		before, row := w.all(orgA), w.row(1)
		if n := w.erase("alice", forever, 1); n != len(mine) {
			w.Errorf("%d erased, want %d", n, len(mine))
		}
		w.wantErased(orgA, before, ids(mine)...)
		if after := w.row(1); !reflect.DeepEqual(after, row) {
			w.Errorf("the flow's row is %+v, was %+v", after, row)
		}
		w.wantFound("alice", nil, nil)
		w.wantFound("bob", ids(his[1:]), []string{id("flow", 2)})
	}},
	{"a sign-in that nobody proved goes with whom it names", func(w *world) {
		mine := []audit.Event{w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordRejected, by("alice")), w.step(1, 3, audit.TypeSignInFailed)}
		w.add(mine...)
		before := w.all(orgA)
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, ids(mine)...)
	}},
	{"a name that was only typed does not take the sign-in of another person with it", func(w *world) {
		typed := w.step(1, 1, audit.TypeSignInStarted, by("alice"))
		proven := []audit.Event{w.step(1, 2, audit.TypePasswordVerified, by("bob")), w.step(1, 3, audit.TypeSignInSucceeded, by("bob"))}
		w.add(typed)
		w.add(proven...)
		before := w.all(orgA)
		w.wantFound("alice", []string{typed.ID}, []string{id("flow", 1)})
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, typed.ID)
		w.wantFound("alice", nil, nil)
		w.wantFound("bob", ids(proven), []string{id("flow", 1)})
	}},
	{"the rest of an open sign-in is erased by the second pass", func(w *world) {
		first := []audit.Event{w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordVerified, by("alice"))}
		w.add(first...)
		before := w.all(orgA)
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, ids(first)...)
		rest := []audit.Event{w.step(1, 3, audit.TypeMFAVerified), w.step(1, 4, audit.TypeSignInSucceeded, by("alice"))}
		w.add(rest...)
		w.wantFound("alice", ids(rest[1:]), []string{id("flow", 1)})
		before = w.all(orgA)
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, ids(append(first, rest...))...)
		w.wantFound("alice", nil, nil)
	}},
	{"a bound holds for the whole sign-in", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordVerified, by("alice")), w.step(1, 3, audit.TypeSignInSucceeded, by("alice")))
		before := w.all(orgA)
		w.erase("alice", 2, 10)
		w.wantErased(orgA, before, ids(before[:2])...)
		w.wantFound("alice", ids(before[2:]), []string{id("flow", 1)})
	}},
	{"a sign-in whose events lie on several shelves goes as a whole", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted))
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 30, Activity: 30})
		w.add(w.step(1, 2, audit.TypePasswordVerified, by("alice")))
		w.retain(orgA, audit.Retention{SignIn: 700, Administration: 700, Activity: 700})
		w.add(w.step(1, 3, audit.TypeSignInSucceeded))
		before := w.all(orgA)
		w.erase("alice", forever, 10)
		w.wantErased(orgA, before, ids(before)...)
		w.wantFound("alice", nil, nil)
	}},
	{"the rows of the person go, those of others stay", func(w *world) {
		readers, ok := w.Backend.(audit.SubjectReader)
		if !ok {
			w.Fatal("the archive lists no people: it must implement audit.SubjectReader")
		}
		of := func(name string, change ...func(*audit.Event)) func(*audit.Event) {
			return func(e *audit.Event) {
				by(name)(e)
				e.Named = true
				for _, c := range change {
					c(e)
				}
			}
		}
		w.add(w.step(1, 1, audit.TypePasswordVerified, of("alice")), w.step(2, 1, audit.TypePasswordVerified, of("bob")), w.step(3, 1, audit.TypePasswordVerified, of("alice", ofB)))
		seen := func(organizationUID string) (out []audit.Index) {
			for _, site := range []string{"", "portal"} {
				for _, r := range must(readers.Subjects(w.Context(), audit.SubjectQuery{OrganizationUID: organizationUID, Site: site, Limit: 10}))(w) {
					out = append(out, r.Subject)
				}
			}
			return out
		}
		if n := len(seen(orgA)); n != 4 {
			w.Fatalf("%d rows before", n)
		}
		w.erase("alice", forever, 10)
		bob := person("bob")[0]
		if got := seen(orgA); !equalIndexes(got, []audit.Index{bob, bob}) {
			w.Errorf("rows %v", got)
		}
		if n := len(seen(orgB)); n != 2 {
			w.Errorf("%d rows of the other organization", n)
		}
		w.add(w.step(4, 1, audit.TypePasswordVerified, of("alice"))) // who comes back begins anew
		if n := len(seen(orgA)); n != 4 {
			w.Errorf("%d rows after", n)
		}
	}},
	{"an event of another organization that names the flow is not touched", func(w *world) {
		w.add(w.step(1, 1, audit.TypeSignInStarted), w.step(1, 2, audit.TypePasswordVerified, by("alice")))
		w.add(w.step(1, 3, audit.TypePasswordRejected, ofB, by("alice")))
		before := w.all(orgB)
		w.erase("alice", forever, 10)
		w.wantErased(orgB, before)
	}},
}
