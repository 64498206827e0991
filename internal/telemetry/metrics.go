package telemetry

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

//go:generate go run ./gen

// Metric describes one metric of this package, for the reference.
type Metric struct {
	Name   string
	Kind   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Metrics is the set of metrics of one process, in a registry of its own.
type Metrics struct {
	registry *prometheus.Registry
	catalog  []Metric
	now      func() time.Time

	commits         *prometheus.CounterVec
	commitSeconds   prometheus.Histogram
	ended           *prometheus.CounterVec
	evidence        *prometheus.CounterVec
	exchangeSeconds prometheus.Histogram
	calls           *prometheus.CounterVec
	callSeconds     *prometheus.HistogramVec
	refusals        *prometheus.CounterVec
	unrecorded      prometheus.Counter
	archived        prometheus.Counter
	archiveFailed   *prometheus.CounterVec
	swept           prometheus.Counter
	sweepFailed     prometheus.Counter
	pruned          *prometheus.CounterVec
	pruneFailed     *prometheus.CounterVec
	outbox          prometheus.Gauge
	lag             prometheus.Gauge
	ready           prometheus.Gauge
	skew            prometheus.Gauge
	trips           *prometheus.CounterVec
	domainChecks    *prometheus.CounterVec
	domainChanges   *prometheus.CounterVec
	build           *prometheus.GaugeVec

	mu      sync.RWMutex
	answers map[[2]string]answered // by method and code
}

// answered counts the calls of one method that got one code.
type answered struct {
	calls   prometheus.Counter
	seconds prometheus.Observer // nil for a stream
}

// NewMetrics makes a process's metrics, with those of the Go runtime and the process itself.
func NewMetrics(now func() time.Time) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), now: now, answers: map[[2]string]answered{}}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.commits = m.counterVec("postern_commits_total", "Commits of flows and sessions to Redis, by result: committed, repeated (the "+
		"request id was committed before), conflict, refused, not_recorded or outcome_unknown.", "result")
	m.commitSeconds = m.histogram("postern_commit_seconds", "Duration of such commits, whatever the result.")
	m.ended = m.counterVec("postern_flows_ended_total", "Flows this process ended, by ending.", "ending")
	m.evidence = m.counterVec("postern_evidence_total", "Evidence of sign-ins elsewhere that was judged here, by kind (oidc_code, oidc_token, "+
		"saml_response) and result: ACCEPTED, a reason of the catalogue, or FAULT. VERIFIER_ERROR and FAULT should stay 0.", "evidence", "result")
	m.exchangeSeconds = m.histogram("postern_code_exchange_seconds", "Duration of exchanges of a code with an identity provider, judging included.")
	m.calls = m.counterVec("postern_calls_total", "Calls answered, by method and gRPC status code.", "method", "code")
	m.callSeconds = m.histogramVec("postern_call_seconds", "Duration of unary calls, by method.", "method")
	m.refusals = m.counterVec("postern_refusals_total", "Calls refused or failed, by gRPC status code.", "code")
	m.unrecorded = m.counter("postern_reads_unrecorded_total", "Reads of the record that could not be put on the record; should stay 0.")
	m.archived = m.counter("postern_archived_total", "Events this process stored in the archive.")
	m.archiveFailed = m.counterVec("postern_archive_failures_total", "Trouble on the way to the archive, by where: source, archive, lease, "+
		"key, fenced (another process took over), unreadable (an entry was kept as raw bytes; should stay 0) or region (an entry waits for the archive of its region; should stay 0).", "reason")
	m.swept = m.counter("postern_swept_total", "Overdue flows this process ended because nobody touched them.")
	m.sweepFailed = m.counter("postern_sweep_failures_total", "Rounds of the sweeper in which something could not be ended or closed; the log says what.")
	m.pruned = m.counterVec("postern_pruned_total", "What this process dropped from the archive because no retention needs it any more, by what: events or flows.", "what")
	m.pruneFailed = m.counterVec("postern_prune_failures_total", "Trouble with letting the record end, by step: lease, ahead, drop, tell (of an archive.pruned "+
		"event), reclaim (of space) or people (nobody has seen for too long). It is tried again with the next round, an hour later.", "step")
	m.domainChecks = m.counterVec("postern_domain_checks_total", "Looks at domains' zones, by outcome (FOUND, ABSENT or UNKNOWN) and detail, as Domain "+
		"tells them.", "outcome", "detail")
	m.domainChanges = m.counterVec("postern_domain_changes_total", "What looks at domains' zones changed, by event type.", "type")
	m.outbox = m.gauge("postern_outbox_entries", "Events in Redis that are not in the archive yet, over all partitions, as last looked.")
	m.lag = m.gauge("postern_archive_lag_seconds", "Age of the oldest of them; 0 when none waits.")
	m.ready = m.gauge("postern_ready", "1 while this process takes calls, else 0.")
	m.trips = m.counterVec("postern_redis_round_trips_total", "Round trips to Redis, by client: signin (calls and the sweeper) or archiver. "+
		"A pipeline is one.", "client")
	m.skew = m.gauge("postern_clock_skew_seconds", "How far this machine's clock is ahead of Redis', negative when behind.")
	m.build = m.gaugeVec("postern_build_info", "Always 1; the labels say what runs.", "version", "go")
	return m
}

// Catalog lists the metrics of this package in reading order.
func (m *Metrics) Catalog() []Metric { return append([]Metric(nil), m.catalog...) }

// Handler serves the metrics in Prometheus' format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

func (m *Metrics) describe(name, kind, help string, labels ...string) {
	m.catalog = append(m.catalog, Metric{Name: name, Kind: kind, Labels: labels, Help: help})
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	m.describe(name, "counter", help)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	m.describe(name, "counter", help, labels...)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	m.describe(name, "gauge", help)
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	m.describe(name, "gauge", help, labels...)
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string) prometheus.Histogram {
	m.describe(name, "histogram", help)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histogramVec(name, help string, labels ...string) *prometheus.HistogramVec {
	m.describe(name, "histogram", help, labels...)
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets()}, labels)
	m.registry.MustRegister(h)
	return h
}

// buckets reach from what a local Redis takes to the longest deadline people set.
func buckets() []float64 {
	return []float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}
