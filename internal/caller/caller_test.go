package caller_test

import (
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
	ctx := caller.WithCallID(caller.Into(t.Context(), want), "c-1")
	if got := caller.From(ctx); got != want || got.String() != "key:local" || caller.CallID(ctx) != "c-1" {
		t.Errorf("got %+v, call %q", got, caller.CallID(ctx))
	}
}
