package errs_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
)

func TestAPanicBecomesAnErrorThatQuotesNoValue(t *testing.T) {
	err := errs.Guard(func() error { panic("alice@partner.example") })
	var p *errs.Panic
	if !errors.As(err, &p) || err.Error() != "panic with a string" || !strings.Contains(string(p.Stack), "panic_test.go") {
		t.Errorf("Guard() = %v", err)
	}
	if strings.Contains(string(p.Stack), "alice") {
		t.Error("the stack quotes the value")
	}
	var said runtime.Error
	if err := errs.Guard(func() error { var at *[1]int; at[0] = 1; return nil }); !errors.As(err, &said) {
		t.Errorf("Guard() = %v", err)
	}
	broken := errors.New("broken")
	if err := errs.Guard(func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("Guard() = %v", err)
	}
}
