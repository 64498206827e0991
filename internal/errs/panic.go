package errs

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is a panic that was caught. Its text is what the runtime said, else only the type of the value: a value may quote a
// request. Stack is for the log, once.
type Panic struct {
	Err   error
	Stack []byte
}

// Error is fit for logs.
func (p *Panic) Error() string { return p.Err.Error() }

// Unwrap returns what the runtime said.
func (p *Panic) Unwrap() error { return p.Err }

// Recovered makes an error of what recover returned; call it in the deferred function that called recover.
func Recovered(v any) *Panic {
	if err, ok := v.(runtime.Error); ok {
		return &Panic{Err: fmt.Errorf("panic: %w", err), Stack: debug.Stack()}
	}
	return &Panic{Err: fmt.Errorf("panic with a %T", v), Stack: debug.Stack()}
}

// Guard runs f and returns its error; a panic is one as well. It is for goroutines whose end must end the process in order:
// what panicked must not be run again.
func Guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = Recovered(v)
		}
	}()
	return f()
}
