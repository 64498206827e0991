package codec

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// pseudonymizer is a sealer that can put something in the place of an address that is the same each time.
type pseudonymizer interface {
	Pseudonym(organizationUID, address string) string
}

// Mask takes from e what its privacy does not let stay, in the form readers see. An event that was masked stays as it is.
func (c *Codec) Mask(e *audit.Event) error {
	if e.Privacy.Full() {
		return nil
	}
	p, ok := c.sealer.(pseudonymizer)
	if !ok {
		return errs.New(errs.Internal, "PRIVACY_UNAVAILABLE", "this process cannot leave out what must not be kept")
	}
	e.Personal = e.Privacy.Mask(audit.CategoryOf(e.Type), e.Personal, func(address string) string {
		return p.Pseudonym(e.OrganizationUID, audit.IndexValue(audit.IndexEmail, address))
	})
	if e.Privacy.Email >= audit.EmailOmitted {
		e.IdentifierHash = ""
	}
	return nil
}

// SealWhole seals all of e's personal part, whatever its privacy, unless it is sealed: for the state of a flow, which decides by
// it, and never for what readers get. It makes no indexes.
func (c *Codec) SealWhole(e *audit.Event) (err error) {
	if e.Sealed == nil {
		e.Sealed, err = c.seal(e)
	}
	return err
}

// sealMasked masks e, seals what is left, and makes the indexes that its privacy leaves: those of addresses from the addresses.
func (c *Codec) sealMasked(e *audit.Event) error {
	var stack [maxTerms]audit.IndexTerm
	terms := e.Privacy.Terms(termsOf(stack[:0], e), e.Personal.IP)
	indexes, err := makeIndexes(c.sealer, e.OrganizationUID, terms)
	if err != nil && !errs.Is(err, audit.KeyDestroyed) {
		return err
	}
	if err := c.Mask(e); err != nil {
		return err
	}
	e.Indexes = slices.Concat(indexes, e.Privacy.Sought(e.Sought))
	if e.Sealed, err = c.seal(e); errs.Is(err, audit.KeyDestroyed) {
		return nil // that it happened is still recorded
	}
	return err
}

// PrivacyToProto converts a privacy; nil when nothing is given.
func PrivacyToProto(p audit.Privacy) *posternv1.Privacy {
	if p == (audit.Privacy{}) {
		return nil
	}
	return &posternv1.Privacy{Email: posternv1.Privacy_Email(p.Email), Ip: posternv1.Privacy_Ip(p.IP),
		UserContent: posternv1.Privacy_UserContent(p.UserContent)}
}

// PrivacyFromProto is the reverse of PrivacyToProto. What this process does not know keeps as little as it knows.
func PrivacyFromProto(m *posternv1.Privacy) audit.Privacy {
	return audit.Privacy{Email: audit.EmailPrivacy(known(m.GetEmail(), audit.EmailOmitted)), IP: audit.IPPrivacy(known(m.GetIp(), audit.IPOmitted)),
		UserContent: audit.ContentPrivacy(known(m.GetUserContent(), audit.ContentOmitted))}
}

// known bounds a number by the greatest this process knows.
func known[E ~int32, T ~uint8](n E, greatest T) uint8 {
	if n < 0 || n > E(greatest) {
		return uint8(greatest)
	}
	return uint8(n)
}

// privacy writes a postern.v1.Privacy.
func (w *wire) privacy(n protowire.Number, p audit.Privacy) {
	if p == (audit.Privacy{}) {
		return
	}
	at := w.open(n)
	w.number(1, int64(p.Email))
	w.number(2, int64(p.IP))
	w.number(3, int64(p.UserContent))
	w.close(at)
}
