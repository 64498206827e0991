package idptest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/testkit/idptest"
)

func TestEveryMannerOfAnswering(t *testing.T) {
	t.Parallel()
	o := idptest.NewOIDC(t)
	for i, m := range idptest.Manners() {
		o.Answer(idptest.JWKS, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if m == idptest.Hang {
			go func() { // gives up as soon as the provider has the request
				for o.Calls(idptest.JWKS) == i && ctx.Err() == nil {
					<-time.After(time.Millisecond)
				}
				cancel()
			}()
		}
		atHeader := func() {}
		if m == idptest.HangBody {
			atHeader = cancel
		}
		status, n, err := read(ctx, t, o, atHeader)
		cancel()
		gaveUp := errors.Is(err, context.Canceled)
		var want bool
		switch m {
		case idptest.Hang:
			want = gaveUp && status == 0
		case idptest.HangBody:
			want = gaveUp && status == http.StatusOK
		case idptest.Huge:
			want = err == nil && n == 1<<20 && o.Written(idptest.JWKS) < 16<<20
		case idptest.Redirect:
			want = status == http.StatusTemporaryRedirect && o.Calls(idptest.Elsewhere) == 0
		case idptest.Garbage:
			want = status == http.StatusOK && n > 0
		case idptest.Empty:
			want = status == http.StatusOK && n == 0
		case idptest.Unavailable:
			want = status == http.StatusServiceUnavailable
		default: // Cut
			want = err != nil && !gaveUp
		}
		if !want {
			t.Errorf("%s: status %d, %d bytes, error %v, %d written, %d calls elsewhere", m, status, n, err, o.Written(idptest.JWKS), o.Calls(idptest.Elsewhere))
		}
		if calls := o.Calls(idptest.JWKS); calls != i+1 {
			t.Fatalf("%s: %d calls were counted, want %d", m, calls, i+1)
		}
	}
	o.Mend()
	if status, _, err := read(t.Context(), t, o, func() {}); status != http.StatusOK || err != nil {
		t.Errorf("mended, it answers %d: %v", status, err)
	}
}

// read fetches the key set and reads at most a mebibyte of it, after atHeader.
func read(ctx context.Context, t *testing.T, o *idptest.OIDC, atHeader func()) (status int, n int64, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.JWKSURI(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := o.HTTPClient().Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	atHeader()
	n, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, n, err
}
