package status_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server/status"
)

func details(t *testing.T, err error) (info *errdetails.ErrorInfo, bad *errdetails.BadRequest, retry *errdetails.RetryInfo) {
	t.Helper()
	for _, d := range grpcstatus.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if info != nil {
				t.Error("two ErrorInfos")
			}
			info = d
		case *errdetails.BadRequest:
			bad = d
		case *errdetails.RetryInfo:
			retry = d
		default:
			t.Errorf("unexpected detail %T", d)
		}
	}
	return info, bad, retry
}

func TestEveryKindHasItsOwnStandardCode(t *testing.T) {
	seen := map[codes.Code]errs.Kind{}
	for _, k := range errs.Kinds {
		c := status.Code(k)
		if c == codes.OK || c == codes.Unknown || c > codes.Unauthenticated {
			t.Errorf("kind %d becomes %v, which is no code of an error", k, c)
		}
		if other, twice := seen[c]; twice {
			t.Errorf("kinds %d and %d both become %v", k, other, c)
		}
		seen[c] = k
		if status.CodeName(c) == "UNKNOWN" {
			t.Errorf("%v has no documented name", c)
		}
		err := status.Error(errs.New(k, "SOME_REASON", "some text"), "call-1")
		info, _, _ := details(t, err)
		if info == nil || info.GetDomain() != status.Domain || info.GetMetadata()["call_id"] != "call-1" {
			t.Errorf("kind %d: ErrorInfo %v", k, info)
		}
	}
	if status.Code(errs.Kind(200)) != codes.Internal {
		t.Error("a kind nobody knows must be Internal")
	}
}

func TestInternalErrorsSayNothingButTheCallID(t *testing.T) {
	secret := errors.New("pq: password authentication failed for user scott")
	for _, err := range []error{
		secret, fmt.Errorf("wrapped: %w", secret), errs.Wrap(secret, errs.Internal, "SCOTT", "scott's text").WithMeta("user", "scott"),
		grpcstatus.Error(codes.DataLoss, "scott"),
	} {
		out := grpcstatus.Convert(status.Error(status.Normal(err), "call-1"))
		if out.Code() != codes.Internal || strings.Contains(strings.ToLower(out.Proto().String()), "scott") || strings.Contains(out.Proto().String(), "password") {
			t.Errorf("%v leaks: %v", err, out.Proto())
		}
		if reason, id := status.Reason(out.Err()); reason != status.ReasonInternal || id != "call-1" {
			t.Errorf("%v: reason %q, call %q", err, reason, id)
		}
	}
}

func TestTheCauseOfAPublicErrorStaysInside(t *testing.T) {
	e := errs.Wrap(errors.New("dial tcp 10.0.0.7:6379"), errs.Unavailable, "NOT_RECORDED", "try again")
	out := grpcstatus.Convert(status.Error(e, "c"))
	if strings.Contains(out.Proto().String(), "10.0.0.7") || out.Message() != "try again" {
		t.Errorf("got %v", out.Proto())
	}
	if _, _, retry := details(t, out.Err()); retry == nil {
		t.Error("no RetryInfo on something that passes")
	}
}

func TestViolationsBecomeOneBadRequest(t *testing.T) {
	e := errs.Field("step.reason", "REASON_INVALID", "is none")
	e.Violations = append(e.Violations, errs.Violation{Field: "flow", Description: "is none either"})
	_, bad, retry := details(t, status.Error(e, "c"))
	if len(bad.GetFieldViolations()) != 2 || bad.GetFieldViolations()[0].GetField() != "step.reason" || retry != nil {
		t.Errorf("got %v, %v", bad, retry)
	}
}

func TestContextErrorsKeepTheirMeaning(t *testing.T) {
	for err, want := range map[error]codes.Code{
		context.Canceled: codes.Canceled, fmt.Errorf("x: %w", context.DeadlineExceeded): codes.DeadlineExceeded,
		grpcstatus.Error(codes.Unavailable, "transport is closing"): codes.Unavailable,
	} {
		if got := status.Code(status.Normal(err).Kind); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

func TestMetadataCannotReplaceTheCallID(t *testing.T) {
	_, id := status.Reason(status.Error(errs.New(errs.Invalid, "X", "x").WithMeta("call_id", "forged"), "true"))
	if id != "true" {
		t.Errorf("call id %q", id)
	}
}

func TestTheErrorReferenceIsFresh(t *testing.T) {
	have, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "errors.md"))
	if err != nil {
		t.Fatalf("%v: run make docs", err)
	}
	if !bytes.Equal(have, status.Reference()) {
		t.Error("docs/reference/errors.md is stale: run make docs")
	}
	for _, r := range status.Reasons() {
		if bytes.Count(have, []byte("| `"+r.Reason+"` |")) != 1 {
			t.Errorf("%s does not stand in the reference once", r.Reason)
		}
	}
}
