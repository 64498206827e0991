package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-audit/postern/internal/testkit/browser"
)

const callback = "https://app.example/callback"

// site is a provider with one page for everything a browser meets.
func site(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	pages := map[string]string{
		"/login": `<form method="post" action="/check?keep=1"><input type="hidden" name="csrf" value="a&amp;b"><input name="who" type="email">` +
			`<input type="password" name="secret"><input type="checkbox" name="remember" value="yes"><input type="submit" name="go" value="Go"></form>`,
		"/login-button": `<form method="post" action="/check"><input name="who"><input type="password" name="secret">` +
			`<button name="cancel" value="now">Cancel</button></form>`,
		"/login-link": `<a href="/">Home</a><a href="/away">[ Abort ]</a><form><input type="password" name="secret"></form>`,
		"/consent":    `<form action="/agreed"><input type="hidden" name="ok" value="1"></form>`,
		"/post":       `<form method="POST" action="` + callback + `"><input type="hidden" name="code" value="7"></form>`,
		"/nothing":    `<p>Out of order</p><script>var secret = 1</script>`,
	}
	for path, page := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "s1"})
			_, _ = w.Write([]byte("<html>" + page))
		})
	}
	mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil || cookie.Value != "s1" {
			t.Errorf("no cookie: %v", err)
		}
		switch {
		case r.FormValue("cancel") == "now":
			http.Redirect(w, r, "/away", http.StatusSeeOther)
		case r.FormValue("secret") != "right":
			_, _ = w.Write([]byte(pages["/login"]))
		case r.URL.RawQuery != "keep=1" || r.FormValue("csrf") != "a&b" || r.FormValue("who") != "gwen" || r.Form.Has("remember") || r.Form.Has("go"):
			t.Errorf("the form came as %s with %v", r.URL, r.Form)
		default:
			http.Redirect(w, r, "consent", http.StatusSeeOther)
		}
	})
	mux.HandleFunc("GET /agreed", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, callback+"?code="+r.FormValue("ok"), http.StatusFound)
	})
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, callback+"?error=access_denied", http.StatusFound)
	})
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("POST /again", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, callback, http.StatusTemporaryRedirect)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func person(t *testing.T) *browser.Browser {
	t.Helper()
	b, err := browser.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Callbacks, b.User, b.Password = []string{callback}, "gwen", "right"
	return b
}

func TestSignIns(t *testing.T) {
	t.Parallel()
	base := site(t)
	for path, c := range map[string]struct {
		cancels bool
		method  string
		form    url.Values
	}{
		"/login":        {false, http.MethodGet, url.Values{"code": {"1"}}},
		"/post":         {false, http.MethodPost, url.Values{"code": {"7"}}},
		"/login-button": {true, http.MethodGet, url.Values{"error": {"access_denied"}}},
		"/login-link":   {true, http.MethodGet, url.Values{"error": {"access_denied"}}},
	} {
		b := person(t)
		b.Cancels = c.cancels
		got, err := b.Open(t.Context(), base+path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if got.Method != c.method || !strings.HasPrefix(got.URL.String(), callback) {
			t.Errorf("%s: %s %s", path, got.Method, got.URL)
		}
		if diff := cmp.Diff(c.form, got.Form); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	got, err := person(t).Post(t.Context(), base+"/again", url.Values{"a": {"1"}})
	if err != nil || got.Method != http.MethodPost || got.Form.Get("a") != "1" {
		t.Errorf("a form that is sent on: %+v, %v", got, err)
	}
}

func TestWhatEndsNowhereIsAnError(t *testing.T) {
	t.Parallel()
	base := site(t)
	for path, want := range map[string]string{
		"/login":   "were not accepted",
		"/nothing": "Out of order",
		"/loop":    "no callback within",
		"/missing": "404 Not Found",
	} {
		b := person(t)
		b.Password = "wrong"
		got, err := b.Open(t.Context(), base+path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "var secret") {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}
