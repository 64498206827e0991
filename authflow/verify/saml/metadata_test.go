package saml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

func TestMetadataOfAProviderIsRead(t *testing.T) {
	w := samltest.New(t, moment)
	want := w.Provider(w.Main, w.P256)
	doc := samltest.Metadata(want)
	for name, c := range map[string]struct {
		change func(string) string
		want   func(*saml.Provider)
	}{
		"as it is":           {},
		"with a declaration": {change: func(s string) string { return `<?xml version="1.0" encoding="UTF-8"?>` + s }},
		"among others": {change: func(s string) string {
			return `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"><md:EntityDescriptor entityID="sp"><md:SPSSODescriptor/></md:EntityDescriptor>` +
				s + `</md:EntitiesDescriptor>`
		}},
		"a certificate given twice": {change: func(s string) string {
			begin, end := strings.Index(s, "<md:KeyDescriptor"), strings.Index(s, "</md:KeyDescriptor>")+len("</md:KeyDescriptor>")
			return s[:end] + s[begin:end] + s[end:]
		}},
		"a certificate for any use, broken into lines": {change: func(s string) string {
			return strings.ReplaceAll(strings.Replace(s, ` use="signing"`, "", 1), "<ds:X509Certificate>M", "<ds:X509Certificate>\n   M\n ")
		}},
		"one to encrypt with": {
			change: func(s string) string { return strings.Replace(s, `use="signing"`, `use="encryption"`, 1) },
			want:   func(p *saml.Provider) { p.Certificates = p.Certificates[1:] },
		},
		"signed requests": {
			change: func(s string) string {
				return strings.Replace(s, "<md:IDPSSODescriptor", `<md:IDPSSODescriptor WantAuthnRequestsSigned="true"`, 1)
			},
			want: func(p *saml.Provider) { p.WantsSigned = true },
		},
		"an end and an age": {
			change: func(s string) string {
				s = strings.Replace(s, "<md:EntityDescriptor", `<md:EntityDescriptor validUntil="2031-06-01T00:00:00Z" cacheDuration="P1D"`, 1)
				return strings.Replace(s, "<md:IDPSSODescriptor", `<md:IDPSSODescriptor validUntil="2031-05-20T00:00:00Z" cacheDuration="PT6H"`, 1)
			},
			want: func(p *saml.Provider) {
				p.ValidUntil, p.CacheFor = time.Date(2031, 5, 20, 0, 0, 0, 0, time.UTC), 6*time.Hour
			},
		},
		"only one binding": {
			change: func(s string) string { return strings.Replace(s, "bindings:HTTP-POST", "bindings:SOAP", 1) },
			want:   func(p *saml.Provider) { p.PostURL = "" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, expected := doc, want
			if c.change != nil {
				text = c.change(doc)
			}
			if c.want != nil {
				c.want(&expected)
			}
			got, err := saml.ParseMetadata([]byte(text), moment)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMetadataThatIsNoGoodIsRefused(t *testing.T) {
	w := samltest.New(t, moment)
	doc := samltest.Metadata(w.Provider(w.Main))
	swap := func(old, changed string) string {
		if !strings.Contains(doc, old) {
			t.Fatalf("no %q", old)
		}
		return strings.Replace(doc, old, changed, 1)
	}
	cert := doc[strings.Index(doc, "<md:KeyDescriptor") : strings.Index(doc, "</md:KeyDescriptor>")+len("</md:KeyDescriptor>")]
	for name, text := range map[string]string{
		"empty":                  "",
		"too long":               doc + strings.Repeat(" ", saml.MaxMetadata),
		"a response":             w.Draft().Response(),
		"a doctype":              "<!DOCTYPE x>" + doc,
		"a comment":              swap("<md:IDPSSODescriptor", "<!-- x --><md:IDPSSODescriptor"),
		"over":                   swap("<md:EntityDescriptor", `<md:EntityDescriptor validUntil="2031-05-14T09:30:00Z"`),
		"over for the role":      swap("<md:IDPSSODescriptor", `<md:IDPSSODescriptor validUntil="2031-05-14T09:30:00Z"`),
		"an unreadable end":      swap("<md:EntityDescriptor", `<md:EntityDescriptor validUntil="soon"`),
		"an unreadable age":      swap("<md:EntityDescriptor", `<md:EntityDescriptor cacheDuration="soon"`),
		"no entity id":           swap(` entityID="`+samltest.IDP+`"`, ""),
		"an entity id of spaces": swap(samltest.IDP, " "),
		"no provider":            swap("urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:1.1:protocol"),
		"two providers": `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">` + doc + strings.Replace(doc, `"_metadata"`, `"_other"`, 1) +
			`</md:EntitiesDescriptor>`,
		"no certificate":                    samltest.Metadata(w.Provider()),
		"a certificate of noise":            swap("<ds:X509Certificate>", "<ds:X509Certificate>AAAA"),
		"no base64":                         swap("<ds:X509Certificate>", "<ds:X509Certificate>*"),
		"a strange location":                swap("https://idp.example.com/sso/post", "javascript:alert(1)"),
		"a location with a user":            swap("https://idp.example.com/sso/post", "https://a:b@idp.example.com/"),
		"a relative location":               swap("https://idp.example.com/sso/post", "/sso"),
		"a second id":                       swap("<md:IDPSSODescriptor", `<md:IDPSSODescriptor ID="_metadata"`),
		"cut off":                           doc[:len(doc)-10],
		"certificates to encrypt with only": strings.ReplaceAll(doc, cert, strings.Replace(cert, `"signing"`, `"encryption"`, 1)),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := saml.ParseMetadata([]byte(text), moment); err == nil || got.EntityID != "" || len(err.Error()) > 300 {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestSignedMetadataIsOnlyWhatItsSignatureCovers(t *testing.T) {
	w := samltest.New(t, moment)
	p := w.Provider(w.Main)
	doc := w.SignedMetadata(p, &samltest.Signing{By: w.Next})
	got, err := saml.ParseSignedMetadata([]byte(doc), w.Next.Certificate, moment)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		doc  string
		cert samltest.Signer
	}{
		"of somebody else":       {doc, w.Attacker},
		"not signed":             {samltest.Metadata(p), w.Next},
		"changed":                {strings.Replace(doc, "/sso/post", "/evil", 1), w.Next},
		"changed in its key":     {strings.Replace(doc, `use="signing"`, `use="encryption"`, 1), w.Next},
		"SHA-1":                  {w.SignedMetadata(p, &samltest.Signing{By: w.Next, Digest: samltest.SHA1}), w.Next},
		"an expired certificate": {w.SignedMetadata(p, &samltest.Signing{By: w.Main}), w.Expired},
		"signed for another element": {`<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_outer">` + doc +
			`</md:EntitiesDescriptor>`, w.Next},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := saml.ParseSignedMetadata([]byte(c.doc), c.cert.Certificate, moment); err == nil || got.EntityID != "" {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if _, err := saml.ParseSignedMetadata([]byte(doc), nil, moment); err == nil {
		t.Error("accepted without a certificate")
	}
}
