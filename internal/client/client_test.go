package client_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postern-audit/postern/internal/client"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func refusal(code codes.Code, reason string, retry time.Duration) error {
	s := status.New(code, "parent: names no site")
	s, err := s.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "postern.dev", Metadata: map[string]string{"call_id": "c1"}},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "parent", Description: "names no site"}, {Field: "steps[1].reason", Description: "is not known"}}})
	if err == nil && retry > 0 {
		s, err = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	if err != nil {
		return err
	}
	return s.Err()
}

func TestAFailureSaysReasonTextViolationsAndCall(t *testing.T) {
	f := client.Explain(refusal(codes.InvalidArgument, "NAME_INVALID", 0))
	const want = "NAME_INVALID: parent: names no site; steps[1].reason: is not known (call c1)"
	if f == nil || f.Error() != want || f.Unreachable() {
		t.Errorf("got %v, want %s", f, want)
	}
	if client.Explain(nil) != nil || client.Explain(errors.New("x")) != nil {
		t.Error("Explain made a failure of something that was no call")
	}
}

func TestOnlyWhatMayHaveCountedIsRepeated(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		calls int
	}{
		"outcome unknown":   {refusal(codes.Unavailable, "OUTCOME_UNKNOWN", time.Second), 4},
		"lost races":        {refusal(codes.Aborted, "CONFLICT", 50*time.Millisecond), 4},
		"conflict for good": {refusal(codes.Aborted, "ETAG_MISMATCH", 0), 1},
		"invalid":           {refusal(codes.InvalidArgument, "NAME_INVALID", 0), 1},
		"broken":            {status.Error(codes.Unavailable, "error reading from server: EOF"), 4},
	} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			_, err := client.Repeat(t.Context(), func(_ context.Context, r *posternv1.ReportStepRequest, _ ...grpc.CallOption) (*posternv1.FlowAnswer, error) {
				ids = append(ids, r.GetRequestId())
				return nil, tc.err
			}, &posternv1.ReportStepRequest{RequestId: "r1"})
			if !errors.Is(err, tc.err) || len(ids) != tc.calls || strings.Trim(strings.Join(ids, ""), "r1") != "" {
				t.Errorf("calls %q, error %v; want %d calls", ids, err, tc.calls)
			}
		})
	}
}

func TestNobodyThereIsUnreachableAndToldAtOnce(t *testing.T) {
	c, err := client.Dial("unix:" + filepath.Join(t.TempDir(), "none.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	calls := 0
	_, err = client.Repeat(t.Context(), func(ctx context.Context, r *posternv1.StartFlowRequest, o ...grpc.CallOption) (*posternv1.FlowAnswer, error) {
		calls++
		return c.SignIn.StartFlow(ctx, r, o...)
	}, &posternv1.StartFlowRequest{})
	f := client.Explain(err)
	if f == nil || !f.Unreachable() || calls != 1 {
		t.Errorf("after %d calls: %v", calls, err)
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"unix:/run/postern.sock": true, "unix:data/postern.sock": true, "unix:///run/postern.sock": true, "localhost:9000": true,
		"[::1]:9000": true, "": false, "unix:": false, "/run/postern.sock": false, ":9000": false, "unix:/a?b": false,
	} {
		c, err := client.Dial(address)
		if (err == nil) != ok {
			t.Errorf("Dial(%q): %v", address, err)
		}
		if err == nil {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
