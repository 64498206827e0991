package codec

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/postern-audit/postern/audit"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// directory writes what an event brings for the archive's history.
func (w *wire) directory(n protowire.Number, d *audit.DirectoryWrite) {
	if d == nil {
		return
	}
	start := w.open(n)
	w.bytes(1, d.Organization)
	for i := range d.Items {
		at := w.open(2)
		if name, ok := d.Items[i].Key.Domain(); ok {
			w.text(1, name)
		} else if hash, ok := d.Items[i].Key.Claim(); ok {
			w.bytes(2, []byte(hash))
		} else {
			w.bad = true
		}
		w.bytes(3, d.Items[i].Record)
		w.close(at)
	}
	w.number(3, d.BackTo)
	w.close(start)
}

// directoryFrom is the reverse. The result shares bytes with m.
func directoryFrom(m *storev1.DirectoryWrite) (*audit.DirectoryWrite, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // most events bring nothing
	}
	d := &audit.DirectoryWrite{Organization: filled(m.GetOrganization()), BackTo: m.GetBackTo()}
	for _, item := range m.GetItems() {
		var key audit.DirectoryKey
		switch k := item.GetKey().(type) {
		case *storev1.DirectoryItem_Domain:
			key = audit.DomainKey(k.Domain)
		case *storev1.DirectoryItem_Claim:
			key = audit.ClaimKey(k.Claim)
		}
		if len(key) < 2 {
			return nil, malformed(nil, "it brings an item of a directory without a name")
		}
		d.Items = append(d.Items, audit.DirectoryItem{Key: key, Record: filled(item.GetRecord())})
	}
	return d, nil
}

// filled makes nothing of no bytes.
func filled(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
