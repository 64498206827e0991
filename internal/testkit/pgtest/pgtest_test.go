package pgtest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/postern-audit/postern/internal/testkit/pgtest"
)

func TestWhatIsCommittedSurvivesAKill(t *testing.T) {
	s := pgtest.Start(t)
	url := s.Database()
	s.Exec(url, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (7)")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("a killed server answers")
	}
	if _, err := pgx.Connect(t.Context(), url); err == nil {
		t.Error("a killed server takes connections")
	}
	s.Restart()
	for _, url := range []string{url, s.URLAt(url, s.Addr(), "postern")} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var n int
		var fsync string
		if err := conn.QueryRow(t.Context(), "SELECT n, current_setting('fsync') FROM t").Scan(&n, &fsync); err != nil || n != 7 || fsync != "on" {
			t.Errorf("%d, fsync %q, %v", n, fsync, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if a, b := s.Database(), s.Database(); a == b {
		t.Errorf("two databases are one: %s", a)
	}
}
