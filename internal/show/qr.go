package show

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"strings"
)

// QR draws a QR code, given as the PNG the API answers, with half-block characters: two rows of the code in one line. Colours
// are set, so that it reads the same on light and dark terminals. It is for terminals only.
func QR(w io.Writer, picture []byte) error {
	modules, err := modules(picture)
	if err != nil {
		return err
	}
	const quiet = 4 // light modules around it, without which readers do not find it
	size := len(modules)
	dark := func(x, y int) bool {
		x, y = x-quiet, y-quiet
		return x >= 0 && y >= 0 && x < size && y < size && modules[y][x]
	}
	var b strings.Builder
	for y := 0; y < size+2*quiet; y += 2 {
		b.WriteString("\x1b[38;5;16;48;5;231m")
		for x := range size + 2*quiet {
			switch top, bottom := dark(x, y), dark(x, y+1); {
			case top && bottom:
				b.WriteString("█")
			case top:
				b.WriteString("▀")
			case bottom:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("draw the QR code: %w", err)
	}
	return nil
}

// errQR says no more: the picture is a secret.
var errQR = errors.New("the QR code cannot be drawn here")

// finder is how many modules wide the mark in a corner of a QR code is.
const finder = 7

// modules reads a picture of a QR code back: rows of modules, true where dark. How many pixels a module has shows in the mark
// at the top left, whose upper edge is a run of dark modules.
func modules(picture []byte) ([][]bool, error) {
	img, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, errQR
	}
	dark := func(x, y int) bool {
		r, g, b, _ := img.At(x, y).RGBA()
		return r+g+b < 3*0x8000
	}
	area := darkArea(img.Bounds(), dark)
	run := 0
	for x := area.Min.X; x < area.Max.X && dark(x, area.Min.Y); x++ {
		run++
	}
	scale := run / finder
	if scale == 0 || run%finder != 0 || area.Dx() != area.Dy() || area.Dx()%scale != 0 {
		return nil, errQR
	}
	out := make([][]bool, area.Dy()/scale)
	for y := range out {
		out[y] = make([]bool, area.Dx()/scale)
		for x := range out[y] {
			out[y][x] = dark(area.Min.X+x*scale+scale/2, area.Min.Y+y*scale+scale/2)
		}
	}
	return out, nil
}

// darkArea is the smallest rectangle with every dark pixel.
func darkArea(bounds image.Rectangle, dark func(x, y int) bool) image.Rectangle {
	var area image.Rectangle
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			if dark(x, y) {
				area = area.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return area
}
