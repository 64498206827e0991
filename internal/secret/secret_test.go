package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/secret"
)

const canary = "canary-7f3a"

// hidden holds secrets the way careless code does: unexported, nested, in maps and slices, by pointer.
type hidden struct {
	Exported secret.String
	plain    secret.String
	raw      secret.Bytes
	list     []secret.String
	byName   map[string]secret.Bytes
	pointer  *secret.String
	anything any
}

func newHidden() hidden {
	s, b := secret.NewString(canary), secret.NewBytes([]byte(canary))
	return hidden{s, s, b, []secret.String{s}, map[string]secret.Bytes{"k": b}, &s, b}
}

func TestNoVerbShowsASecret(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%08.3f", "%!"} {
		for name, value := range map[string]any{
			"string": secret.NewString(canary), "bytes": secret.NewBytes([]byte(canary)), "struct": newHidden(),
			"pointer": &hidden{plain: secret.NewString(canary)},
		} {
			out := fmt.Sprintf(verb, value)
			shown := []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))}
			for _, s := range shown {
				if strings.Contains(out, s) {
					t.Errorf("%s of %s shows the secret: %s", verb, name, out)
				}
			}
		}
	}
}

func TestNoLogOrJSONShowsASecret(t *testing.T) {
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("m", "a", secret.NewString(canary), "b", secret.NewBytes([]byte(canary)), "c", newHidden(),
			slog.Group("g", "d", secret.NewString(canary)))
	}
	b, err := json.Marshal(newHidden())
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	if strings.Contains(out.String(), canary) {
		t.Errorf("shown: %s", out.String())
	}
	if !strings.Contains(out.String(), "[secret]") {
		t.Errorf("the mark is missing: %s", out.String())
	}
}

func TestRevealYieldsWhatWasPutIn(t *testing.T) {
	s := secret.NewString(canary)
	if s.Reveal() != canary || s.IsZero() || !(secret.String{}).IsZero() || (secret.String{}).Reveal() != "" {
		t.Error("String does not keep its text")
	}
	in := []byte(canary)
	b := secret.NewBytes(in)
	in[0] = 'X'
	b.Reveal()[1] = 'X'
	if string(b.Reveal()) != canary || b.IsZero() || !(secret.Bytes{}).IsZero() || (secret.Bytes{}).Reveal() != nil {
		t.Error("Bytes does not keep its own copy")
	}
	var read struct{ Key secret.String }
	if err := json.Unmarshal([]byte(`{"Key":"`+canary+`"}`), &read); err != nil || read.Key.Reveal() != canary {
		t.Errorf("read %q, %v", read.Key.Reveal(), err)
	}
}
