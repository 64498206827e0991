package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/printable"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

const (
	// importPatience is how long an import waits for a sidecar that went away, from the last answer on.
	importPatience = time.Minute
	// answerTime is the longest a batch may take.
	answerTime = 45 * time.Second
	// reportEvery is how many rows lie between two lines of progress, where nobody looks at a bar.
	reportEvery = 50_000
)

// accountImporting is one run of `account import`. It holds one batch at a time.
type accountImporting struct {
	*app
	c       *client.Client
	path    string // "-": standard input
	begin   *posternv1.ImportAccountsRequest_Begin
	total   int64 // rows of the list; 0: not known
	rows    accountRows
	file    *os.File     // nil: standard input
	read    int64        // rows read
	batch   []accountRow // on its way, behind the rows before it
	at      *posternv1.ImportAccountsResponse
	began   int64 // rows that were done before this run
	heard   time.Time
	refused refusedRows
}

func (a *app) accountImport() *cobra.Command {
	i := &accountImporting{app: a, begin: &posternv1.ImportAccountsRequest_Begin{}}
	cmd := &cobra.Command{
		Use:   "import ORGANIZATION FILE|-",
		Short: "Claim any number of accounts from a list",
		Long: `Claim any number of accounts from a list: a file, or standard input for -. The list is CSV with a header of account_id, email and note
(one of the first two in each row), JSON lines with those keys, or one account id or address a line.

Rows go in batches of 500, each of which is one commit with one event. A row that cannot be taken (no usable address, or claimed by another
organization) is passed over, counted, and written to --refused-file with the reason; the others are claimed. Exit code 1 when there are any.

An import that was interrupted, on whatever side, goes on where it was: repeat the same command within 24 hours. It is known by --request-id,
which follows from the file and the reason unless it is given; for standard input it has to be given.`,
		Example: `  postern account import acme people.csv --reason "HR export of May" --refused-file refused.csv
  postern account import acme people.csv --check
  ldapsearch-to-csv | postern account import acme - --request-id hr-2027-05`,
		Args: exactly("ORGANIZATION", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.begin.Parent, err = resource(args[0], ""); err != nil {
				return err
			}
			i.path = args[1]
			if err := i.survey(); err != nil {
				return inputError{fmt.Errorf("%s: %w", i.path, err)}
			}
			defer i.close()
			return a.connect(func(c *client.Client) error {
				i.c = c
				return i.run(cmd.Context())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.begin.Reason, "reason", "", "why; kept in the record")
	f.StringVar(&i.begin.RequestId, "request-id", "", "what the import is known by, so that it goes on where it was (default: from the file)")
	f.StringVar(&i.refused.path, "refused-file", "", "where to write the rows that were passed over, as CSV")
	f.BoolVar(&i.begin.ValidateOnly, "check", false, "say which rows would be refused; claim nothing")
	return cmd
}

// survey reads a file once: how many rows it has, whether they can be read, and what it is known by. Then it begins to read it again.
func (i *accountImporting) survey() error {
	if i.path == "-" {
		if i.begin.RequestId == "" {
			i.begin.RequestId = newRequestID()
			fmt.Fprintf(i.stderr, "If this is interrupted, it goes on with the same input and --request-id %s\n", i.begin.GetRequestId())
		}
		var err error
		i.rows, err = newAccountRows(i.stdin)
		return err
	}
	f, err := os.Open(i.path)
	if err != nil {
		return err
	}
	sum := sha256.New()
	rows, err := newAccountRows(io.TeeReader(f, sum))
	for ; err == nil; i.total++ {
		_, err = rows.next()
	}
	i.total--
	if !errors.Is(err, io.EOF) {
		return errors.Join(err, f.Close())
	}
	i.begin.Digest = sum.Sum(nil)
	if i.begin.GetRequestId() == "" {
		name := sha256.Sum256(append(sum.Sum(nil), i.begin.GetReason()...))
		i.begin.RequestId = "import-" + hex.EncodeToString(name[:16])
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return errors.Join(err, f.Close())
	}
	i.file = f
	i.rows, err = newAccountRows(f)
	return err
}

func (i *accountImporting) close() {
	i.refused.close()
	if i.file != nil {
		_ = i.file.Close() // it was only read
	}
}

// run sends the rows, and goes on with another call when one breaks.
func (i *accountImporting) run(ctx context.Context) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		heard := i.heard
		err := i.once(ctx)
		if err == nil {
			i.clear()
			return i.report()
		}
		if i.heard != heard {
			wait = 50 * time.Millisecond
		}
		if ctx.Err() != nil || i.heard.IsZero() || i.now().Sub(i.heard) > importPatience || !goesOn(err) {
			i.clear()
			return i.stopped(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// goesOn reports whether another call may get further: a sidecar that is stopping, starting or out of reach of its store.
func goesOn(err error) bool {
	f := client.Explain(err)
	return f != nil && (f.Code == codes.Unavailable || f.Code == codes.DeadlineExceeded || f.Code == codes.Aborted || f.Code == codes.ResourceExhausted && f.Retry > 0)
}

// stopped says how far an import came.
func (i *accountImporting) stopped(err error) error {
	if i.at == nil || i.begin.GetValidateOnly() {
		return err
	}
	how := "the same command goes on from there"
	if i.path == "-" {
		how += ", with --request-id " + i.begin.GetRequestId()
	}
	return fmt.Errorf("after %d rows: %w; %s", i.at.GetNextRow(), err, how)
}

// once makes one call, from where the import is to its end.
func (i *accountImporting) once(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := time.AfterFunc(answerTime, func() { cancel(context.DeadlineExceeded) })
	defer late.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = context.DeadlineExceeded
		}
	}()
	stream, err := i.c.Directory.ImportAccounts(ctx)
	if err != nil {
		return err
	}
	ask := func(r *posternv1.ImportAccountsRequest) (*posternv1.ImportAccountsResponse, error) {
		late.Reset(answerTime)
		if err := stream.Send(r); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		answer, err := stream.Recv() // when sending failed, this says why
		if err == nil {
			i.heard = i.now()
		}
		return answer, err
	}
	at, err := ask(&posternv1.ImportAccountsRequest{Begin: i.begin})
	if err != nil {
		return err
	}
	if err := i.goOn(at); err != nil {
		return err
	}
	for {
		if err := i.fill(); err != nil {
			return err
		}
		if len(i.batch) == 0 { // everything was answered: what comes of the stream does not matter
			_ = stream.CloseSend()
			_, _ = stream.Recv()
			return nil
		}
		answer, err := ask(i.message())
		if err != nil {
			return err
		}
		if err := i.done(answer); err != nil {
			return err
		}
	}
}

// goOn brings the list to the row that the import is at.
func (i *accountImporting) goOn(at *posternv1.ImportAccountsResponse) error {
	next := at.GetNextRow()
	switch first := i.read - int64(len(i.batch)); {
	case i.begin.GetValidateOnly():
		if i.at != nil {
			return errors.New("the check was interrupted: begin it anew")
		}
	case i.at == nil:
		i.began = next
		i.refused.resumed = next > 0
	case len(i.batch) > 0 && next == i.read: // it was done, and its answer never came
		i.refused.unnamed += at.GetRefused() - i.at.GetRefused()
		i.batch = nil
	case next != first:
		return fmt.Errorf("the import is at row %d, not at row %d: somebody else goes on with it", next, first)
	}
	for i.read < next {
		_, err := i.rows.next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the list has %d rows, and %d were done before: it is another list", i.read, next)
		}
		if err != nil {
			return err
		}
		i.read++
	}
	i.at = at
	return nil
}

// fill reads the next batch, unless there is one.
func (i *accountImporting) fill() error {
	if len(i.batch) > 0 {
		return nil
	}
	for len(i.batch) < importPage {
		row, err := i.rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			i.batch = nil
			return inputError{fmt.Errorf("%s: %w", i.path, err)}
		}
		i.batch = append(i.batch, row)
		i.read++
	}
	return nil
}

func (i *accountImporting) message() *posternv1.ImportAccountsRequest {
	r := &posternv1.ImportAccountsRequest{FirstRow: i.read - int64(len(i.batch)), Accounts: make([]*posternv1.Account, len(i.batch))}
	for n := range i.batch {
		r.Accounts[n] = i.batch[n].account
	}
	return r
}

// done notes what became of a batch.
func (i *accountImporting) done(answer *posternv1.ImportAccountsResponse) error {
	first := i.read - int64(len(i.batch))
	for _, r := range answer.GetRefusals() {
		if n := r.GetRow() - first; n >= 0 && n < int64(len(i.batch)) {
			if err := i.refused.add(&i.batch[n], r); err != nil {
				return err
			}
		}
	}
	if err := i.refused.flush(); err != nil {
		return err
	}
	before := i.at.GetNextRow()
	i.at, i.batch = answer, nil
	return i.progress(before)
}

// progress draws a bar where somebody looks at it, and prints a line now and then elsewhere.
func (i *accountImporting) progress(before int64) error {
	rows := i.at.GetNextRow()
	switch {
	case show.IsTerminal(i.stderr) && i.total > 0:
		const width = 40
		filled := int(width * min(rows, i.total) / i.total)
		fmt.Fprintf(i.stderr, "\r[%s%s] %d of %d", strings.Repeat("#", filled), strings.Repeat(".", width-filled), rows, i.total)
	case rows/reportEvery == before/reportEvery:
	case i.json():
		return i.line(false)
	case show.IsTerminal(i.stderr):
		fmt.Fprintf(i.stderr, "\r%d rows", rows)
	default:
		fmt.Fprintf(i.stderr, "%d rows\n", rows)
	}
	return nil
}

// clear removes the bar.
func (i *accountImporting) clear() {
	if show.IsTerminal(i.stderr) {
		fmt.Fprint(i.stderr, "\r\x1b[K")
	}
}

// line prints how far the import is as one JSON object.
func (i *accountImporting) line(done bool) error {
	out := map[string]any{
		"request_id": i.begin.GetRequestId(), "rows": i.at.GetNextRow(), "created": i.at.GetCreated(), "unchanged": i.at.GetUnchanged(),
		"refused": i.at.GetRefused(), "revision": i.at.GetRevision(), "done": done,
	}
	if i.total > 0 {
		out["total"] = i.total
	}
	if done {
		out["refusals"] = append([]refusedRow{}, i.refused.first...)
	}
	b, err := show.Line(out)
	if err != nil {
		return err
	}
	return i.write(b)
}

// report says what became of the rows.
func (i *accountImporting) report() error {
	if i.json() {
		if err := i.line(true); err != nil {
			return err
		}
	} else if err := i.summary(); err != nil {
		return err
	}
	if i.at.GetRefused() > 0 {
		return errNo
	}
	return nil
}

func (i *accountImporting) summary() error {
	verb := "claimed"
	if i.begin.GetValidateOnly() {
		verb = "would be claimed"
	}
	fmt.Fprintf(i.stdout, "%d rows: %d %s, %d claimed already, %d refused\n", i.at.GetNextRow(), i.at.GetCreated(), verb, i.at.GetUnchanged(), i.at.GetRefused())
	if i.began > 0 && i.began == i.at.GetNextRow() {
		fmt.Fprintln(i.stderr, "This import was done before, and nothing was done again. To claim what was released since, give it another --request-id.")
	}
	named := i.refused.count
	if len(i.refused.first) > 0 {
		table := make([][]string, len(i.refused.first))
		for n, r := range i.refused.first {
			table[n] = []string{fmt.Sprint(r.Line), r.Account, r.Reason, r.Text}
		}
		if err := show.Table(i.stdout, []string{"LINE", "ACCOUNT", "REASON", "TEXT"}, table); err != nil {
			return err
		}
	}
	switch more := i.at.GetRefused() - int64(len(i.refused.first)); {
	case more <= 0:
	case i.refused.path != "":
		fmt.Fprintf(i.stderr, "The rows that were refused in this run are in %s.\n", printable.Escape(i.refused.path))
	default:
		fmt.Fprintf(i.stderr, "%d more rows were refused; --refused-file keeps them all.\n", more)
	}
	if i.at.GetRefused() > named && i.refused.unnamed > 0 {
		fmt.Fprintf(i.stderr, "Which rows were refused is not known of %d, whose answer was lost; --check lists them.\n", i.refused.unnamed)
	}
	return nil
}
