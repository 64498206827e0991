package totp

import (
	"bytes"
	"crypto/rand"
	"errors"
	"image"
	"image/png"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pquerna/otp"

	"github.com/postern-audit/postern/internal/secret"
)

func TestTOTP5SecretsAreAsLongAsTheHash(t *testing.T) {
	for alg, size := range map[Algorithm]int{SHA1: 20, SHA256: 32, SHA512: 64} {
		a, err := NewSecret(rand.Reader, alg)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewSecret(rand.Reader, alg)
		if err != nil || len(a.Reveal()) != size || bytes.Equal(a.Reveal(), b.Reveal()) {
			t.Errorf("%s: %d bytes, %v", alg, len(a.Reveal()), err)
		}
		back, err := ParseBase32(Base32(a).Reveal())
		if err != nil || !bytes.Equal(back.Reveal(), a.Reveal()) {
			t.Errorf("%s: base32 and back: %v", alg, err)
		}
	}
	if _, err := NewSecret(rand.Reader, 0); err == nil {
		t.Error("no algorithm, and a secret")
	}
	for _, broken := range []*bytes.Reader{bytes.NewReader(nil), bytes.NewReader(make([]byte, 19))} {
		if s, err := NewSecret(broken, SHA1); err == nil || !s.IsZero() {
			t.Errorf("a source that ends early: %v", err)
		}
	}
	if _, err := NewSecret(iotest.ErrReader(errors.New("no entropy")), SHA1); err == nil {
		t.Error("a broken source, and a secret")
	}
}

func TestParseBase32(t *testing.T) {
	want := []byte(seeds[SHA1])
	for _, s := range []string{
		"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
		"gezd-gnbv-gy3t-qojq-gezd-gnbv-gy3t-qojq ",
	} {
		if got, err := ParseBase32(s); err != nil || !bytes.Equal(got.Reveal(), want) {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, want := range map[string]string{"JBSWY3DPEHPK3PXP": "Hello!\xde\xad\xbe\xef", "MY======": "f", "MY": "f", "MZXQ====": "fo"} {
		if got, err := ParseBase32(s); err != nil || string(got.Reveal()) != want {
			t.Errorf("%q: %q, %v", s, got.Reveal(), err)
		}
	}
	const canary = "KANARI0"
	for _, bad := range []string{
		"", " ", "=", "========", "A", "ABC", canary, "GEZDGNB1", "GEZDGNB8", "GEZD\nGNBV", "GEZD=GNBV", "ＧＥＺＤ", "GEZD\x00GNB", "GEZDGNBÄ",
		strings.Repeat("A", 208), strings.Repeat("A", 1<<20), strings.Repeat(" ", 1<<20),
	} {
		got, err := ParseBase32(bad)
		if err == nil {
			t.Errorf("%.20q is accepted: %d bytes", bad, len(got.Reveal()))
		} else if strings.Contains(err.Error(), canary) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
	if got, err := ParseBase32(strings.Repeat("A", 205)); err != nil || len(got.Reveal()) != MaxSecret {
		t.Errorf("the longest secret: %d bytes, %v", len(got.Reveal()), err)
	}
	for n, ok := range map[int]bool{0: false, 10: false, 13: false, 14: true, 20: true, 128: true, 129: false} {
		if err := CheckStrength(secret.NewBytes(make([]byte, n))); (err == nil) != ok {
			t.Errorf("strength of %d bytes: %v", n, err)
		}
	}
}

func TestTOTP5URI(t *testing.T) {
	key := secret.NewBytes([]byte(seeds[SHA1]))
	got, err := URI("Acme Wiki/2", "gäst+1@example.org", key, Default())
	const want = "otpauth://totp/Acme%20Wiki%2F2:g%C3%A4st%2B1%40example.org?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" +
		"&issuer=Acme%20Wiki%2F2&algorithm=SHA1&digits=6&period=30"
	if err != nil || got != want {
		t.Errorf("\n%s, %v, want\n%s", got, err, want)
	}
	for _, bad := range []string{
		"", " ", "a:b", "a:", ":", " a", "a ", "a\nb", "a\x00", "a\x7f", "a\u0085b", "a\u200bb", "a\u202eb", "a\u2028b", "a\u00a0b", "a\xff",
		strings.Repeat("a", MaxAccount+1),
	} {
		if uri, err := URI(bad, "guest", key, Default()); err == nil {
			t.Errorf("issuer %.20q: %s", bad, uri)
		}
		if uri, err := URI("Acme", bad, key, Default()); err == nil {
			t.Errorf("account %.20q: %s", bad, uri)
		}
	}
	if _, err := URI("Acme", "guest", key, Params{}); err == nil {
		t.Error("no parameters, and a URI")
	}
	if _, err := URI("Acme", "guest", secret.NewBytes([]byte("0123456789")), Default()); err == nil {
		t.Error("80 bits, and a URI")
	}
}

func TestQR(t *testing.T) {
	longest, err := URI(strings.Repeat("ä", MaxIssuer/2), strings.Repeat("ä", MaxAccount/2), secret.NewBytes(make([]byte, 64)),
		Params{Algorithm: SHA512, Digits: 8, Period: 120 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	short, err := URI("Acme", "guest@example.org", secret.NewBytes([]byte(seeds[SHA1])), Default())
	if err != nil {
		t.Fatal(err)
	}
	pictures := map[string]bool{}
	for _, uri := range []string{short, longest} {
		b, err := QR(uri)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(uri), err)
		}
		img, err := png.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		side := qrSize + 2*qrBorder
		if img.Bounds() != image.Rect(0, 0, side, side) {
			t.Fatalf("bounds %v", img.Bounds())
		}
		dark := 0
		for x := range side {
			for y := range side {
				r, _, _, _ := img.At(x, y).RGBA()
				if r != 0 {
					continue
				}
				dark++
				if min(x, y) < qrBorder || max(x, y) >= side-qrBorder {
					t.Fatalf("the border is not white at %d,%d", x, y)
				}
			}
		}
		if share := float64(dark) / (qrSize * qrSize); share < 0.2 || share > 0.6 {
			t.Errorf("%.2f of the picture is dark: that is no QR code", share)
		}
		pictures[string(b)] = true
	}
	if len(pictures) != 2 {
		t.Error("two URIs, one picture")
	}
	const canary = "KANARIENVOGEL"
	for _, bad := range []string{
		"", "https://example.org/?secret=" + canary, "otpauth://hotp/a:b?secret=" + canary, "otpauth://totp/%zz?secret=" + canary,
		"otpauth://totp/a:b?secret=" + strings.Repeat(canary, 400),
	} {
		if _, err := QR(bad); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzParseBase32(f *testing.F) {
	for _, s := range []string{"JBSWY3DPEHPK3PXP", "mzxw 6===", "", "A-B", "=\x00", "７"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseBase32(s)
		if err != nil {
			if !got.IsZero() {
				t.Fatal("an error and a secret")
			}
			return
		}
		back, err := ParseBase32(Base32(got).Reveal())
		if n := len(got.Reveal()); err != nil || n == 0 || n > MaxSecret || !bytes.Equal(back.Reveal(), got.Reveal()) {
			t.Fatalf("%d bytes do not come back: %v", n, err)
		}
	})
}

func FuzzURI(f *testing.F) {
	f.Add("Acme", "guest@example.org")
	f.Add("A&issuer=B", "x?secret=AAAA#")
	f.Add("ä/%2F", "+ +")
	key := secret.NewBytes([]byte(seeds[SHA1]))
	f.Fuzz(func(t *testing.T, issuer, account string) {
		uri, err := URI(issuer, account, key, Default())
		if err != nil {
			return
		}
		read, err := otp.NewKeyFromURL(uri)
		if err != nil || read.Type() != "totp" || read.Issuer() != issuer || read.AccountName() != account ||
			read.Secret() != Base32(key).Reveal() || read.Period() != 30 || read.Digits() != 6 || read.Algorithm() != otp.AlgorithmSHA1 {
			t.Fatalf("%q, %q come back as %q, %q: %v", issuer, account, read.Issuer(), read.AccountName(), err)
		}
	})
}
