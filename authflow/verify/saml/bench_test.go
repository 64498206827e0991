package saml_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/postern-audit/postern/authflow/verify/saml"
	"github.com/postern-audit/postern/authflow/verify/saml/samltest"
)

// cpu reports the CPU time of the process, which other work on the machine changes less than the time that passes.
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkVerify compares us with the library alone, on the same response. The library needs the present.
func BenchmarkVerify(b *testing.B) {
	w := samltest.New(b, time.Now())
	big := w.Draft()
	for range 40 {
		big.Details += attributes([]string{"group", "one", "two", "three"})
	}
	both := w.Draft()
	both.SignResponse = &samltest.Signing{By: w.Main}
	for _, d := range []struct {
		name  string
		draft *samltest.Draft
	}{{"small", w.Draft()}, {"large", big}, {"both_signed", both}} {
		c := samltest.Case{Response: d.draft.Response(), Expect: w.Expect(), Now: w.Now}
		sp := bare(b, w, c)
		b.Run(d.name+"/bare", func(b *testing.B) {
			defer cpu(b)()
			for b.Loop() {
				if err := askBare(&sp, c); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(d.name+"/ours", func(b *testing.B) {
			doc := []byte(c.Response)
			defer cpu(b)()
			for b.Loop() {
				if _, err := saml.Verify(doc, c.Expect, c.Now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
