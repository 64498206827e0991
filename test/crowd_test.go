package test

import (
	"syscall"
	"testing"
	"time"
)

// Ten thousand sign-ins at once, through two processes on one Redis: random steps, short deadlines, repeated requests.
// Every flow has exactly one ending, steps are gapless, and the archive holds what was acknowledged.
func TestTenThousandFlowsThroughTwoProcesses(t *testing.T) {
	r := newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s")
	a := r.start("a", "signin", "archiver", "api")
	b := r.start("b", "signin", "api")
	a.apply(loadOrganization, loadDocument)
	l := newLoad(t, 60*time.Second, a, b)
	l.run(0, 10_000, 10_000)
	l.verify(b)
}

// A controller kills sidecar, Redis, archiver and PostgreSQL with SIGKILL in turns and pauses an archiver past its lease while
// sign-ins run. What was acknowledged is in the archive, once, in a gapless sequence.
func TestNothingAcknowledgedIsLostWhenProcessesDie(t *testing.T) {
	dyingInTurns(t, newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s"), 4_000)
}

func TestNothingAcknowledgedIsLostWhenProcessesDieWithPostgreSQL(t *testing.T) {
	dyingInTurns(t, newPostgresRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s"), 4_000)
}

func dyingInTurns(t *testing.T, r *rig, flows int) {
	a := r.start("a", "signin", "api")
	b := r.start("b", "signin", "api")
	archiver := r.start("c", "archiver")
	second := r.start("d", "archiver")
	a.apply(loadOrganization, loadDocument)
	l := newLoad(t, 120*time.Second, a, b)

	done := make(chan struct{})
	go func() { defer close(done); l.run(0, flows, 64) }()
	// Each turn waits for the load to have moved on, so that every kill hits a system at work.
	moved := func(by int64) bool {
		from := l.calls.Load()
		for l.calls.Load() < from+by {
			select {
			case <-done:
				return false
			case <-time.After(10 * time.Millisecond):
			}
		}
		return true
	}
	restart := func(p *process) { p.kill(); p.run() }
	turns := []func(){
		func() { restart(a) },
		func() { r.redis.Kill(); r.redis.Restart() },
		func() { restart(archiver) },
		func() {
			second.signal(syscall.SIGSTOP) // longer than the lease of 10 s
			woken := time.AfterFunc(12*time.Second, func() { second.signal(syscall.SIGCONT) })
			t.Cleanup(func() { woken.Stop() })
			restart(b)
		},
	}
	if r.postgres != nil {
		database := func() { r.postgres.Kill(); r.postgres.Restart() }
		turns = []func(){turns[0], database, turns[1], turns[2], database, turns[3]}
	}
	kills := 0
	for moved(1200) {
		turns[kills%len(turns)]()
		kills++
	}
	second.signal(syscall.SIGCONT)
	<-done
	t.Logf("%d kills", kills)
	if kills < 4 {
		t.Errorf("only %d kills: the load was over too soon to prove anything", kills)
	}
	a.awaitServing()
	b.awaitServing()
	l.verify(b)
}
