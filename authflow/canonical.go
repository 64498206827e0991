package authflow

import (
	"encoding/binary"
	"slices"
	"time"
)

// A canonical request is what two calls must share to be the same call: the converted values as fields in the order of their
// numbers in the API, each with its length in front, absent ones left out. Nothing minted here is in it, nor the request id.
// It may hold what was typed and a session handle, so it lives only until it is hashed.
type canonical struct{ b []byte }

// newCanonical begins a request, with room for most.
func newCanonical() *canonical { return &canonical{make([]byte, 0, 384)} }

// head writes what stands in front of a value.
func (c *canonical) head(number, size int) {
	c.b = binary.AppendUvarint(c.b, uint64(number)) //nolint:gosec // field numbers are small constants
	c.b = binary.AppendUvarint(c.b, uint64(size))   //nolint:gosec // never negative
}

// field writes one present field.
func (c *canonical) field(number int, value []byte) {
	c.head(number, len(value))
	c.b = append(c.b, value...)
}

func (c *canonical) text(number int, parts ...string) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	if size == 0 {
		return
	}
	c.head(number, size)
	for _, p := range parts {
		c.b = append(c.b, p...)
	}
}

func (c *canonical) number(number int, n int64) {
	if n != 0 {
		c.head(number, 8)
		c.b = binary.BigEndian.AppendUint64(c.b, uint64(n)) //nolint:gosec // the same bits
	}
}

func (c *canonical) flag(number int, b *bool) {
	if b == nil {
		return
	}
	c.head(number, 1)
	if *b {
		c.b = append(c.b, 1)
	} else {
		c.b = append(c.b, 0)
	}
}

func (c *canonical) time(number int, t time.Time) {
	if !t.IsZero() {
		c.head(number, 12)
		c.b = binary.BigEndian.AppendUint64(c.b, uint64(t.Unix()))       //nolint:gosec // the same bits
		c.b = binary.BigEndian.AppendUint32(c.b, uint32(t.Nanosecond())) //nolint:gosec // below 1e9
	}
}

// message writes a nested value. An empty one is left out unless it is given although it is empty.
func (c *canonical) message(number int, given bool, fill func(*canonical)) {
	at := len(c.b)
	fill(c)
	size := len(c.b) - at
	if size == 0 && !given {
		return
	}
	var room [2 * binary.MaxVarintLen64]byte
	head := binary.AppendUvarint(room[:0], uint64(number)) //nolint:gosec // a small constant
	head = binary.AppendUvarint(head, uint64(size))        //nolint:gosec // never negative
	c.b = slices.Insert(c.b, at, head...)
}

// canonical returns the canonical form of a start.
func (in *StartInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Site)
	c.message(3, false, in.Subject.canonical)
	c.message(4, false, in.Context.canonical)
	c.text(5, in.CorrelationID)
	c.number(6, int64(in.Lifetime))
	for i := range in.Steps {
		c.message(7, true, in.Steps[i].canonical)
	}
	if in.Finish != nil {
		c.message(8, true, in.Finish.canonical)
	}
	c.time(9, in.OccurredAt)
	return c.b
}

func (in *StepInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Flow.String())
	c.message(3, true, in.Step.canonical)
	return c.b
}

func (in *FinishInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Flow.String())
	c.message(3, true, in.Finish.canonical)
	return c.b
}

func (in *SessionInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Site)
	c.number(3, int64(in.Event))
	c.field(4, in.Handle)
	c.text(5, in.Flow.String())
	c.time(6, in.OccurredAt)
	c.time(7, in.ExpiresAt)
	c.message(8, false, in.Context.canonical)
	c.text(9, in.Kind)
	c.text(10, in.EndCause)
	return c.b
}

func (in *CodeInput) canonical() []byte {
	var c canonical
	c.text(1, in.Organization+"/"+in.Flow.String())
	c.text(3, in.Code)
	if in.Context != nil {
		c.message(4, true, in.Context.canonical)
	}
	return c.b
}

// canonical writes an e-mail as what it was read as: an address and a text that is none never look alike.
func (s *Subject) canonical(c *canonical) {
	c.text(1, s.AccountID)
	if !s.Address.IsZero() {
		c.text(2, "a", s.Address.String())
	} else if s.Identifier != "" {
		c.text(2, "i", s.Identifier)
	}
	c.flag(3, s.EmailVerified)
	c.number(4, int64(s.Kind))
	c.text(5, s.DisplayName)
}

func (x *Context) canonical(c *canonical) {
	if x.IP.IsValid() {
		c.text(1, x.IP.String())
	}
	c.text(2, x.UserAgent)
	c.text(3, x.DeviceID)
	c.number(4, int64(x.Client))
}

func (s *StepReport) canonical(c *canonical) {
	c.text(1, string(s.Type))
	c.text(2, s.Method)
	c.text(3, s.Connection)
	c.text(4, s.Factor)
	c.text(5, s.Reason)
	c.text(6, s.Detail)
	c.message(7, false, s.Subject.canonical)
	c.flag(8, s.UserVerified)
	c.time(9, s.AuthenticatedAt)
	if s.Context != nil {
		c.message(10, true, s.Context.canonical)
	}
	c.time(11, s.OccurredAt)
	for _, amr := range s.AMR {
		c.head(12, len(amr))
		c.b = append(c.b, amr...)
	}
	c.text(13, s.ACR)
	if len(s.SessionHandle) > 0 {
		c.field(14, s.SessionHandle)
	}
}

func (f *Finish) canonical(c *canonical) {
	c.number(1, int64(f.Action))
	c.text(2, f.Reason)
	c.text(3, f.Detail)
	c.time(4, f.OccurredAt)
}

func (in *BeginInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Flow.String())
	c.text(3, in.Connection)
	c.text(4, in.CallbackURL)
	c.text(5, in.LoginHint)
	c.number(6, int64(in.MaxAge))
	for _, acr := range in.ACRValues {
		c.field(7, []byte(acr))
	}
	c.flag(8, &in.Prompt)
	c.flag(9, &in.Post)
	c.flag(10, &in.Links)
	if in.Context != nil {
		c.message(11, true, in.Context.canonical)
	}
	return c.b
}

func (in *CompleteInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Flow.String())
	c.text(3, in.BrowserToken)
	if b := in.Callback; b != nil {
		c.message(4, true, func(c *canonical) { c.texts(b.State, b.Code, b.Issuer, b.Error, b.ErrorDescription) })
	}
	if t := in.Token; t != nil {
		c.message(5, true, func(c *canonical) { c.texts(t.IDToken, t.AccessToken, t.State) })
	}
	if s := in.SAML; s != nil {
		c.message(6, true, func(c *canonical) { c.texts(s.Response, s.RelayState) })
	}
	if e := in.Expectations; e != nil {
		c.message(7, true, func(c *canonical) { c.texts(e.RequestID, e.Nonce, e.CallbackURL); c.number(4, int64(e.MaxAge)) })
	}
	if in.Context != nil {
		c.message(8, true, in.Context.canonical)
	}
	c.text(9, in.Connection)
	c.text(10, in.Site)
	return c.b
}

// texts writes fields 1, 2, 3 …
func (c *canonical) texts(values ...string) {
	for i, v := range values {
		c.text(i+1, v)
	}
}

func (in *LinkInput) canonical() []byte {
	c := newCanonical()
	c.text(1, in.Organization, "/", in.Flow.String())
	c.text(3, in.AccountID)
	c.flag(4, &in.NewAccount)
	c.text(5, in.Address.String())
	if in.Context != nil {
		c.message(6, true, in.Context.canonical)
	}
	return c.b
}
