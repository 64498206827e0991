package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
	"github.com/postern-audit/postern/cmd/postern/cli"
)

type samlLine struct {
	File, Verdict, Reason, Detail string
	Subject                       *struct{ ID, Email string }
}

// evidenceSaml runs the command and returns its lines.
func evidenceSaml(t *testing.T, stdin string, args ...string) (int, []samlLine, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), append([]string{"evidence", "saml"}, args...), nil, strings.NewReader(stdin), &out, &errs)
	var lines []samlLine
	for text := range strings.Lines(out.String()) {
		var l samlLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, l)
	}
	return code, lines, errs.String()
}

func samlFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func samlFlags(t *testing.T, e saml.Expect, now time.Time) []string {
	t.Helper()
	args := []string{
		"--idp-metadata", samlFile(t, "idp.xml", samltest.Metadata(e.Provider)), "--sp-entity-id", e.EntityID, "--acs-url", e.ACS,
		"--at", now.Format(time.RFC3339Nano),
	}
	if e.RequestID != "" {
		args = append(args, "--request-id", e.RequestID)
	}
	if e.ResponseSignatureOnly {
		args = append(args, "--allow-response-signature-only")
	}
	return args
}

// TestEvidenceSamlVerdicts runs every case whose expectations have a flag.
func TestEvidenceSamlVerdicts(t *testing.T) {
	w, ran := samltest.New(t, time.Date(2031, 5, 14, 9, 30, 0, 0, time.UTC)), 0
	for _, c := range w.Cases() {
		plain := w.Expect()
		plain.Provider, plain.RequestID, plain.Unsolicited = c.Expect.Provider, c.Expect.RequestID, c.Expect.Unsolicited
		plain.ResponseSignatureOnly, plain.AllowTransient = c.Expect.ResponseSignatureOnly, c.Expect.AllowTransient
		if !reflect.DeepEqual(plain, c.Expect) || len(c.Expect.Provider.Certificates) == 0 || !c.Expect.Provider.ValidUntil.IsZero() || c.Name == "nameid-transient" {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			file := samlFile(t, "response.xml", c.Response)
			code, lines, errs := evidenceSaml(t, "", append(samlFlags(t, c.Expect, c.Now), file)...)
			if len(lines) != 1 || errs != "" || lines[0].File != file {
				t.Fatalf("exit %d, lines %+v, errors %q", code, lines, errs)
			}
			l := lines[0]
			if c.Want == "" {
				if code != 0 || l.Verdict != "accept" || l.Reason != "" || l.Subject == nil || l.Subject.ID == "" || l.Subject.Email != "" {
					t.Errorf("exit %d, %+v %+v; want it accepted", code, l, l.Subject)
				}
			} else if code != 1 || l.Verdict != "reject" || l.Reason != c.Want || l.Detail == "" || l.Subject != nil {
				t.Errorf("exit %d, %+v; want it rejected for %s", code, l, c.Want)
			}
		})
	}
	if ran < 200 {
		t.Errorf("%d cases ran: some are missing", ran)
	}
}

func TestEvidenceSamlOfSeveralFilesAndStandardInput(t *testing.T) {
	w := samltest.New(t, time.Date(2031, 5, 14, 9, 30, 0, 0, time.UTC))
	good := samlFile(t, "good.xml", w.Draft().Response())
	long := samlFile(t, "long.xml", strings.Repeat(" ", 2*saml.MaxResponse))
	args := append(samlFlags(t, w.Expect(), w.Now), "--email-domain", "Example.COM")
	code, lines, errs := evidenceSaml(t, w.Draft().Response(), append(args, good, samlFile(t, "empty.xml", ""), "-", long)...)
	if code != 1 || len(lines) != 4 || errs != "" {
		t.Fatalf("exit %d, %+v, %s", code, lines, errs)
	}
	for i, want := range []string{"", "MALFORMED", "", "MALFORMED"} {
		if lines[i].Reason != want {
			t.Errorf("line %d: %+v, want %q", i, lines[i], want)
		}
	}
	if lines[2].File != "-" || lines[0].Subject == nil || lines[0].Subject.Email != samltest.NameID {
		t.Errorf("%+v", lines)
	}
	if code, lines, _ = evidenceSaml(t, "", append(args, good)...); code != 0 || len(lines) != 1 {
		t.Errorf("exit %d when all are accepted", code)
	}
	other := append(samlFlags(t, w.Expect(), w.Now), "--email-domain", "example.org", "--email-domain", "ample.com", good)
	if _, lines, _ = evidenceSaml(t, "", other...); lines[0].Subject.Email != "" {
		t.Errorf("the e-mail is shown, though its domain is not the provider's: %+v", lines[0].Subject)
	}
}

func TestEvidenceSamlUsage(t *testing.T) {
	w := samltest.New(t, time.Date(2031, 5, 14, 9, 30, 0, 0, time.UTC))
	good := samlFile(t, "good.xml", w.Draft().Response())
	flags := samlFlags(t, w.Expect(), w.Now)
	for name, args := range map[string][]string{
		"no file":                        flags,
		"a file that is not there":       append(flags[:len(flags):len(flags)], good, good+".not"),
		"standard input twice":           append(flags[:len(flags):len(flags)], "-", "-"),
		"no metadata":                    append(flags[2:len(flags):len(flags)], good),
		"no entity id":                   {"--idp-metadata", flags[1], "--acs-url", samltest.ACS, good},
		"no URL":                         {"--idp-metadata", flags[1], "--sp-entity-id", samltest.SP, good},
		"metadata that is none":          append(append([]string{}, "--idp-metadata", good), flags[2:]...),
		"a moment that is none":          append(flags[:len(flags):len(flags)], "--at", "yesterday", good),
		"an empty request id":            append(flags[:len(flags):len(flags)], "--request-id", "", good),
		"a domain that is none":          append(flags[:len(flags):len(flags)], "--email-domain", "a b", good),
		"a flag nobody knows":            append(flags[:len(flags):len(flags)], "--trust-everything", good),
		"metadata longer than there are": {"--idp-metadata", samlFile(t, "x", strings.Repeat(" ", saml.MaxMetadata+1)), "--sp-entity-id", "a", "--acs-url", "b", good},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "metadata that is none" {
				args = append(args, good)
			}
			if code, lines, errs := evidenceSaml(t, "", args...); code != 2 || len(lines) != 0 || errs == "" {
				t.Errorf("exit %d, lines %+v, errors %q; want wrong usage", code, lines, errs)
			}
		})
	}
}
