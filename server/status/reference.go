package status

import (
	"bytes"
	"fmt"
	"strings"
)

//go:generate go run ./docgen ../../docs/reference/errors.md

// Reference renders docs/reference/errors.md from the table.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString(referenceHead)
	calls := func(r ReasonInfo) bool { return !r.Start }
	section(&b, "Answers", calls)
	b.WriteString("\n## When a process starts\n\nThese stand in the log of a process that refuses to start, never in an answer.\n\n")
	rows(&b, func(r ReasonInfo) bool { return r.Start })
	return b.Bytes()
}

var referenceHead = "# Errors\n\nGenerated from server/status by `make docs`: do not edit.\n\n" +
	"Every error is a standard gRPC status with exactly one `ErrorInfo`: `reason` is one of the names below, `domain` is `" + Domain + "`, " +
	"`metadata." + metaCallID + "` is the id under which the sidecar's log and the `access.denied` event know this call. What is wrong with a field " +
	"stands in a `BadRequest`; when waiting helps, a `RetryInfo` says how long. Over HTTP the same status is the JSON body, and `Retry-After` is set.\n\n" +
	"Branch on code and reason, never on the text. A call that is refused is recorded: as `access.denied` in the organization it names, or in " +
	"`system` when it names none that exists, the caller has no rights there, or the flow it names is not on the record.\n\n" +
	"Three answers come from the transport, before a call exists, and carry no `ErrorInfo`: `RESOURCE_EXHAUSTED` for a message of more than 1.25 MiB " +
	"(recorded as `MESSAGE_TOO_LARGE`), `UNIMPLEMENTED` for a compression this server does not have, and whatever your own client says when it cannot connect.\n"

// section writes the rows that are answered to calls, by code.
func section(b *bytes.Buffer, title string, chosen func(ReasonInfo) bool) {
	fmt.Fprintf(b, "\n## %s\n", title)
	last := ""
	for _, r := range Reasons() {
		if !chosen(r) {
			continue
		}
		if code := CodeName(Code(r.Kind)); code != last {
			fmt.Fprintf(b, "\n### %s\n\n", code)
			last = code
			rows(b, func(o ReasonInfo) bool { return chosen(o) && o.Kind == r.Kind })
		}
	}
}

func rows(b *bytes.Buffer, chosen func(ReasonInfo) bool) {
	b.WriteString("| reason | meaning | do | retry |\n|---|---|---|---|\n")
	for _, r := range Reasons() {
		if !chosen(r) {
			continue
		}
		retry := ""
		if d := RetryAfter(r.Kind, r.Reason); d > 0 {
			retry = "after " + d.String()
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", r.Reason, cell(r.Meaning), cell(r.Do), retry)
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
