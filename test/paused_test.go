package test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// TestAnArchiverThatSleepsPastItsLeaseAndWakesUp: the one archiver at work is stopped in the middle of a load. Another one
// takes over and archives; then the first one wakes up amid more load. Nothing is missing, nothing is doubled.
func TestAnArchiverThatSleepsPastItsLeaseAndWakesUp(t *testing.T) {
	t.Parallel()
	sleepsAndWakesUp(t, newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s"))
}

// With PostgreSQL, whoever falls asleep in the middle of a transaction is thrown out of it by the server.
func TestAnArchiverThatSleepsPastItsLeaseAndWakesUpWithPostgreSQL(t *testing.T) {
	t.Parallel()
	sleepsAndWakesUp(t, newPostgresRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s"))
}

func sleepsAndWakesUp(t *testing.T, r *rig) {
	a := r.start("a", "signin", "api")
	sleeper := r.start("sleeper", "archiver") // alone, so that it holds every partition
	a.apply(loadOrganization, loadDocument)
	l := newLoad(t, 60*time.Second, a)
	done := make(chan struct{})
	go func() { defer close(done); l.run(0, 300, 16) }()
	archived := func() int64 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		newest, err := posternv1.NewEventServiceClient(a.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: loadOrganization, PageSize: 1})
		if err != nil || len(newest.GetEvents()) == 0 {
			return 0
		}
		return newest.GetEvents()[0].GetSequence()
	}
	if err := eventually(30*time.Second, func(context.Context) error {
		if archived() < 200 {
			return errors.New("the first archiver carries nothing")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sleeper.signal(syscall.SIGSTOP)
	asleep := archived()
	other := r.start("other", "archiver")
	<-done
	if err := eventually(60*time.Second, func(context.Context) error {
		// Whoever falls asleep in the middle of a transaction keeps SQLite's file locked: then the other one can only wait, and says so.
		if archived() < asleep+100 && (r.postgres != nil || len(other.logged(`"where":"archive"`)) == 0) {
			return errors.New("nobody took over from the archiver that sleeps")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	sleeper.signal(syscall.SIGCONT)
	l.run(300, 450, 16)
	l.verify(a)
}
