package test

import (
	"fmt"
	"sync"
	"testing"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	importRows  = 20_000
	importBatch = 500
)

// importer sends an import batch by batch.
type importer struct {
	w      *tide
	stream posternv1.DirectoryService_ImportAccountsClient
	next   int64
}

func (w *tide) importing(id string) *importer {
	w.t.Helper()
	s, err := posternv1.NewDirectoryServiceClient(w.change.conn).ImportAccounts(w.ctx())
	must(w.t, err, s)
	i := &importer{w: w, stream: s}
	must(w.t, s.Send(&posternv1.ImportAccountsRequest{Begin: &posternv1.ImportAccountsRequest_Begin{Parent: tideOrganization, RequestId: id}}), 0)
	i.next = i.answer().GetNextRow()
	return i
}

func (i *importer) answer() *posternv1.ImportAccountsResponse {
	i.w.t.Helper()
	a, err := i.stream.Recv()
	return must(i.w.t, err, a)
}

// batch claims the next accounts and returns once they are committed.
func (i *importer) batch() *posternv1.ImportAccountsResponse {
	i.w.t.Helper()
	r := &posternv1.ImportAccountsRequest{FirstRow: i.next}
	for row := i.next; row < i.next+importBatch; row++ {
		r.Accounts = append(r.Accounts, &posternv1.Account{AccountId: fmt.Sprintf("staff-%d", row)})
	}
	must(i.w.t, i.stream.Send(r), 0)
	a := i.answer()
	if a.GetNextRow() != i.next+importBatch || a.GetRefused() != 0 {
		i.w.t.Fatalf("after row %d: %v", i.next, a)
	}
	i.next = a.GetNextRow()
	return a
}

// whole is a sign-in from start to end in one call.
func (w *tide) whole(account string) (*posternv1.FlowAnswer, error) {
	email := account + "@guest-tide.com"
	return w.signs.signIn().StartFlow(w.ctx(), &posternv1.StartFlowRequest{Parent: tideSite, RequestId: w.id(),
		Subject: &posternv1.Subject{Email: email}, Context: &posternv1.Context{DeviceId: account},
		Steps:  []*posternv1.StepReport{{Type: "password.verified", Subject: &posternv1.Subject{AccountId: account, Email: email, EmailVerified: new(true)}}},
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
}

// TestAnImportMakesNoSignInDecideAnew counts the trips of sign-ins between the batches of an import: were the policy stamp to
// move with a batch, each would read the policy again, or commit twice.
func TestAnImportMakesNoSignInDecideAnew(t *testing.T) {
	w := newTide(t)
	m := newMonitor(t, w.change.rig)
	w.bind(w.open("warm").GetFlow(), "warm")
	revision := int64(0)
	im := w.importing("trips")
	for n := range 10 {
		im.batch()
		account := fmt.Sprintf("g%d", n)
		m.sent()
		flow := w.open(account).GetFlow()
		started := len(m.sent())
		bound := w.bind(flow, account)
		proved := len(m.sent())
		ended := w.complete(flow)
		if finished := len(m.sent()); started != 2 || proved != 2 || finished != 1 {
			t.Errorf("after batch %d: %d trips to start, %d to bind, %d to finish", n, started, proved, finished)
		}
		if n > 0 && bound.GetDecision().GetPolicyRevision() != revision {
			t.Errorf("batch %d moved the policy from revision %d to %d", n, revision, bound.GetDecision().GetPolicyRevision())
		}
		revision = bound.GetDecision().GetPolicyRevision()
		if ended.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED {
			t.Errorf("%v", ended)
		}
	}
}

// TestSignInsGoOnWhileAccountsAreImported runs both at once: every sign-in is answered as ever, and who was imported by then
// is the organization's own.
func TestSignInsGoOnWhileAccountsAreImported(t *testing.T) {
	w := newTide(t)
	stop := make(chan struct{})
	var group sync.WaitGroup
	counts := make([]int, 4)
	for worker := range counts {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				a, err := w.whole(fmt.Sprintf("w%d-%d", worker, n))
				if err != nil || a.GetEnding() != posternv1.Ending_ENDING_SUCCEEDED || a.GetDecision().GetClass() != posternv1.Class_CLASS_EXTERNAL {
					t.Errorf("%v, %v", a, err)
					return
				}
				counts[worker]++
			}
		})
	}
	im := w.importing("beside")
	for im.next < importRows {
		im.batch()
	}
	close(stop)
	group.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total < 100 {
		t.Errorf("only %d sign-ins went on beside the import", total)
	}
	if a := w.bind(w.open("staff-0").GetFlow(), "staff-0"); a.GetDecision().GetClass() != posternv1.Class_CLASS_CLAIMED {
		t.Errorf("imported, and bound as %v", a.GetDecision())
	}
	page, err := posternv1.NewDirectoryServiceClient(w.signs.conn).ListAccounts(w.ctx(), &posternv1.ListAccountsRequest{Parent: tideOrganization})
	if must(t, err, page).GetTotalSize() != importRows {
		t.Errorf("%d accounts are claimed", page.GetTotalSize())
	}
}
