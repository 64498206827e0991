package codec_test

import (
	"testing"

	"github.com/postern-audit/postern/audit"
)

// Whose account an event is about stays told when its personal part is sealed and it is encoded again.
func TestARecordSaysWhoseAccountItIsAbout(t *testing.T) {
	c, r := newCodec(t)
	for name, p := range map[string]audit.Personal{
		"proven":           {AccountID: "ann"},
		"proven and other": {AccountID: "ann", ClaimedAccountID: "bob", PresentedAccountID: "eve"},
		"claimed":          {ClaimedAccountID: "ann"},
		"presented":        {PresentedAccountID: "ann", Email: "ann@partner.example"},
	} {
		e := audit.Event{ID: "e", Type: audit.TypePasswordVerified, OrganizationUID: organization, Personal: p}
		for range 3 {
			b, err := c.Encode(&e)
			if err != nil {
				t.Fatal(err)
			}
			if e, err = c.Decode(b); err != nil {
				t.Fatal(err)
			}
			got, ok := audit.SubjectOf(&e)
			want, err := r.Index(organization, audit.IndexAccount, "ann")
			if err != nil {
				t.Fatal(err)
			}
			if ok != (p.AccountID != "") || ok && string(got.Value) != string(want.Value) {
				t.Errorf("%s: about %x, %v", name, got.Value, ok)
			}
		}
	}
}
