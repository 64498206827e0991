// Package browser is a person with a browser, for tests: it follows redirects, fills login forms in, agrees to what it is asked,
// and stops where a page would hand over to the relying party.
//
// Invariant: the request to the relying party is returned, never sent. It knows HTML forms and no scripts; a page it cannot
// make anything of is an error that quotes the page. It must never reach the binary. Read Browser.Open first.
package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

const (
	maxPages = 20      // of one sign-in
	maxBody  = 1 << 20 // of one page
)

// Browser signs one person in. Its cookies stay from one Open to the next. Use it from one goroutine.
type Browser struct {
	// Callbacks are URL prefixes of the relying party: the request that would go there ends the sign-in.
	Callbacks []string
	// User and Password go into the first form that asks for a password.
	User, Password string
	// Cancels makes the person cancel: the first link or button that says cancel or abort is taken instead of the form.
	Cancels bool

	client *http.Client
	typed  bool // the password, in the sign-in under way
}

// Callback is the request the relying party would have got.
type Callback struct {
	Method string     // GET, or POST of a form that submits itself
	URL    *url.URL   // with its query
	Form   url.Values // the query of a GET, the form of a POST
}

// New makes a browser without cookies. The transport may be nil for the default one; the proxy of the environment is never used.
func New(transport http.RoundTripper) (*Browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("browser: %w", err)
	}
	if transport == nil {
		transport = &http.Transport{DisableKeepAlives: true}
	}
	return &Browser{client: &http.Client{
		Transport: transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// request is where the browser goes next.
type request struct {
	method string
	url    *url.URL
	form   url.Values // of a POST
}

// Open starts at a URL and goes on until a callback is reached.
func (b *Browser) Open(ctx context.Context, address string) (Callback, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Callback{}, fmt.Errorf("browser: %w", err)
	}
	return b.walk(ctx, request{method: http.MethodGet, url: u})
}

// Post starts with a form that is posted to a URL, as the HTTP-POST binding of SAML does.
func (b *Browser) Post(ctx context.Context, address string, form url.Values) (Callback, error) {
	u, err := url.Parse(address)
	if err != nil {
		return Callback{}, fmt.Errorf("browser: %w", err)
	}
	return b.walk(ctx, request{method: http.MethodPost, url: u, form: form})
}

func (b *Browser) walk(ctx context.Context, next request) (Callback, error) {
	b.typed = false
	for range maxPages {
		if b.leaves(next.url) {
			form := next.form
			if next.method == http.MethodGet {
				form = next.url.Query()
			}
			return Callback{Method: next.method, URL: next.url, Form: form}, nil
		}
		var err error
		if next, err = b.step(ctx, next); err != nil {
			return Callback{}, fmt.Errorf("browser: %w", err)
		}
	}
	return Callback{}, fmt.Errorf("browser: no callback within %d pages, the last at %s", maxPages, next.url.Redacted())
}

func (b *Browser) leaves(u *url.URL) bool {
	for _, prefix := range b.Callbacks {
		if strings.HasPrefix(u.String(), prefix) {
			return true
		}
	}
	return false
}

// step makes one request and says where its answer leads.
func (b *Browser) step(ctx context.Context, r request) (request, error) {
	var body io.Reader
	if r.method == http.MethodPost {
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), body)
	if err != nil {
		return request{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", "text/html")
	resp, err := b.client.Do(req)
	if err != nil {
		return request{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return request{}, fmt.Errorf("read %s: %w", r.url.Redacted(), err)
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return redirect(r, resp)
	}
	doc, err := html.Parse(strings.NewReader(string(content)))
	if err != nil {
		return request{}, fmt.Errorf("parse %s: %w", r.url.Redacted(), err)
	}
	p := page{at: r.url, doc: doc}
	next, err := b.choose(p)
	if err != nil {
		return request{}, fmt.Errorf("%s %s answered %s: %w; the page says: %s", r.method, r.url.Redacted(), resp.Status, err, p.text())
	}
	return next, nil
}

func redirect(r request, resp *http.Response) (request, error) {
	to, err := r.url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return request{}, fmt.Errorf("redirect of %s: %w", r.url.Redacted(), err)
	}
	kept := resp.StatusCode == http.StatusTemporaryRedirect || resp.StatusCode == http.StatusPermanentRedirect
	if r.method == http.MethodPost && kept {
		return request{method: http.MethodPost, url: to, form: r.form}, nil
	}
	return request{method: http.MethodGet, url: to}, nil
}

// choose is what the person does with a page.
func (b *Browser) choose(p page) (request, error) {
	forms := p.forms()
	for _, f := range forms { // one that submits itself to the relying party
		if b.leaves(f.action) {
			return f.submit(), nil
		}
	}
	if b.Cancels {
		if to, ok := p.cancel(); ok {
			return to, nil
		}
	}
	for _, f := range forms {
		if f.password == "" {
			continue
		}
		if b.typed {
			return request{}, errors.New("user name and password were not accepted")
		}
		b.typed = true
		f.values.Set(f.user, b.User)
		f.values.Set(f.password, b.Password)
		return f.submit(), nil
	}
	if len(forms) > 0 { // consent
		return forms[0].submit(), nil
	}
	return request{}, errors.New("there is no form to fill in")
}
