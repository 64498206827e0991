package totp

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pquerna/otp"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/internal/secret"
)

// Bounds of the two names an app shows, in bytes: the URI has to fit a QR code that a phone can read.
const (
	MaxIssuer  = 64
	MaxAccount = 254
)

// Size of the QR code in pixels: the code itself, and the white border without which many readers do not see it.
const (
	qrSize   = 512
	qrBorder = 64
)

// URI is what an app reads to learn a secret: otpauth://totp/ISSUER:ACCOUNT?…. It holds the secret and is shown once. Issuer
// and account must not hold a colon, which divides them, nor anything that cannot be seen.
func URI(issuer, account string, s secret.Bytes, p Params) (string, error) {
	if err := checkName("issuer", issuer, MaxIssuer); err != nil {
		return "", err
	}
	if err := checkName("account", account, MaxAccount); err != nil {
		return "", err
	}
	if err := p.Validate(); err != nil {
		return "", err
	}
	if err := CheckStrength(s); err != nil {
		return "", err
	}
	return "otpauth://totp/" + escape(issuer) + ":" + escape(account) +
		"?secret=" + Base32(s).Reveal() +
		"&issuer=" + escape(issuer) +
		"&algorithm=" + p.Algorithm.String() +
		"&digits=" + strconv.Itoa(p.Digits) +
		"&period=" + strconv.FormatInt(int64(p.Period/time.Second), 10), nil
}

// escape leaves nothing but unreserved characters, so that it fits path and query alike. Spaces become %20: apps show a + as it is.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func checkName(field, s string, longest int) error {
	switch {
	case s == "" || strings.TrimSpace(s) != s:
		return errs.Field(field, "FIELD_INVALID", "not empty, no space at its ends")
	case len(s) > longest:
		return errs.Field(field, "FIELD_INVALID", "at most "+strconv.Itoa(longest)+" bytes")
	case !utf8.ValidString(s):
		return errs.Field(field, "FIELD_INVALID", "valid UTF-8")
	case strings.ContainsRune(s, ':'):
		return errs.Field(field, "FIELD_INVALID", "no colon: it divides issuer and account")
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errs.Field(field, "FIELD_INVALID", "no control characters and nothing else that cannot be seen")
	}
	return nil
}

// QR draws a URI of this package as a black and white PNG.
func QR(uri string) ([]byte, error) {
	// Errors of the libraries repeat the URI, and with it the secret: their text stays here.
	bad := errs.New(errs.Internal, "QR_FAILED", "the QR code could not be drawn")
	if !strings.HasPrefix(uri, "otpauth://totp/") {
		return nil, bad
	}
	key, err := otp.NewKeyFromURL(uri)
	if err != nil {
		return nil, bad
	}
	code, err := key.Image(qrSize, qrSize)
	if err != nil {
		return nil, bad
	}
	canvas := image.NewPaletted(image.Rect(0, 0, qrSize+2*qrBorder, qrSize+2*qrBorder), color.Palette{color.White, color.Black})
	draw.Draw(canvas, image.Rect(qrBorder, qrBorder, qrBorder+qrSize, qrBorder+qrSize), code, code.Bounds().Min, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, canvas); err != nil {
		return nil, bad
	}
	return out.Bytes(), nil
}
