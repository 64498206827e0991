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
	for _, m := range idptest.Manners() {
		o.Answer(idptest.JWKS, m)
		t.Run(string(m), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if m == idptest.Hang || m == idptest.HangBody {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
			}
			status, n, err := read(ctx, t, o)
			late := errors.Is(err, context.DeadlineExceeded)
			var want bool
			switch m {
			case idptest.Hang:
				want = late && status == 0
			case idptest.HangBody:
				want = late && status == http.StatusOK
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
				want = err != nil && !late
			}
			if !want {
				t.Errorf("status %d, %d bytes, error %v, %d written, %d calls elsewhere", status, n, err, o.Written(idptest.JWKS), o.Calls(idptest.Elsewhere))
			}
		})
	}
	if n := o.Calls(idptest.JWKS); n != len(idptest.Manners()) {
		t.Errorf("%d calls were counted", n)
	}
	o.Mend()
	if status, _, err := read(t.Context(), t, o); status != http.StatusOK || err != nil {
		t.Errorf("mended, it answers %d: %v", status, err)
	}
}

// read fetches the key set and reads at most a mebibyte of it.
func read(ctx context.Context, t *testing.T, o *idptest.OIDC) (status int, n int64, err error) {
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
	n, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, n, err
}
