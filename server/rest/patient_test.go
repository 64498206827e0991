package rest

import (
	"net/http/httptest"
	"testing"
	"time"
)

// deadlined is an answer that knows its last deadline.
type deadlined struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (d *deadlined) SetWriteDeadline(t time.Time) error {
	d.until = t
	return nil
}

// A reader that stops reading at the very end must not hold its connection for ever.
func TestTheLastPieceOfAFileHasADeadlineToo(t *testing.T) {
	d := &deadlined{ResponseRecorder: httptest.NewRecorder()}
	p, err := newPatient(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("all")); err != nil || !d.until.IsZero() {
		t.Fatalf("%v, %v", d.until, err)
	}
	p.done()
	if left := time.Until(d.until); left <= 0 || left > writeWithin {
		t.Errorf("the rest has %v", left)
	}
}
