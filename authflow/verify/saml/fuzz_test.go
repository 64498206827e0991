package saml_test

import (
	"testing"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

// mutate cuts bytes out of a document and puts others in. The fuzzer's processes have keys of their own, so it is given what to
// change in a case, not the documents themselves.
func mutate(doc string, at, cut uint32, put []byte) []byte {
	from := int(at) % (len(doc) + 1)
	to := min(from+int(cut)%4096, len(doc))
	return append(append([]byte(doc[:from]), put...), doc[to:]...)
}

func FuzzVerify(f *testing.F) {
	w := samltest.New(f, moment)
	cases := w.Cases()
	// What keys of the provider say somebody is. One of them the suite signed with a comment in it, which the fuzzer may take out.
	said := map[string]bool{"admin@example.com.evil.example": true}
	for _, c := range cases {
		if id, err := saml.Verify([]byte(c.Response), c.Expect, c.Now); err == nil {
			said[id.ID] = true
		}
	}
	for i := range cases {
		f.Add(uint16(i), uint32(0), uint32(0), []byte{})
	}
	for _, piece := range []string{
		"<!---->", "<!DOCTYPE x>", "<?x?>", ` xmlns:saml="urn:x"`, ` ID="_assertion-1"`, "<saml:Assertion/>", "<x:Signature xmlns:x=\"urn:x\"/>",
		"]]>", "<![CDATA[", "&#0;", "\xff", ">", "<", "\"", "AAAA",
	} {
		f.Add(uint16(0), uint32(600), uint32(0), []byte(piece))
		f.Add(uint16(1), uint32(1200), uint32(10), []byte(piece))
	}
	f.Fuzz(func(t *testing.T, which uint16, at, cut uint32, put []byte) {
		c := cases[int(which)%len(cases)]
		doc := mutate(c.Response, at, cut, put)
		for _, unsolicited := range []bool{false, true} {
			e := c.Expect
			if unsolicited {
				e.RequestID, e.Unsolicited = "", true
			}
			e.Decrypt = w.Decrypt()
			id, err := saml.Verify(doc, e, c.Now)
			if err != nil {
				if id.ID != "" || id.Issuer != "" {
					t.Fatalf("refused with the identity %+v", id)
				}
				if r := refusal(t, err); r.Reason == audit.ReasonVerifierError {
					t.Fatalf("%s: %s", c.Name, r.Detail)
				}
				continue
			}
			if !said[id.ID] || id.Issuer != samltest.IDP {
				t.Fatalf("%s: nobody said %+v", c.Name, id)
			}
		}
		if _, err := saml.Verify(put, c.Expect, c.Now); err == nil {
			t.Fatal("a document without a signature was accepted")
		}
	})
}

func FuzzParseMetadata(f *testing.F) {
	w := samltest.New(f, moment)
	p := w.Provider(w.Main, w.P256)
	docs := []string{samltest.Metadata(p), w.SignedMetadata(p, &samltest.Signing{By: w.Next}), `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">` + samltest.Metadata(p) + `</md:EntitiesDescriptor>`}
	for i := range docs {
		f.Add(uint8(i), uint32(0), uint32(0), []byte{})
		f.Add(uint8(i), uint32(100), uint32(0), []byte(` validUntil="2031-05-15T00:00:00Z" cacheDuration="P1D"`))
		f.Add(uint8(i), uint32(200), uint32(30), []byte("<!-- x -->"))
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint32, put []byte) {
		doc := mutate(docs[int(which)%len(docs)], at, cut, put)
		if got, err := saml.ParseMetadata(doc, moment); err == nil {
			if got.EntityID == "" || len(got.Certificates) == 0 || !got.ValidUntil.IsZero() && !got.ValidUntil.After(moment) {
				t.Fatalf("%+v", got)
			}
		} else if got.EntityID != "" || got.Certificates != nil {
			t.Fatalf("refused with %+v", got)
		}
		if got, err := saml.ParseSignedMetadata(doc, w.Next.Certificate, moment); err == nil && (got.EntityID != p.EntityID || len(got.Certificates) != 2) {
			t.Fatalf("signed metadata was changed: %+v", got)
		}
		_, _ = saml.ParseMetadata(put, moment)
		if _, err := saml.ParseKey(put); err == nil {
			t.Fatal("a key was made up")
		}
		if _, err := saml.DecodeResponse(string(put)); err != nil {
			_ = refusal(t, err)
		}
	})
}
