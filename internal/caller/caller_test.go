package caller_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/postern-audit/postern/internal/caller"
)

func TestWhoWasNotIdentifiedIsNobody(t *testing.T) {
	id := caller.From(t.Context())
	if id != (caller.Identity{}) || id.Operator || id.String() != caller.Nobody || caller.CallID(t.Context()) != "" {
		t.Errorf("got %+v, call %q", id, caller.CallID(t.Context()))
	}
}

func TestAnIdentityTravelsWithItsCall(t *testing.T) {
	want := caller.Identity{Kind: caller.KindKey, Principal: "key:local", Operator: true}
	minted := 0
	mint := func() string { minted++; return "c-" + strconv.Itoa(minted) }
	ctx, cancel := context.WithCancel(caller.WithCallID(caller.Into(t.Context(), want), mint))
	defer cancel()
	if got := caller.From(ctx); got != want || got.String() != "key:local" || minted != 0 {
		t.Errorf("got %+v, %d ids", got, minted)
	}
	if first, again := caller.CallID(ctx), caller.CallID(ctx); first != "c-1" || again != first {
		t.Errorf("one call is %q and %q", first, again)
	}
}
