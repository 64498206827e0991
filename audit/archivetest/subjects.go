package archivetest

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// peopleArchive is an archive that lists people.
type peopleArchive interface {
	audit.SubjectReader
	audit.SubjectPruner
}

func (w *world) people() peopleArchive {
	w.Helper()
	a, ok := w.Backend.(peopleArchive)
	if !ok {
		w.Fatal("the archive does not list people")
	}
	return a
}

func account(name string) audit.Index { return index(audit.IndexAccount, name) }

// did makes an event of a person at a site.
func (w *world) did(name, site string, t audit.Type, change ...func(*audit.Event)) audit.Event {
	return w.event(append([]func(*audit.Event){func(e *audit.Event) {
		e.Type, e.Site, e.SiteUID, e.Outcome, e.Class = t, site, "", audit.OutcomeOf(t), audit.ClassExternal
		if site != "" {
			e.SiteUID = id("site "+site, 1)
		}
		e.Named, e.Indexes = true, []audit.Index{account(name), index(audit.IndexEmail, name)}
	}}, change...)...)
}

// person returns the row of a person at the organization, and those at its sites.
func (w *world) person(name string) (audit.SubjectRow, []audit.SubjectRow) {
	w.Helper()
	rows := must(w.people().Subjects(w.Context(), audit.SubjectQuery{OrganizationUID: orgA, Subjects: []audit.Index{account(name)}, Limit: 10}))(w)
	if len(rows) != 1 {
		w.Fatalf("%s: rows %+v", name, rows)
	}
	return rows[0], must(w.people().SubjectSites(w.Context(), orgA, account(name)))(w)
}

var subjectCases = []testCase{
	{"a person's rows follow what the person did", func(w *world) {
		in := func(factor string, e audit.Evidence) func(*audit.Event) {
			return func(x *audit.Event) { x.Factor, x.Evidence = factor, e }
		}
		first := w.did("ann", "wiki", audit.TypePasswordVerified, func(e *audit.Event) { e.Method = audit.MethodPassword })
		rejected, mfa := w.did("ann", "wiki", audit.TypeMFARejected), w.did("ann", "wiki", audit.TypeMFAVerified, in(audit.FactorTOTP, audit.EvidenceVerified))
		succeeded := w.did("ann", "wiki", audit.TypeSignInSucceeded)
		sso := w.did("ann", "shop", audit.TypeSSOVerified, func(e *audit.Event) { e.Method, e.Connection = audit.MethodSSO, "okta" })
		again := w.did("ann", "shop", audit.TypeMFARejected)
		denied := w.did("ann", "shop", audit.TypeSignInDenied, func(e *audit.Event) { e.Class = audit.ClassManaged })
		w.add(first, rejected)
		w.add(mfa, succeeded, sso)
		w.add(again, denied)
		row, sites := w.person("ann")
		want := audit.SubjectRow{OrganizationUID: orgA, Subject: account("ann"), Class: audit.ClassManaged, ClassSince: denied.Time, First: first.Time,
			Last: denied.Time, LastSignIn: succeeded.Time, SignIns: 1, Refusals: 1, Rejections: 1, Methods: []string{"password", "sso:okta"},
			LastMFA: mfa.Time, LastMFAFactor: audit.FactorTOTP, LastMFAEvidence: audit.EvidenceVerified, NewestEventID: denied.ID, Newest: 7}
		if !reflect.DeepEqual(row, want) {
			w.Errorf("row  %+v\nwant %+v", row, want)
		}
		shop := audit.SubjectRow{OrganizationUID: orgA, Subject: account("ann"), Site: "shop", SiteUID: id("site shop", 1), Class: audit.ClassManaged, ClassSince: denied.Time,
			First: sso.Time, Last: denied.Time, Refusals: 1, Rejections: 1, Methods: []string{"sso:okta"}, NewestEventID: denied.ID, Newest: 7}
		wiki := audit.SubjectRow{OrganizationUID: orgA, Subject: account("ann"), Site: "wiki", SiteUID: id("site wiki", 1), Class: audit.ClassExternal, ClassSince: first.Time,
			First: first.Time, Last: succeeded.Time, LastSignIn: succeeded.Time, SignIns: 1, Methods: []string{"password"},
			LastMFA: mfa.Time, LastMFAFactor: audit.FactorTOTP, LastMFAEvidence: audit.EvidenceVerified, NewestEventID: succeeded.ID, Newest: 4}
		if !reflect.DeepEqual(sites, []audit.SubjectRow{shop, wiki}) {
			w.Errorf("sites %+v\nwant  %+v\n      %+v", sites, shop, wiki)
		}
	}},
	{"an event that names no account, and a repeated one, move no row", func(w *world) {
		claimed := w.did("ann", "wiki", audit.TypePasswordRejected, func(e *audit.Event) { e.Named = false })
		w.add(claimed)
		if rows := w.listPeople(audit.SubjectQuery{}, 10); len(rows) != 0 {
			w.Errorf("rows %v", rows)
		}
		once := w.did("ann", "wiki", audit.TypeSignInSucceeded)
		w.add(once)
		must(w.Append(w.Context(), w.batch(0, once, once)))(w)
		if row, sites := w.person("ann"); row.SignIns != 1 || len(sites) != 1 || sites[0].SignIns != 1 {
			w.Errorf("row %+v, sites %+v", row, sites)
		}
	}},
	{"what an administrator does moves a row that is there", func(w *world) {
		w.add(w.did("ann", "", audit.TypeAuthenticatorConfirmed))
		if rows := w.listPeople(audit.SubjectQuery{}, 10); len(rows) != 0 {
			w.Errorf("rows %v", rows)
		}
		seen := w.did("ann", "wiki", audit.TypeSignInSucceeded)
		confirmed, locked := w.did("ann", "", audit.TypeAuthenticatorConfirmed), w.did("ann", "wiki", audit.TypeMFALocked)
		w.add(seen, confirmed, locked)
		row, sites := w.person("ann")
		if !row.Enrolled.Equal(confirmed.Time) || !row.Locked.Equal(locked.Time) || !row.Last.Equal(locked.Time) || row.NewestEventID != locked.ID {
			w.Errorf("row %+v", row)
		}
		if !sites[0].Enrolled.IsZero() || !sites[0].Locked.IsZero() {
			w.Errorf("site %+v", sites[0])
		}
		w.add(w.did("ann", "", audit.TypeAuthenticatorReset))
		if row, _ := w.person("ann"); !row.Enrolled.IsZero() || !row.Locked.IsZero() || !row.Last.Equal(locked.Time) {
			w.Errorf("after a reset: %+v", row)
		}
	}},
	{"a site that took an id is another one", func(w *world) {
		w.add(w.did("ann", "wiki", audit.TypeSignInSucceeded), w.did("ann", "wiki", audit.TypeSignInSucceeded, func(e *audit.Event) { e.SiteUID = id("site", 7) }))
		if row, sites := w.person("ann"); row.SignIns != 2 || len(sites) != 2 || sites[0].SignIns != 1 || sites[1].SignIns != 1 {
			w.Errorf("row %+v, sites %+v", row, sites)
		}
		if rows := w.listPeople(audit.SubjectQuery{Site: "wiki"}, 10); len(rows) != 2 {
			w.Errorf("rows %v", rows)
		}
	}},
	{"texts of every kind come back as they were", func(w *world) {
		for i, text := range []string{"a\x1fb", "/", string(make([]byte, 5000)), "ä%_'\";", "\x1f"} {
			w.add(w.did("ann", "", audit.TypePasswordVerified, func(e *audit.Event) { e.Site, e.SiteUID, e.Method = text, "", fmt.Sprint(text, i) }))
			if rows := w.listPeople(audit.SubjectQuery{Site: text}, 10); len(rows) != 1 || rows[0].Site != text || !slices.Equal(rows[0].Methods, []string{fmt.Sprint(text, i)}) {
				w.Errorf("%q: %+v", text, rows)
			}
		}
	}},
	{"a row is not shown once its person was last seen before the edge, and goes", func(w *world) {
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 30, Activity: 30})
		day := 24 * time.Hour
		w.add(w.did("ann", "wiki", audit.TypeSignInSucceeded), w.did("bob", "wiki", audit.TypeSignInSucceeded, func(e *audit.Event) { e.Time = began.Add(10 * day) }))
		w.add(w.did("cyd", "wiki", audit.TypeSignInSucceeded, ofB))
		w.set(began.Add(35 * day))
		names := func() (out []string) {
			for _, site := range []string{"", "wiki"} {
				for _, r := range w.listPeople(audit.SubjectQuery{Site: site}, 10) {
					out = append(out, nameOf(r.Subject))
				}
			}
			return out
		}
		if got := names(); !slices.Equal(got, []string{"bob", "bob"}) {
			w.Errorf("shown %v", got)
		}
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 30, Activity: 30, Hold: true})
		if more, err := w.people().PruneSubjects(w.Context(), w.now(), 10); more || err != nil {
			w.Errorf("pruned %v, %v", more, err)
		}
		if got := names(); !slices.Equal(got, []string{"bob", "ann", "bob", "ann"}) {
			w.Errorf("on hold: shown %v", got)
		}
		w.retain(orgA, audit.Retention{SignIn: 30, Administration: 30, Activity: 30})
		if more, err := w.people().PruneSubjects(w.Context(), w.now(), 1); !more || err != nil {
			w.Errorf("pruned %v, %v", more, err)
		}
		if more, err := w.people().PruneSubjects(w.Context(), w.now(), 1); more || err != nil {
			w.Errorf("pruned %v, %v", more, err)
		}
		w.retain(orgA, audit.Retention{SignIn: 300, Administration: 300, Activity: 300})
		if got := names(); !slices.Equal(got, []string{"bob", "bob"}) {
			w.Errorf("after pruning: %v", got)
		}
		if rows := must(w.people().Subjects(w.Context(), audit.SubjectQuery{OrganizationUID: orgB, Limit: 10}))(w); len(rows) != 1 {
			w.Errorf("of B: %v", rows)
		}
	}},
	{"lists choose and page as rows say", peopleLists},
}

func nameOf(x audit.Index) string {
	names := []string{"ann", "bob", "cyd"}
	i := slices.IndexFunc(names, func(n string) bool { return slices.Equal(account(n).Value, x.Value) })
	if i < 0 {
		return "somebody"
	}
	return names[i]
}

// listPeople lists all pages.
func (w *world) listPeople(q audit.SubjectQuery, size int) (out []audit.SubjectRow) {
	w.Helper()
	if q.OrganizationUID == "" {
		q.OrganizationUID = orgA
	}
	for q.Limit = size; ; {
		page := must(w.people().Subjects(w.Context(), q))(w)
		out = append(out, page...)
		if len(page) < size {
			return out
		}
		q.BeforeLast, q.BeforeIndex = page[size-1].Last, page[size-1].Subject.Value
	}
}

// peopleLists compares lists with what the rows themselves say of a query, over a record at random.
func peopleLists(w *world) {
	state := uint64(1)
	random := func(n int) int { // the same record every time
		state = state*6364136223846793005 + 1442695040888963407
		return int(state>>33) % n
	}
	person := func(n int) string { return fmt.Sprint("person ", n) }
	sites, kinds := []string{"wiki", "shop", "desk"}, []audit.Type{audit.TypeSignInSucceeded, audit.TypeMFAVerified, audit.TypeSignInDenied, audit.TypeMFARejected}
	want := map[string]*audit.SubjectRow{}
	var events []audit.Event
	for i := range 400 {
		name, site := person(random(40)), sites[random(3)]
		e := w.did(name, site, kinds[random(4)], func(e *audit.Event) {
			e.Time, e.Class = at(random(50)), []audit.Class{audit.ClassExternal, audit.ClassManaged, audit.ClassClaimed}[random(3)]
		})
		events = append(events, e)
		e.Sequence = int64(i + 1)
		for _, place := range []string{"", site} {
			row := want[name+"/"+place]
			if row == nil {
				row = &audit.SubjectRow{OrganizationUID: orgA, Subject: account(name), Site: place}
				if place != "" {
					row.SiteUID = e.SiteUID
				}
				want[name+"/"+place] = row
			}
			row.Apply(&e)
		}
	}
	for some := range slices.Chunk(events, 37) {
		w.add(some...)
	}
	some := []audit.Index{account(person(3)), account(person(3)), account(person(17)), account("nobody"), index(audit.IndexEmail, person(5))}
	for name, q := range map[string]audit.SubjectQuery{
		"everybody": {}, "a site": {Site: "shop"}, "no site": {Site: "none"}, "some": {Subjects: some}, "some at a site": {Subjects: some, Site: "wiki"},
		"classes": {Classes: []audit.Class{audit.ClassExternal, audit.ClassClaimed}}, "since": {SeenSince: at(40)}, "before": {SeenBefore: at(48), Site: "desk"},
		"without a factor": {NoMFASince: at(30)}, "never one": {NoMFASince: at(0)}, "nobody's": {OrganizationUID: orgB},
		"all": {Site: "wiki", Classes: []audit.Class{audit.ClassManaged}, SeenSince: at(10), SeenBefore: at(47), NoMFASince: at(40)},
	} {
		if q.OrganizationUID == "" {
			q.OrganizationUID = orgA
		}
		var chosen []audit.SubjectRow
		for _, row := range want {
			if q.Fits(row) {
				chosen = append(chosen, *row)
			}
		}
		slices.SortFunc(chosen, func(x, y audit.SubjectRow) int {
			return cmp.Or(y.Last.Compare(x.Last), slices.Compare(x.Subject.Value, y.Subject.Value))
		})
		for _, size := range []int{1, 7, 1000} {
			if got := w.listPeople(q, size); !reflect.DeepEqual(got, chosen) {
				w.Errorf("%s by %d:\n%+v\nwant\n%+v", name, size, got, chosen)
			}
		}
	}
}
