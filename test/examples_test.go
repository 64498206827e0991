package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/realidp"
)

// The login services that people are told to copy from do what they say, against the real sidecar: they let in who may come in, ask
// for the code that the policy demands, and open for nobody while the sidecar is away.
func TestExampleLoginServices(t *testing.T) {
	for name, command := range map[string]func(*testing.T, *process, string) *exec.Cmd{"go": exampleInGo, "node": exampleInNode} {
		t.Run(name, func(t *testing.T) {
			p := lone(t, t.TempDir(), "POSTERN_HTTP_ADDRESS=127.0.0.1:0")
			p.run()
			p.awaitServing()
			p.apply(clinic, clinicDocument)
			w := &ward{t: t}
			_, secret, step := w.enrolled(p, "acct-8")
			v := visitExample(t, command, p)

			v.post("/login", http.StatusForbidden, "Support code", "email", "guest@gmail.com", "password", "wrong")
			v.post("/login", http.StatusForbidden, "Support code", "email", "<b>@gmail.com", "password", "x")
			v.get("Sign in")
			v.post("/login", http.StatusOK, "You are in", "email", "guest@gmail.com", "password", "correct horse")
			v.post("/logout", http.StatusOK, "Sign in")
			v.post("/login", http.StatusOK, "name=code", "email", "nurse@clinic-postern-demo.com", "password", "battery staple")
			v.post("/code", http.StatusOK, "name=code", "code", nowhere(t, secret, step))
			v.get("Sign in")
			v.post("/code", http.StatusOK, "You are in", "code", oathtool(t, secret, step+1))
			p.recorded("sign_in.started", "password.rejected", "sign_in.failed", "sign_in.started", "password.rejected", "sign_in.failed",
				"sign_in.started", "password.verified", "sign_in.succeeded", "session.started", "session.reused", "session.ended",
				"sign_in.started", "password.verified", "mfa.rejected", "mfa.verified", "sign_in.succeeded", "session.started", "session.reused")

			p.kill()
			v.post("/login", http.StatusServiceUnavailable, "not possible", "email", "guest@gmail.com", "password", "correct horse")
			v.get("not possible")
		})
	}
}

// recorded waits until the record of sign-ins at the clinic is this.
func (p *process) recorded(want ...string) {
	p.rig.t.Helper()
	if err := eventually(20*time.Second, func(context.Context) error {
		events, err := p.record(clinic)
		if err != nil {
			return err
		}
		var got []string
		for _, e := range events {
			if e.GetSite() != "" {
				got = append(got, e.GetType())
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("on record: %v", got)
		}
		return nil
	}); err != nil {
		p.rig.t.Error(err)
	}
}

// visitor is a browser at an example.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

// visitExample starts an example beside a sidecar and waits until it serves.
func visitExample(t *testing.T, command func(*testing.T, *process, string) *exec.Cmd, p *process) *visitor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := command(t, p, address)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("log of the example:\n%s", out.String())
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := &visitor{t: t, base: "http://" + address, client: &http.Client{Jar: jar, Timeout: 10 * time.Second}}
	if err := eventually(20*time.Second, func(context.Context) error { _, _, err := v.do(http.MethodGet, "/", nil); return err }); err != nil {
		t.Fatal(err)
	}
	return v
}

func exampleInGo(t *testing.T, p *process, address string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "login")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../examples/login-go").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	return exec.Command(path, "-socket", p.socket, "-site", clinicSite, "-listen", address)
}

func exampleInNode(t *testing.T, p *process, address string) *exec.Cmd {
	t.Helper()
	node, err := realidp.Node()
	if err != nil {
		t.Fatalf("%v (make idps installs it)", err)
	}
	cmd := exec.Command(node, "../examples/login-node/server.mjs", clinicSite)
	_, port, _ := strings.Cut(address, ":")
	cmd.Env = append(os.Environ(), "POSTERN_URL="+p.httpBase(), "POSTERN_KEY_FILE="+filepath.Join(p.rig.data, "http.key"), "PORT="+port)
	return cmd
}

func (v *visitor) do(method, path string, form url.Values) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := v.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b), err
}

// get asks for the first page, which must say something.
func (v *visitor) get(says string) {
	v.t.Helper()
	if _, body, err := v.do(http.MethodGet, "/", nil); err != nil || !strings.Contains(body, says) {
		v.t.Errorf("GET /: %v: %s", err, body)
	}
}

// post sends a form and follows where it leads.
func (v *visitor) post(path string, want int, says string, fields ...string) {
	v.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	if status, body, err := v.do(http.MethodPost, path, form); err != nil || status != want || !strings.Contains(body, says) {
		v.t.Errorf("POST %s %v: %d %v: %s", path, fields, status, err, body)
	}
}
