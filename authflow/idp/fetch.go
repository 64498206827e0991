package idp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/outbound"
)

// Bounds of what providers send.
const (
	maxDocument = 64 << 10  // discovery, token answers, user API
	maxMetadata = 512 << 10 // SAML metadata of one provider
	maxWords    = 200       // bytes kept of a provider's own error
	userAgent   = "postern"
)

// answer is what a provider sent.
type answer struct {
	status int
	body   []byte
	date   time.Time // as the provider's clock says; zero: it did not
}

// do sends one request, once, and reads what comes back. Its errors are outbound.Error.
func (c *Client) do(ctx context.Context, req *http.Request, limit int64) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req.Header.Set("User-Agent", userAgent)
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json")
	}
	resp, err := outbound.Capped(c.http, limit).Do(req.WithContext(ctx))
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode, body: body}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date = at
	}
	return a, nil
}

// get fetches a document of a provider. what names it in the refusal.
func (c *Client) get(ctx context.Context, what, at, bearer string, limit int64) (answer, error) {
	if err := c.outbound.Check(at); err != nil {
		return answer{}, troubled(what, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return answer{}, unreachable("%s: it is not a URL", what)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	a, err := c.do(ctx, req, limit)
	if err != nil {
		return answer{}, troubled(what, err)
	}
	if a.status != http.StatusOK {
		return answer{}, federation.Refuse(audit.ReasonIDPError, "%s: the provider answered with HTTP status %d", what, a.status)
	}
	return a, nil
}

// troubled makes a refusal of an error of the network. A provider that answers, only not as it should, is reached.
func troubled(what string, err error) *federation.Refusal {
	e := outbound.As(err)
	if e == nil {
		return unreachable("%s: no answer", what)
	}
	if e.Kind == outbound.TooLarge || e.Kind == outbound.Redirected {
		return federation.Refuse(audit.ReasonIDPError, "%s: %s", what, e.Detail)
	}
	return unreachable("%s: %s", what, e.Detail)
}

func unreachable(format string, args ...any) *federation.Refusal {
	return federation.Refuse(audit.ReasonIDPUnreachable, format, args...)
}

// errNotOne says that a body is not one JSON value.
var errNotOne = errors.New("not one JSON value")

// decode reads a body that is one JSON value and nothing behind it.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(into); err != nil {
		return errNotOne
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errNotOne
	}
	return nil
}

// cut is the beginning of what a provider wrote, to stand in a Refusal, which escapes it.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
