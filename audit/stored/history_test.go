package stored

import (
	"errors"
	"reflect"
	"testing"
)

func TestRunsLeaveOutWhatAStoreLost(t *testing.T) {
	// Commit 10 set the store back to revision 3, which commit 4 had; commit 20 set it back to revision 5, which commit 12 had; commit
	// 30 to a revision before the first.
	setBacks := map[int64]int64{10: 3, 20: 5, 30: 0}
	had := map[int64]int64{3: 4, 5: 12}
	setBack := func(upTo int64) (sequence, backTo int64, found bool, err error) {
		for at, to := range setBacks {
			if at <= upTo && at > sequence {
				sequence, backTo, found = at, to, true
			}
		}
		return sequence, backTo, found, nil
	}
	before := func(revision, _ int64) (int64, bool, error) {
		at, found := had[revision]
		return at, found, nil
	}
	for upTo, want := range map[int64][]Run{
		9: {{0, 9}}, 10: {{9, 10}, {0, 4}}, 15: {{9, 15}, {0, 4}}, 25: {{19, 25}, {9, 12}, {0, 4}}, 35: {{29, 35}},
	} {
		if got, err := Runs(upTo, setBack, before); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("up to %d: %v, %v, want %v", upTo, got, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := Runs(5, func(int64) (int64, int64, bool, error) { return 0, 0, false, broken }, before); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := Runs(15, setBack, func(int64, int64) (int64, bool, error) { return 0, false, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
