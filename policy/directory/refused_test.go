package directory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy/directory"
)

// TestWhatIsRefusedLeavesNothing: neither a reserved id nor the commits before the one that cannot be made.
func TestWhatIsRefusedLeavesNothing(t *testing.T) {
	var large strings.Builder
	large.WriteString(acme)
	for i := range 190 {
		var domains []string
		for c := range 10 {
			domains = append(domains, fmt.Sprintf("%s%d-%d.com", strings.Repeat("p", 50), i, c))
		}
		fmt.Fprintf(&large, "    - {id: r%d, message: %q, description: %q, match: {domains: [%s]}, demands: {mfa: {factors: [TOTP]}}}\n",
			i, strings.Repeat("m", 500), strings.Repeat("d", 500), strings.Join(domains, ", "))
	}
	for name, tt := range map[string]struct {
		in     directory.ApplyInput
		reason string
	}{
		"an etag of nothing":         {directory.ApplyInput{Document: []byte(acme), Etag: strings.Repeat("0", 32)}, "ETAG_UNEXPECTED"},
		"a policy that is too large": {directory.ApplyInput{Document: []byte(large.String())}, "POLICY_TOO_LARGE"},
	} {
		w := newWorld(t)
		if _, err := w.apply(tt.in); !errs.Is(err, tt.reason) || errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %.300v", name, err)
		}
		if keys := w.client.Keys(t.Context(), "*").Val(); len(keys) != 0 {
			t.Errorf("%s: it wrote %v", name, keys)
		}
	}
	w := newWorld(t)
	first := w.must(directory.ApplyInput{Document: []byte(acme)})
	etag := fmt.Sprintf("%x", first.Organization.Stamp[:])
	if _, err := w.apply(directory.ApplyInput{Document: []byte(large.String() + "domains: [late-corp.com]\n"), Etag: etag}); err == nil {
		t.Error("two lists of domains were taken")
	}
	before := len(w.events(first.Organization.UID))
	more := strings.Replace(large.String(), "domains: [acme-corp.com, ", "domains: [acme-corp.com, late-corp.com, ", 1)
	if _, err := w.apply(directory.ApplyInput{Document: []byte(more), Etag: etag}); !errs.Is(err, "POLICY_TOO_LARGE") {
		t.Errorf("%.300v", err)
	}
	if after := len(w.events(first.Organization.UID)); after != before {
		t.Errorf("%d events came of a refusal", after-before)
	}
}
