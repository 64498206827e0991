package cli

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/internal/show"
)

// The values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func (a *app) json() bool { return a.output == outputJSON }

// write prints bytes; a reader that went away is an error.
func (a *app) write(b []byte) error {
	if _, err := a.stdout.Write(b); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// message prints m as a JSON line.
func (a *app) message(m proto.Message) error {
	b, err := show.JSON(m)
	if err != nil {
		return err
	}
	return a.write(b)
}

// list prints messages as JSON lines or rows.
func list[M proto.Message](a *app, messages []M, header []string, row func(M) []string) error {
	if a.json() {
		for _, m := range messages {
			if err := a.message(m); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(messages))
	for i, m := range messages {
		rows[i] = row(m)
	}
	return show.Table(a.stdout, header, rows)
}

// resource completes "acme/wiki" to "organizations/acme/sites/portal"; full names stay as they are. An organization alone
// is completed when kind is empty.
func resource(arg, kind string) (string, error) {
	if strings.HasPrefix(arg, "organizations/") {
		return arg, nil
	}
	org, id, nested := strings.Cut(arg, "/")
	switch {
	case kind == "" && org != "" && !nested:
		return "organizations/" + org, nil
	case kind == "":
		return "", usagef("%q names no organization: give its id, or organizations/ID", arg)
	case org == "" || id == "" || strings.Contains(id, "/"):
		return "", usagef("%q must be ORGANIZATION/ID, or organizations/ORGANIZATION/%s/ID", arg, kind)
	}
	return "organizations/" + org + "/" + kind + "/" + id, nil
}

// enum reads a value of a proto enum by the short name people type, in any case: denied for ENDING_DENIED.
func enum(flag, prefix, text string, values map[string]int32) (int32, error) {
	if v, ok := values[prefix+"_"+strings.ToUpper(text)]; ok && v != 0 {
		return v, nil
	}
	names := make([]string, len(values))
	for name, v := range values {
		names[v] = strings.ToLower(strings.TrimPrefix(name, prefix+"_"))
	}
	return 0, usagef("--%s must be one of %s", flag, strings.Join(names[1:], ", "))
}
