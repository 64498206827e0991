package convert_test

import (
	"testing"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/convert"
)

// BenchmarkReportStep is what the border costs the most frequent call.
func BenchmarkReportStep(b *testing.B) {
	c, err := convert.New()
	if err != nil {
		b.Fatal(err)
	}
	verified := true
	r := &posternv1.ReportStepRequest{
		Flow: flowName, RequestId: "7c1f5c34-1f8e-4c5a-9d3b-2f1a6a1e9b11",
		Step: &posternv1.StepReport{
			Type: "password.verified", Subject: &posternv1.Subject{AccountId: "acct-1", Email: "guest@partner-postern-demo.com", EmailVerified: &verified},
			Context: &posternv1.Context{Ip: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64)", DeviceId: "device-1", Client: posternv1.Client_CLIENT_WEB},
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.ReportStep(r); err != nil {
			b.Fatal(err)
		}
	}
}
