package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
	"github.com/postern-audit/postern/cmd/postern/cli"
)

// TestEvidenceOidcVerdicts runs every case whose expectations have a flag.
func TestEvidenceOidcVerdicts(t *testing.T) {
	in, ran := oidctest.Example(), 0
	for _, c := range in.Cases() {
		plain := in.Expect()
		plain.Issuer, plain.MaxAge, plain.AccessToken = c.Expect.Issuer, c.Expect.MaxAge, c.Expect.AccessToken
		if c.Expect.Nonce == nil {
			plain.Nonce = nil
		}
		if text(t, c.Expect) != text(t, plain) {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			token, keys := inputs(t, c)
			args := []string{"evidence", "oidc", "--issuer", c.Expect.Issuer, "--client-id", in.ClientID, "--jwks", keys, "--at", in.Now.Format(time.RFC3339)}
			if c.Expect.Nonce != nil {
				args = append(args, "--nonce", in.Nonce)
			}
			if c.Expect.MaxAge > 0 {
				args = append(args, "--max-age", strconv.Itoa(int(c.Expect.MaxAge/time.Second)))
			}
			if c.Expect.AccessToken != "" {
				args = append(args, "--access-token", c.Expect.AccessToken)
			}
			var out, errs bytes.Buffer
			code := cli.Run(t.Context(), append(args, token), nil, strings.NewReader(""), &out, &errs)
			judged(t, c, token, code, out.Bytes(), errs.String())
		})
	}
	if ran < 250 {
		t.Errorf("%d cases ran: some are missing", ran)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// inputs writes the files of a case. A file ends with a line end, which is not of the token.
func inputs(t *testing.T, c oidctest.Case) (token, keys string) {
	t.Helper()
	dir := t.TempDir()
	token, keys = filepath.Join(dir, "token.txt"), filepath.Join(dir, "keys.json")
	for name, content := range map[string]string{token: c.Token + "\n", keys: string(c.Keys)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return token, keys
}

func judged(t *testing.T, c oidctest.Case, file string, code int, out []byte, errs string) {
	t.Helper()
	var line struct {
		File, Verdict, Reason, Detail string
		Subject                       *struct{ ID, Email string }
	}
	if n := bytes.Count(out, []byte("\n")); n != 1 || errs != "" {
		t.Fatalf("%d lines: %s%s", n, out, errs)
	}
	if err := json.Unmarshal(out, &line); err != nil {
		t.Fatal(err)
	}
	want, exit := "accept", 0
	if c.Reason != "" {
		want, exit = "reject", 1
	}
	if line.File != file || line.Verdict != want || line.Reason != c.Reason || code != exit {
		t.Errorf("exit code %d and %s, want %s %q", code, out, want, c.Reason)
	}
	if accepted := c.Reason == ""; (line.Subject != nil) != accepted || (line.Detail == "") != accepted {
		t.Errorf("%s", out)
	}
	if line.Subject == nil {
		return
	}
	const jane = "jane@example.com"
	verified := !strings.HasPrefix(c.Name, "email-") || c.Name == "email-verified" || c.Name == "email-case-kept"
	if line.Subject.ID == "" || !verified && line.Subject.Email != "" || line.Subject.Email != "" && !strings.EqualFold(line.Subject.Email, jane) {
		t.Errorf("%s: an e-mail nobody may rely on", out)
	}
	if c.Name == "ok" && line.Subject.Email != jane {
		t.Errorf("%s: the e-mail is missing", out)
	}
}
