package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// importPage is how many secrets the API takes in one call.
const importPage = 500

// importing is one run of `authenticator import`.
type importing struct {
	*app
	c     *client.Client
	path  string
	state importState
	total int // rows of the file
}

// importState is what the resume file holds: nothing of any secret.
type importState struct {
	Run          string          `json:"run"`  // what request ids are made of
	File         string          `json:"file"` // SHA-256 of the file
	Organization string          `json:"organization"`
	Replace      bool            `json:"replace"`
	Reason       string          `json:"reason"`
	Rows         int             `json:"rows"` // done
	Imported     int32           `json:"imported"`
	Skipped      int32           `json:"skipped"`
	Problems     []importProblem `json:"problems"`
}

// importProblem is a row that was not taken.
type importProblem struct {
	Row    int    `json:"row"` // line of the file
	Reason string `json:"reason"`
}

func (a *app) authenticatorImport() *cobra.Command {
	i := &importing{app: a}
	var check bool
	cmd := &cobra.Command{
		Use:   "import ORGANIZATION FILE",
		Short: "Take over existing TOTP secrets from a file",
		Long: `Take over existing TOTP secrets from a file, and put them in force at once. The file is CSV with a header or JSON lines;
its columns or keys are account_id and secret (base32), and algorithm, digits and period where they are not SHA1, 6 and 30.
An account that has a factor in force is left alone, unless --replace is given.

The file is read through once before anything is sent. Rows go in pages of 500; after each page, FILE.resume says how far
the import is, and the same command goes on from there after an interruption. It is removed at the end. Rows that cannot be
taken are listed by their line in the file; secrets are never printed. Exit code 1 when there are any.`,
		Example: `  postern authenticator import acme secrets.csv --check
  postern authenticator import acme secrets.csv --reason "from the old login service"`,
		Args: exactly("ORGANIZATION", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if i.state.Organization, err = resource(args[0], ""); err != nil {
				return err
			}
			if i.state.Reason == "" && !check {
				return usagef("--reason is needed: it goes on the record")
			}
			i.path = args[1]
			if err := i.survey(); err != nil {
				return fmt.Errorf("%s: %w", i.path, err)
			}
			if check {
				return i.report()
			}
			return a.connect(func(c *client.Client) error {
				i.c = c
				return i.run(cmd.Context())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.state.Reason, "reason", "", "where the secrets come from and why; kept in the record")
	f.BoolVar(&i.state.Replace, "replace", false, "replace factors that are in force too")
	f.BoolVar(&check, "check", false, "read the file and list what is wrong with it; send nothing")
	return cmd
}

// survey reads the whole file: how many rows it has, which of them cannot be sent, and what it is known by.
func (i *importing) survey() error {
	f, err := os.Open(i.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	from := io.TeeReader(f, sum)
	rows, err := newImportRows(from)
	if err != nil {
		return err
	}
	for {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		i.total++
		if row.problem != "" {
			i.state.Problems = append(i.state.Problems, importProblem{row.line, row.problem})
		}
	}
	if _, err := io.Copy(io.Discard, from); err != nil {
		return err
	}
	i.state.File = hex.EncodeToString(sum.Sum(nil))
	return nil
}

// run sends the rows, from where an earlier run stopped.
func (i *importing) run(ctx context.Context) error {
	if err := i.resume(); err != nil {
		return err
	}
	f, err := os.Open(i.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	rows, err := newImportRows(f)
	if err != nil {
		return err
	}
	for range i.state.Rows {
		if _, err := rows.next(); err != nil {
			return err
		}
	}
	for i.state.Rows < i.total {
		i.progress()
		if err := i.page(ctx, rows); err != nil {
			i.clear()
			return fmt.Errorf("after %d of %d rows: %w; the same command goes on from there", i.state.Rows, i.total, err)
		}
	}
	i.clear()
	if err := os.Remove(i.resumePath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return i.report()
}

// page sends the next rows and notes what became of them.
func (i *importing) page(ctx context.Context, rows importRows) error {
	request := &posternv1.ImportAuthenticatorsRequest{
		Parent: i.state.Organization, Reason: i.state.Reason, Replace: i.state.Replace, RequestId: i.state.Run + "-" + strconv.Itoa(i.state.Rows)}
	var lines []int
	next := i.state
	for next.Rows < i.total && len(lines) < importPage {
		row, err := rows.next()
		if err != nil {
			return err
		}
		next.Rows++
		if row.problem != "" {
			next.Problems = append(next.Problems, importProblem{row.line, row.problem})
			continue
		}
		request.Authenticators = append(request.Authenticators, row.totp)
		lines = append(lines, row.line)
	}
	if len(lines) > 0 {
		bounded, cancel := context.WithTimeout(ctx, i.timeout)
		defer cancel()
		answer, err := client.Repeat(bounded, i.c.Authenticators.ImportAuthenticators, request)
		if err != nil {
			return err
		}
		next.Imported += answer.GetImported()
		next.Skipped += answer.GetSkipped()
		for _, p := range answer.GetProblems() {
			if n := int(p.GetIndex()); n >= 0 && n < len(lines) {
				next.Problems = append(next.Problems, importProblem{lines[n], p.GetReason()})
			}
		}
	}
	i.state = next
	return i.save()
}

func (i *importing) resumePath() string { return i.path + ".resume" }

// resume takes up an earlier run of the same import, or begins one.
func (i *importing) resume() error {
	i.state.Problems = nil // found again on the way
	b, err := os.ReadFile(i.resumePath())
	if errors.Is(err, os.ErrNotExist) {
		i.state.Run = newRequestID()
		return i.save()
	}
	if err != nil {
		return err
	}
	var old importState
	if err := json.Unmarshal(b, &old); err != nil || old.Run == "" || old.Rows < 0 || old.Rows > i.total {
		return fmt.Errorf("%s cannot be read: remove it to begin anew", i.resumePath())
	}
	if old.File != i.state.File || old.Organization != i.state.Organization || old.Replace != i.state.Replace || old.Reason != i.state.Reason {
		return fmt.Errorf("%s is of another import: repeat that one to its end, or remove it to begin anew", i.resumePath())
	}
	i.state = old
	if !i.json() {
		fmt.Fprintf(i.stderr, "Going on after row %d of %d.\n", old.Rows, i.total)
	}
	return nil
}

// save writes the resume file whole or not at all.
func (i *importing) save() error {
	b, err := json.Marshal(i.state)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(i.path), filepath.Base(i.path)+".resume-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), i.resumePath())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", i.resumePath(), err), os.Remove(f.Name()))
	}
	return nil
}

// progress draws a bar where somebody looks at it.
func (i *importing) progress() {
	if !show.IsTerminal(i.stderr) || i.total == 0 {
		return
	}
	const width = 40
	done := width * i.state.Rows / i.total
	fmt.Fprintf(i.stderr, "\r[%s%s] %d of %d", strings.Repeat("#", done), strings.Repeat(".", width-done), i.state.Rows, i.total)
}

// clear removes the bar.
func (i *importing) clear() {
	if show.IsTerminal(i.stderr) {
		fmt.Fprint(i.stderr, "\r\x1b[K")
	}
}

// report says what became of the rows.
func (i *importing) report() error {
	s := &i.state
	if i.json() {
		problems := s.Problems
		if problems == nil {
			problems = []importProblem{}
		}
		b, err := show.Line(map[string]any{"rows": i.total, "imported": s.Imported, "skipped": s.Skipped, "problems": problems})
		if err != nil {
			return err
		}
		if err := i.write(b); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(i.stdout, "%d rows: %d imported, %d left alone, %d with a problem\n", i.total, s.Imported, s.Skipped, len(s.Problems))
		if len(s.Problems) > 0 {
			table := make([][]string, len(s.Problems))
			for n, p := range s.Problems {
				table[n] = []string{strconv.Itoa(p.Row), p.Reason}
			}
			if err := show.Table(i.stdout, []string{"LINE", "REASON"}, table); err != nil {
				return err
			}
		}
	}
	if len(s.Problems) > 0 {
		return errNo
	}
	return nil
}
