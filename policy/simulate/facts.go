package simulate

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/policy"
)

// standing is what a flow's record is good for.
type standing uint8

const (
	decided    standing = iota
	undecided           // nobody was bound in it
	unreadable          // something a decision looks at is not on record, or cannot be read
)

// facts is what the record says of one flow, as far as a decision looks at it.
type facts struct {
	flow    string
	site    string
	siteUID string
	ending  audit.Ending
	reason  string
	late    bool
	class   audit.Class // as it was bound
	subject policy.Subject
	holder  policy.AccountKey // the account at its end; zero when it never got one
	person  uint64            // who it is, to count people by
	bound   *audit.Decision   // when it was bound
	boundBy int               // the step that bound it
	ended   *audit.Decision   // at its end
	moves   []move
	proofs  []proof // remembered from other flows, as far as a decision names them
	united  bool    // identity and account were linked in it by proof
}

// kind is what a step did.
type kind uint8

const (
	note  kind = iota // nothing that counts: begun, rejected
	prove             // a method or factor was verified
	name              // the bound identity was given its account
	join              // identity and account were linked by proofs of the account
	end
)

// move is one step of a flow, or the naming of an account in between.
type move struct {
	kind          kind
	at            time.Time // when it happened
	told          time.Time // when it was recorded
	judged        time.Time // what moment the policy was asked about
	ip            netip.Addr
	connection    string
	connectionUID string
	shown         policy.Shown // of prove
	identity      bool         // it proves an identity elsewhere
	account       string       // known from here on; "" while none is
	key           policy.AccountKey
}

// proof is something remembered. What a decision does not say of it and the flow it comes from cannot tell is doubtful.
type proof struct {
	policy.Proof
	from  audit.StepRef
	vague bool // the flow it comes from has to tell the rest
	later bool // it may not have been known yet when the flow was bound: it met nothing then
}

// provesType reports whether a step of this type proves something, and whether that can bind.
func provesType(t audit.Type) (proves, binds bool) {
	switch t { //nolint:exhaustive // the others prove nothing
	case audit.TypePasswordVerified, audit.TypePasswordlessVerified, audit.TypeSocialVerified, audit.TypeSSOVerified, audit.TypeSessionReused:
		return true, true
	case audit.TypeMFAVerified:
		return true, false
	}
	return false, false
}

// reader makes facts of flows.
type reader struct {
	open  func(*audit.Event) error
	namer policy.Namer
	ips   bool // every step's address is needed
}

// read makes facts of one flow. An error is trouble with reading, not with what was read.
func (r *reader) read(f *audit.FlowRecord) (*facts, standing, error) {
	if f.BindEventID == "" {
		return nil, undecided, nil
	}
	events, whole := inOrder(f.Events)
	if !whole {
		return nil, unreadable, nil
	}
	out := &facts{flow: f.ID, site: f.Site, siteUID: f.SiteUID, late: events[0].Late}
	account := ""
	for _, e := range events {
		m := move{at: e.Time, told: later(e.RecordedTime, e.Time), judged: judged(e, out.late), connection: e.Connection, connectionUID: e.ConnectionUID}
		proves, binds := provesType(e.Type)
		switch {
		case proves && (binds || out.bound != nil):
			m.kind = prove
		case e.Step == 0:
			m.kind = name
		case audit.EndingOf(e.Type) != audit.EndingNone:
			m.kind = end
		}
		if r.ips || m.kind == prove || m.kind == name {
			if err := r.open(e); err != nil {
				return nil, unreadable, err
			}
			if e.PersonalState != "" {
				return nil, unreadable, nil
			}
			m.ip = address(e, out.moves)
		}
		switch m.kind {
		case prove:
			m.shown, m.identity = shown(e), e.Personal.Issuer != ""
			if out.bound == nil && !out.bind(e) {
				return nil, unreadable, nil
			}
		case name:
			if account != "" {
				m.kind, out.united = join, true
			}
		case end:
			out.ending, out.reason, out.ended = audit.EndingOf(e.Type), e.Reason, e.Decision
		case note, join:
		}
		if e.Personal.AccountID != "" && (m.kind == prove || m.kind == name) && account == "" {
			account = e.Personal.AccountID
			m.key = r.namer.AccountKey(f.OrganizationUID, account)
		}
		m.account = account
		out.moves = append(out.moves, m)
	}
	if out.bound == nil || out.ended == nil {
		return nil, unreadable, nil
	}
	out.name(r.namer, f.OrganizationUID)
	out.recall()
	return out, decided, nil
}

// address is where a step came from. What names an account does not say: it is taken to come from where the step before did.
func address(e *audit.Event, before []move) netip.Addr {
	if ip, err := netip.ParseAddr(e.Personal.IP); err == nil {
		return ip
	}
	if e.Step == 0 && len(before) > 0 {
		return before[len(before)-1].ip
	}
	return netip.Addr{}
}

// inOrder returns the steps of a flow in their order, with accounts that were linked where that happened. False when a step is
// missing, stands twice or cannot be read.
func inOrder(events []audit.Event) ([]*audit.Event, bool) {
	type placed struct {
		e     *audit.Event
		place int
	}
	list := make([]placed, 0, len(events))
	last := 0
	for i := range events {
		e := &events[i]
		switch {
		case e.Type == audit.TypeUnreadable, e.Step > 0 && (e.Forked || e.PersonalState != ""):
			return nil, false
		case e.Step > 0:
			last = max(last, e.Step)
			list = append(list, placed{e, 2 * e.Step})
		case e.Type == audit.TypeAccountLinked:
			list = append(list, placed{e, 2*last + 1})
		}
	}
	slices.SortStableFunc(list, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	out := make([]*audit.Event, len(list))
	steps := 0
	for i := range list {
		out[i] = list[i].e
		if out[i].Step > 0 {
			if steps++; out[i].Step != steps {
				return nil, false
			}
		}
	}
	return out, steps > 1 && out[0].Type == audit.TypeSignInStarted && audit.EndingOf(list[len(list)-1].e.Type) != audit.EndingNone
}

// judged is when the policy was asked about an event: when it was recorded, unless the flow was told after the fact or nobody
// brought it to its end.
func judged(e *audit.Event, late bool) time.Time {
	switch audit.EndingOf(e.Type) { //nolint:exhaustive // the others are judged as steps are
	case audit.EndingAbandoned, audit.EndingSuperseded:
		return e.Time
	}
	if late {
		return e.Time
	}
	return later(e.RecordedTime, e.Time)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// shown is what a proof counts as.
func shown(e *audit.Event) policy.Shown {
	return policy.Shown{Step: e.Step, Method: e.Method, Connection: e.Connection, Factor: e.Factor, Evidence: e.Evidence,
		At: policy.ProvenAt(e.Time, e.AuthenticatedAt), UserVerified: e.UserVerified != nil && *e.UserVerified,
		PartnerAMR: e.Personal.AMR, PartnerACR: e.Personal.ACR}
}

// bind notes whom a step bound. False when the step does not say what was decided.
func (f *facts) bind(e *audit.Event) bool {
	f.bound, f.boundBy, f.class = e.Decision, e.Step, e.Class
	p := &e.Personal
	f.subject = policy.Subject{AccountID: p.AccountID, EmailVerified: p.EmailVerified != nil && *p.EmailVerified, Kind: e.SubjectKind}
	if p.Email != "" {
		address, err := policy.ParseAddress(p.Email)
		if err != nil {
			return false
		}
		f.subject.Address = address
	}
	return f.bound != nil
}

// name makes the keys of the subject, and of the person to count.
func (f *facts) name(namer policy.Namer, uid string) {
	if i := slices.IndexFunc(f.moves, func(m move) bool { return m.key != (policy.AccountKey{}) }); i >= 0 {
		f.holder = f.moves[i].key
	}
	if f.subject.AccountID != "" {
		f.subject.AccountKey = f.holder
	}
	if !f.subject.Address.IsZero() {
		f.subject.AddressKey = namer.AddressKey(uid, f.subject.Address)
	}
	key := f.holder
	if key == (policy.AccountKey{}) { // an identity that never got an account: its address, else the flow alone, tells who it is
		if key = f.subject.AddressKey; key == (policy.AccountKey{}) {
			key = namer.AccountKey(uid, f.flow)
		}
	}
	f.person = personOf(key)
}

// keys are what directory records of the subject are found by.
func (f *facts) keys() policy.LookupKeys {
	return policy.LookupKeys{Account: f.subject.AccountKey, Address: f.subject.AddressKey, Domain: f.subject.Address.Domain()}
}

// recall lists the remembered proofs that the flow's decisions name.
func (f *facts) recall() {
	for _, d := range []*audit.Decision{f.bound, f.ended} {
		for i := range d.Demands {
			demand := &d.Demands[i]
			ref := demand.MetByProof
			if ref == nil || ref.Flow == f.flow { // what the flow shows itself is remembered anyway
				continue
			}
			p := proofOf(ref)
			if slices.ContainsFunc(f.proofs, func(have proof) bool { return have.from == p.from }) {
				continue
			}
			p.later = d == f.ended && slices.ContainsFunc(f.bound.Demands, func(was audit.Demand) bool { return was.Kind == demand.Kind && !was.Met })
			f.proofs = append(f.proofs, p)
		}
	}
}

// proofOf is what a decision says of a proof.
func proofOf(ref *audit.ProofRef) proof {
	p := proof{from: audit.StepRef{Flow: ref.Flow, Step: ref.Step}}
	p.Flow, p.Step, p.At, p.Evidence, p.SiteUID = ref.Flow, ref.Step, ref.Time, ref.Evidence, ref.SiteUID
	switch ref.Proven {
	case audit.MethodPassword, audit.MethodMagicLink, audit.MethodEmailCode:
		p.Method = ref.Proven
	case audit.MethodPasskey, audit.MethodSocial, audit.MethodSSO:
		p.Method, p.vague = ref.Proven, true
	default:
		p.Factor, p.vague = ref.Proven, ref.Proven == audit.FactorPartner
	}
	return p
}
