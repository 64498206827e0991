package orgevents_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// unread is an answer nobody reads until it is let go.
type unread struct {
	*httptest.ResponseRecorder
	writing chan<- struct{}
	letGo   <-chan struct{}
}

func (u unread) Write(b []byte) (int, error) {
	u.writing <- struct{}{}
	<-u.letGo
	return u.ResponseRecorder.Write(b)
}

func TestAnAnswerThatNobodyReadsCountsAndKeepsOnlyItsKeyOut(t *testing.T) {
	const most = 8
	r := newRig(t)
	writing, letGo := make(chan struct{}), make(chan struct{})
	var wait sync.WaitGroup
	for range most {
		wait.Go(func() {
			q := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8470"+prefix+"/acme/events", nil)
			q.Header.Set("Authorization", "Bearer flows")
			r.h.ServeHTTP(unread{httptest.NewRecorder(), writing, letGo}, q)
		})
		<-writing
	}
	r.fails("/acme/events", "flows", http.StatusServiceUnavailable, "ADMIN-503-1")
	if a := r.get("/globex/events", "other"); a.status != http.StatusOK {
		t.Errorf("another key: %d %s", a.status, a.body)
	}
	close(letGo)
	wait.Wait()
	for range 2 * most {
		r.list("/acme/events", "flows")
	}
}
