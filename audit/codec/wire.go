package codec

import (
	"slices"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// wire writes protobuf by hand, straight from the event: a record is made for every step of every sign-in, and filling
// generated structs first costs three times as much. The numbers are those of event.proto, common.proto and store.proto;
// a test compares every field with what the generated code reads.
type wire struct {
	b   []byte
	bad bool // some text is not UTF-8
}

func (w *wire) text(n protowire.Number, s string) {
	if s != "" {
		w.item(n, s)
	}
}

// item writes s even when it is empty, as an element of a list.
func (w *wire) item(n protowire.Number, s string) {
	w.bad = w.bad || !utf8.ValidString(s)
	w.b = protowire.AppendTag(w.b, n, protowire.BytesType)
	w.b = protowire.AppendString(w.b, s)
}

func (w *wire) items(n protowire.Number, list []string) {
	for _, s := range list {
		w.item(n, s)
	}
}

func (w *wire) bytes(n protowire.Number, b []byte) {
	if len(b) > 0 {
		w.b = protowire.AppendTag(w.b, n, protowire.BytesType)
		w.b = protowire.AppendBytes(w.b, b)
	}
}

func (w *wire) number(n protowire.Number, v int64) {
	if v != 0 {
		w.b = protowire.AppendTag(w.b, n, protowire.VarintType)
		w.b = protowire.AppendVarint(w.b, uint64(v)) //nolint:gosec // two's complement is the wire form
	}
}

func (w *wire) flag(n protowire.Number, v bool) {
	if v {
		w.number(n, 1)
	}
}

// maybe writes a bool that means something when it is absent.
func (w *wire) maybe(n protowire.Number, v *bool) {
	if v != nil {
		w.b = protowire.AppendTag(w.b, n, protowire.VarintType)
		w.b = protowire.AppendVarint(w.b, protowire.EncodeBool(*v))
	}
}

func (w *wire) time(n protowire.Number, t time.Time) {
	if !t.IsZero() {
		at := w.open(n)
		w.number(1, t.Unix())
		w.number(2, int64(t.Nanosecond()))
		w.close(at)
	}
}

func (w *wire) duration(n protowire.Number, d time.Duration) {
	if d != 0 {
		at := w.open(n)
		w.number(1, int64(d/time.Second))
		w.number(2, int64(d%time.Second))
		w.close(at)
	}
}

// open begins a message field, leaving one byte for its length.
func (w *wire) open(n protowire.Number) int {
	w.b = append(protowire.AppendTag(w.b, n, protowire.BytesType), 0)
	return len(w.b)
}

// close ends the message field that began at this place, moving it when its length needs more than the one byte.
func (w *wire) close(at int) {
	size := uint64(len(w.b) - at) //nolint:gosec // never negative
	if more := protowire.SizeVarint(size) - 1; more > 0 {
		var room [9]byte
		w.b = append(w.b, room[:more]...)
		copy(w.b[at+more:], w.b[at:])
	}
	protowire.AppendVarint(w.b[at-1:at-1], size)
}

// record writes an EventRecord.
func (w *wire) record(e *audit.Event, sealed *audit.Sealed, indexes []audit.Index) {
	at := w.open(1)
	w.event(e)
	w.close(at)
	if sealed != nil {
		at := w.open(2)
		w.bytes(1, sealed.Salt)
		w.bytes(2, sealed.Data)
		w.bytes(3, sealed.Digest)
		w.close(at)
	}
	for i := range indexes {
		at := w.open(3)
		w.number(1, int64(indexes[i].Purpose))
		w.bytes(2, indexes[i].Value)
		w.close(at)
	}
	w.directory(4, e.Directory)
	w.flag(5, e.Named || e.Personal.AccountID != "")
}

// event writes what body converts, in field-number order.
func (w *wire) event(e *audit.Event) {
	w.text(1, e.ID)
	w.text(2, string(e.Type))
	w.time(3, e.Time)
	w.text(6, e.Organization)
	w.text(7, e.OrganizationUID)
	w.text(8, e.Site)
	w.text(9, e.SiteUID)
	w.text(10, e.Flow)
	w.number(11, int64(int32From(e.Step)))
	w.text(12, e.SupportCode)
	w.text(13, e.CorrelationID)
	w.text(14, e.Caller)
	w.number(15, int64(e.Class))
	w.flag(16, e.Provisional)
	w.number(17, int64(e.Outcome))
	w.number(18, int64(e.Evidence))
	w.items(19, e.Checks)
	w.text(20, e.Method)
	w.text(21, e.Connection)
	w.text(22, e.ConnectionUID)
	w.text(23, e.Factor)
	w.text(24, e.Reason)
	w.maybe(25, e.Counts)
	w.flag(26, e.Late)
	w.number(28, int64(e.Client))
	w.time(29, e.AuthenticatedAt)
	w.decision(30, e.Decision)
	w.number(31, int64(e.Ending))
	w.steps(32, e.Steps)
	w.text(33, e.Session)
	w.flag(34, e.AgainstVerdict)
	if t := e.Target; t != nil {
		at := w.open(35)
		w.text(1, t.Type)
		w.text(2, t.ID)
		w.text(3, t.UID)
		w.number(4, t.Count)
		w.close(at)
	}
	for i := range e.Changes {
		at := w.open(36)
		w.text(1, e.Changes[i].Field)
		w.text(2, e.Changes[i].Before)
		w.text(3, e.Changes[i].After)
		w.close(at)
	}
	w.number(37, e.Revision)
	w.tally(38, e.Tally)
	w.time(39, e.TallyHour)
	if d := e.Denial; d != nil {
		at := w.open(40)
		w.text(1, d.Method)
		w.text(2, d.Code)
		w.text(3, d.Reason)
		w.number(4, d.Count)
		w.text(5, d.CallID)
		w.close(at)
	}
	w.number(41, int64(e.SubjectKind))
	w.number(42, int64(e.Origin))
	w.text(43, e.IdentifierHash)
	w.maybe(46, e.UserVerified)
	w.enrolment(47, e.Enrolment)
	w.text(48, e.EndCause)
	w.number(49, e.Uses)
	w.text(50, e.Authenticator)
	w.text(51, e.InitiatedBy)
	w.text(52, e.Expectations)
	w.time(53, e.SessionExpires)
	w.flag(54, e.Sandbox)
	w.privacy(55, e.Privacy)
	w.text(56, e.Region)
}

// AppendDecision writes a decision as field n of a message that b holds so far.
func AppendDecision(b []byte, n protowire.Number, d *audit.Decision) ([]byte, error) {
	w := wire{b: b}
	w.decision(n, d)
	return w.b, w.err()
}

// err is the error of a text that cannot be written.
func (w *wire) err() error {
	if w.bad {
		return errs.New(errs.Invalid, "RECORD_TEXT", "a field is not valid UTF-8")
	}
	return nil
}

func (w *wire) decision(n protowire.Number, d *audit.Decision) {
	if d == nil {
		return
	}
	start := w.open(n)
	w.number(1, int64(d.Class))
	w.flag(2, d.Advisory)
	if b := d.Basis; b != (audit.ClassBasis{}) {
		at := w.open(3)
		w.text(1, b.By)
		w.text(2, b.Domain)
		w.text(3, b.VerifiedBy)
		w.number(4, b.Revision)
		w.flag(5, b.Stale)
		w.close(at)
	}
	w.text(4, d.Rule)
	w.text(5, d.Source)
	for i := range d.Conditions {
		at := w.open(6)
		w.text(1, d.Conditions[i].Name)
		w.flag(2, d.Conditions[i].Met)
		w.text(3, d.Conditions[i].Detail)
		w.close(at)
	}
	w.items(7, d.AllowedMethods)
	for i := range d.Demands {
		at := w.open(8)
		w.demand(&d.Demands[i])
		w.close(at)
	}
	w.number(9, d.PolicyRevision)
	w.number(10, int64(d.Verdict))
	w.text(11, d.Reason)
	if b := d.WouldBe; b != nil {
		at := w.open(12)
		w.number(1, int64(b.Verdict))
		w.text(2, b.Rule)
		w.text(3, b.Reason)
		w.close(at)
	}
	w.text(13, d.Message)
	w.text(14, d.HelpURL)
	w.time(15, d.GraceUntil)
	w.close(start)
}

func (w *wire) demand(d *audit.Demand) {
	w.text(1, d.Kind)
	w.text(2, d.Connection)
	w.items(3, d.Factors)
	w.duration(4, d.MaxAge)
	w.number(5, int64(d.Evidence))
	w.flag(6, d.AcceptPartner)
	w.flag(7, d.Met)
	w.number(8, int64(int32From(d.MetByStep)))
	w.text(9, d.Reason)
	if r := d.MetByProof; r != nil {
		at := w.open(10)
		w.text(1, r.Flow)
		w.number(2, int64(int32From(r.Step)))
		w.time(3, r.Time)
		w.text(4, r.SiteUID)
		w.text(5, r.Proven)
		w.number(6, int64(r.Evidence))
		w.close(at)
	}
}

func (w *wire) enrolment(n protowire.Number, e *audit.Enrolment) {
	if e == nil {
		return
	}
	at := w.open(n)
	w.time(1, e.Time)
	w.text(2, e.Caller)
	w.text(3, e.Flow)
	w.text(4, e.Method)
	w.number(5, int64(e.Evidence))
	w.flag(6, e.Imported)
	w.close(at)
}

func (w *wire) steps(n protowire.Number, steps []audit.StepSummary) {
	for i := range steps {
		s := &steps[i]
		at := w.open(n)
		w.number(1, int64(int32From(s.Step)))
		w.text(2, s.Event)
		w.text(3, string(s.Type))
		w.time(4, s.Time)
		w.text(5, s.Method)
		w.text(6, s.Connection)
		w.text(7, s.Factor)
		w.number(8, int64(s.Evidence))
		w.text(9, s.Reason)
		w.maybe(10, s.Counts)
		w.close(at)
	}
}

// personal writes a postern.v1.Personal.
func (w *wire) personal(p *audit.Personal) {
	w.text(1, p.Email)
	w.maybe(2, p.EmailVerified)
	w.text(3, p.AccountID)
	w.text(4, p.TypedAddress)
	w.text(5, p.ClaimedAccountID)
	w.text(6, p.PresentedAccountID)
	w.text(7, p.DisplayName)
	w.text(8, p.IP)
	w.text(9, p.UserAgent)
	w.text(10, p.DeviceID)
	w.text(11, p.Detail)
	w.items(12, p.AMR)
	w.text(13, p.ACR)
	w.items(14, p.Items)
	w.text(15, p.Issuer)
	w.text(16, p.SubjectID)
	w.text(17, p.PreviousEmail)
}

// tally writes the counters in the order of their names, so that the same tally always has the same bytes.
func (w *wire) tally(n protowire.Number, counts map[string]int64) {
	if len(counts) == 0 {
		return
	}
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		at := w.open(n)
		w.text(1, name)
		w.number(2, counts[name])
		w.close(at)
	}
}
