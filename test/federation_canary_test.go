package test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/postern-audit/postern/internal/testkit/idptest"
)

// window is how many bytes of a private text prove that it is there: few enough to find a part of it, too many to be chance.
const window = 16

// needles are pieces of a private text, in every form it could be written in, in lower case.
func needles(private string) []string {
	var pieces []string
	switch {
	case strings.HasPrefix(private, "<"): // XML: its names and addresses are no secret, what was signed and the signature are
		for _, m := range signatureValue.FindAllStringSubmatch(private, -1) {
			pieces = append(pieces, m[1][:3*window])
		}
		posted := idptest.Encoded(private)
		pieces = append(pieces, posted[len(posted)/2:len(posted)/2+3*window])
	case len(private) > 6*window: // a token: its payload and its signature
		parts := strings.Split(private, ".")
		for _, p := range parts[min(1, len(parts)-1):] {
			if len(p) >= 3*window {
				pieces = append(pieces, p[len(p)/2:len(p)/2+window], p[len(p)-window:])
			}
		}
	default:
		pieces = []string{private[:min(len(private), 2*window)]}
	}
	var out []string
	for _, p := range pieces {
		out = append(out, strings.ToLower(p), hex.EncodeToString([]byte(p)))
		for shift := range 3 { // base64 depends on where the text begins
			whole := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + p))
			core := strings.ToLower(whole[4 : len(whole)-4])
			out = append(out, core, strings.NewReplacer("+", "-", "/", "_").Replace(core))
		}
	}
	return out
}

var signatureValue = regexp.MustCompile(`SignatureValue[^>]*>([^<]{64,})<`)

// finder looks for many texts at once: by a hash of their first four bytes, by their first bytes, then whole.
type finder struct {
	maybe []bool
	texts map[[12]byte][]string
}

func find(private []string) *finder {
	f := &finder{maybe: make([]bool, 1<<20), texts: map[[12]byte][]string{}}
	known := map[string]bool{}
	for _, text := range private {
		for _, n := range needles(text) {
			if len(n) < 12 || known[n] {
				continue
			}
			known[n] = true
			key := [12]byte([]byte(n[:12]))
			f.texts[key] = append(f.texts[key], n)
			f.maybe[slot(key[:])] = true
		}
	}
	return f
}

func slot(b []byte) uint32 {
	return (uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24) * 2654435761 >> 12
}

// in returns what is found in b.
func (f *finder) in(b []byte) []string {
	var found []string
	b = bytes.ToLower(b)
	for i := 0; i+12 <= len(b); i++ {
		if !f.maybe[slot(b[i:])] {
			continue
		}
		for _, n := range f.texts[[12]byte(b[i:i+12])] {
			if bytes.HasPrefix(b[i:], []byte(n)) {
				found = append(found, n)
			}
		}
	}
	return found
}

// nowhere looks for everything private of the story in what every process logged, in everything Redis ever wrote to its disk, in
// every file of the installation, in metrics and in what calls were answered, the record too. It must find what is public there.
func (a *abroad) nowhere() {
	a.t.Helper()
	dir := a.r.redis.Client().ConfigGet(context.Background(), "dir").Val()["dir"]
	_, metrics := a.p.get("/metrics")
	places := map[string][]byte{"answers and the record": a.answers, "metrics": []byte(metrics)}
	for _, root := range []string{a.r.data, dir} {
		a.p.must2(filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			places[path] = b
			return err
		}))
	}
	private := slices.Clone(a.private)
	for _, seen := range a.seen {
		private = append(private, seen()...)
	}
	f, public, stories := find(private), find([]string{"sign_in.started"}), 0
	for place, b := range places {
		if found := f.in(b); len(found) > 0 {
			a.t.Errorf("%d private texts are in %s, the first is %q", len(found), place, found[0])
		}
		if len(public.in(b)) > 0 {
			stories++
		}
	}
	if stories < 2 || len(metrics) < 100 || len(private) < 5 { // the record and the archive
		a.t.Errorf("the search saw %d places and the story in %d of them, %d bytes of metrics and %d private texts", len(places), stories, len(metrics), len(private))
	}
}
