package show

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"github.com/postern-audit/postern/authflow/verify/totp"
	"github.com/postern-audit/postern/internal/secret"
)

func qrPicture(t *testing.T) []byte {
	t.Helper()
	uri, err := totp.URI("Acme Wiki", "guest@gmail.com", secret.NewBytes(bytes.Repeat([]byte{7}, 20)), totp.Default())
	if err != nil {
		t.Fatal(err)
	}
	b, err := totp.QR(uri)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is drawn on a terminal has the modules of the picture: drawn big again, it is the picture.
func TestTheQRCodeOfATerminalHasTheModulesOfThePicture(t *testing.T) {
	picture := qrPicture(t)
	rows, err := modules(picture)
	if err != nil {
		t.Fatal(err)
	}
	size := len(rows)
	if size < 21 || (size-17)%4 != 0 {
		t.Fatalf("%d modules: no size a QR code has", size)
	}
	for _, corner := range [][2]int{{0, 0}, {size - finder, 0}, {0, size - finder}} {
		for i := range finder {
			x, y := corner[0], corner[1]
			if !rows[y][x+i] || !rows[y+6][x+i] || !rows[y+i][x] || !rows[y+i][x+6] {
				t.Errorf("no mark in the corner at %v", corner)
			}
		}
	}
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	area := darkArea(img.Bounds(), func(x, y int) bool { return color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y < 128 })
	scale := area.Dx() / size
	for y := range area.Dy() {
		for x := range area.Dx() {
			dark := color.GrayModel.Convert(img.At(area.Min.X+x, area.Min.Y+y)).(color.Gray).Y < 128
			if dark != rows[y/scale][x/scale] {
				t.Fatalf("pixel %d,%d is not as its module", x, y)
			}
		}
	}
	var out strings.Builder
	if err := QR(&out, picture); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != (size+8+1)/2 {
		t.Errorf("%d lines for %d modules", len(lines), size)
	}
	if got := strings.Count(out.String(), "█") + strings.Count(out.String(), "▀") + strings.Count(out.String(), "▄"); got < size {
		t.Errorf("only %d characters are drawn", got)
	}
	if !strings.HasPrefix(lines[2], "\x1b[38;5;16;48;5;231m    █▀▀▀▀▀█") {
		t.Errorf("the first drawn line is %q", lines[2])
	}
}

func TestNoQRCodeIsDrawnOfSomethingElse(t *testing.T) {
	blank := image.NewGray(image.Rect(0, 0, 50, 50))
	for i := range blank.Pix {
		blank.Pix[i] = 0xff
	}
	var white bytes.Buffer
	if err := png.Encode(&white, blank); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"nothing": nil, "no picture": []byte("otpauth://totp/x"), "white": white.Bytes()} {
		var out strings.Builder
		err := QR(&out, b)
		if err == nil || out.Len() > 0 || strings.Contains(err.Error(), "otpauth") {
			t.Errorf("%s: %v, %q", name, err, out.String())
		}
	}
}
