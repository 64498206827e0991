package authflow

import (
	"context"
	"errors"
	"testing"
	"time"
)

type boundKey struct{}

func TestCommitsThatBeginTogetherShareADeadlineAndNothingOfTheirCallers(t *testing.T) {
	b := commitBound{longest: time.Hour}
	caller, leave := context.WithCancel(context.WithValue(t.Context(), boundKey{}, "first"))
	first, free := b.over(caller)
	defer free()
	second, free := b.over(t.Context())
	defer free()
	leave()
	if first.Err() != nil || first.Done() != second.Done() {
		t.Error("a commit ends with its caller, or has a deadline of its own")
	}
	if first.Value(boundKey{}) != "first" || second.Value(boundKey{}) != nil {
		t.Error("a commit has not the values of its own call")
	}
	below, cancel := context.WithCancel(first)
	cancel()
	if below.Err() == nil || first.Err() != nil || below.Value(boundKey{}) != "first" {
		t.Error("a context of a commit is not one of its own")
	}

	soon := time.Now().Add(time.Minute)
	hurried, stop := context.WithDeadline(t.Context(), soon)
	third, free := b.over(hurried)
	defer free()
	stop()
	if at, ok := third.Deadline(); !ok || !at.Equal(soon) || third.Err() != nil {
		t.Errorf("the deadline of a caller is %v, not %v, or its going away counts: %v", at, soon, third.Err())
	}
}

func TestACommitEndsAtItsBound(t *testing.T) {
	b := commitBound{longest: time.Millisecond}
	for range 2 { // the second has a deadline of its own: the first one's is over
		ctx, free := b.over(t.Context())
		<-ctx.Done()
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("it ends with %v", ctx.Err())
		}
		free()
	}
}
