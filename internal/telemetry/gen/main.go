// Command gen writes docs/reference/metrics.md from the metrics that internal/telemetry registers.
//
// Invariant: the page holds every metric, and a test fails when it is stale. It must never be part of the binary. First file to
// read: this one. Run it with go generate in internal/telemetry.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/postern-audit/postern/internal/telemetry"
)

const page = "docs/reference/metrics.md"

func main() {
	if err := os.WriteFile("../../"+page, []byte(reference()), 0o644); err != nil { //nolint:gosec // documentation, for everybody
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1) //nolint:forbidigo // this is a main
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString(`# Metrics

Generated from internal/telemetry by ` + "`make docs`" + `: do not edit.

` + "`GET /metrics`" + ` on the HTTP address (` + "`http.address`" + `) answers in Prometheus' format. No label names an organization, a site or a
person. The Go runtime and the process add their usual ` + "`go_…` and `process_…`" + ` metrics.

Worth an alarm: ` + "`postern_ready` at 0, `postern_archive_lag_seconds`" + ` growing for minutes,
` + "`postern_archive_failures_total{reason=\"unreadable\"}`" + ` above 0, and ` + "`postern_commits_total{result=\"not_recorded\"}`" + ` moving.

| metric | kind | labels | meaning |
|---|---|---|---|
`)
	for _, m := range telemetry.NewMetrics(nil).Catalog() {
		labels := "–"
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, labels, m.Help)
	}
	return b.String()
}
