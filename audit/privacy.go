package audit

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// EmailPrivacy says what becomes of e-mail addresses. A greater one keeps less. Numbers equal posternv1.Privacy_Email.
type EmailPrivacy uint8

// What becomes of e-mail addresses. The zero value means "not given".
const (
	EmailFull      EmailPrivacy = 1
	EmailPseudonym EmailPrivacy = 2 // a keyed hash in its place; still found by the address
	EmailOmitted   EmailPrivacy = 3
)

// IPPrivacy says what becomes of network addresses. A greater one keeps less. Numbers equal posternv1.Privacy_Ip.
type IPPrivacy uint8

// What becomes of network addresses. The zero value means "not given".
const (
	IPFull      IPPrivacy = 1
	IPTruncated IPPrivacy = 2 // the network: IPv4 /24, IPv6 /48
	IPOmitted   IPPrivacy = 3
)

// ContentPrivacy says what becomes of what people and their programs write. Numbers equal posternv1.Privacy_UserContent.
type ContentPrivacy uint8

// What becomes of it. The zero value means "not given".
const (
	ContentKept    ContentPrivacy = 1
	ContentOmitted ContentPrivacy = 2
)

// Privacy says what the record keeps of people. On an event the zero value means that all of it was kept; on a site, that its
// organization decides.
type Privacy struct {
	Email       EmailPrivacy
	IP          IPPrivacy
	UserContent ContentPrivacy
}

// Full reports whether everything is kept.
func (p Privacy) Full() bool {
	return p.Email <= EmailFull && p.IP <= IPFull && p.UserContent <= ContentKept
}

// With returns what keeps no more than either. It is zero when that is everything.
func (p Privacy) With(q Privacy) Privacy {
	p = Privacy{max(p.Email, q.Email), max(p.IP, q.IP), max(p.UserContent, q.UserContent)}
	if p.Full() {
		return Privacy{}
	}
	return p
}

// Over returns p with what it does not give taken from q: what holds at a site of an organization.
func (p Privacy) Over(q Privacy) Privacy {
	if p.Email == 0 {
		p.Email = q.Email
	}
	if p.IP == 0 {
		p.IP = q.IP
	}
	if p.UserContent == 0 {
		p.UserContent = q.UserContent
	}
	return p
}

// String returns the documented name, "" when nothing is given.
func (e EmailPrivacy) String() string { return word(e, "", "FULL", "PSEUDONYM", "OMITTED") }

// String returns the documented name, "" when nothing is given.
func (i IPPrivacy) String() string { return word(i, "", "FULL", "TRUNCATED", "OMITTED") }

// String returns the documented name, "" when nothing is given.
func (c ContentPrivacy) String() string { return word(c, "", "KEPT", "OMITTED") }

func word[T ~uint8](n T, words ...string) string {
	if int(n) < len(words) {
		return words[n]
	}
	return "UNKNOWN"
}

// MaskIP cuts an address to its network: IPv4 /24, IPv6 /48, with zero bits behind. "" for what is no address.
func MaskIP(text string) string {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return "" // not reached: both lengths fit
	}
	return prefix.Addr().String()
}

// maskedNetworks are the indexes an address has when it is cut to its network: those no longer than the network.
func maskedNetworks(text string) []IndexTerm {
	ip, err := netip.ParseAddr(MaskIP(text))
	if err != nil {
		return nil
	}
	all := NetworkIndexes(ip)
	if ip.Is4() {
		return all[1:] // /24 /16
	}
	return all[2:] // /48 /32
}

// Mask returns what p lets stay of the personal part of an event of a category, as the event is to show it. Pseudonym makes the
// keyed hash of an address. Masking what was masked changes nothing. Account ids stay: they are what the record is about.
//
// In administrative events what was done to (Items) and why (Detail) stay as well, since without them the event says nothing;
// addresses in them are treated as e-mail everywhere.
func (p Privacy) Mask(c Category, in Personal, pseudonym func(address string) string) Personal {
	out := in
	if p.UserContent == ContentOmitted {
		out.DisplayName, out.UserAgent, out.DeviceID, out.SubjectID = "", "", "", ""
		if c != CategoryAdministration {
			out.Detail, out.Items = "", nil
		}
	}
	switch {
	case p.IP >= IPOmitted:
		out.IP = ""
	case p.IP == IPTruncated:
		out.IP = MaskIP(in.IP)
	}
	if p.Email < EmailPseudonym {
		return out
	}
	m := addresses{pseudonym: pseudonym, omit: p.Email >= EmailOmitted}
	if m.omit {
		out.EmailVerified = nil
	}
	for _, field := range []*string{&out.Email, &out.TypedAddress, &out.PreviousEmail, &out.SubjectID, &out.DeviceID} {
		*field = m.whole(*field)
	}
	for _, field := range []*string{&out.DisplayName, &out.UserAgent, &out.Detail, &out.ACR} {
		*field = m.text(*field)
	}
	out.AMR, out.Items = m.texts(out.AMR), m.texts(out.Items)
	return out
}

// addresses takes addresses out of texts.
type addresses struct {
	pseudonym func(address string) string
	omit      bool
}

// whole is an address, or nothing of one.
func (m addresses) whole(s string) string {
	switch {
	case !strings.Contains(s, "@"):
		return s
	case m.omit:
		return ""
	}
	return m.pseudonym(s)
}

// omittedText stands where an address stood in a longer text.
const omittedText = "[omitted]"

// text takes the addresses out of a text: whatever has an @ in it, up to the next space or bracket.
func (m addresses) text(s string) string {
	if strings.IndexFunc(s, ends) < 0 {
		return m.whole(s)
	}
	var b strings.Builder
	for rest := s; rest != ""; {
		n := strings.IndexFunc(rest, ends)
		if n < 0 {
			n = len(rest)
		}
		word := rest[:n]
		if strings.Contains(word, "@") {
			word = cmp.Or(m.whole(strings.TrimRight(word, ".")), omittedText)
		}
		b.WriteString(word)
		if n < len(rest) {
			b.WriteByte(rest[n])
			n++
		}
		rest = rest[n:]
	}
	return b.String()
}

// ends reports whether a character ends an address in a text. All of them are ASCII, and an address written as one has none.
func ends(r rune) bool { return strings.ContainsRune(" \t\r\n,;:<>()[]\"", r) }

// texts is text for a list; an item of which nothing is left goes.
func (m addresses) texts(in []string) []string {
	if !slices.ContainsFunc(in, func(s string) bool { return strings.Contains(s, "@") }) {
		return in
	}
	out := make([]string, 0, len(in))
	for _, s := range in {
		if t := m.text(s); t != "" {
			out = append(out, t)
		}
	}
	return out
}

// Sought filters the indexes of whom a search was for.
func (p Privacy) Sought(in []Index) []Index {
	if p.Email < EmailOmitted {
		return in
	}
	return slices.DeleteFunc(slices.Clone(in), func(x Index) bool { return x.Purpose == IndexSoughtEmail })
}

// Terms filters what an event of this personal part is found by: those of in, which are made of the whole values.
func (p Privacy) Terms(in []IndexTerm, ip string) []IndexTerm {
	var out []IndexTerm
	for _, t := range in {
		switch t.Purpose { //nolint:exhaustive // accounts stay
		case IndexEmail:
			if p.Email >= EmailOmitted {
				continue
			}
		case IndexEmailDomain:
			if p.Email >= EmailPseudonym {
				continue
			}
		case IndexIdentifier:
			if p.Email >= EmailOmitted {
				continue
			}
		case IndexName:
			if p.UserContent == ContentOmitted || p.Email >= EmailPseudonym && strings.Contains(t.Value, "@") {
				continue
			}
		case IndexNetwork32, IndexNetwork24, IndexNetwork16, IndexNetwork8:
			if p.IP >= IPTruncated {
				continue
			}
		}
		out = append(out, t)
	}
	if p.IP == IPTruncated {
		out = append(out, maskedNetworks(ip)...)
	}
	return out
}
