package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// poller reads an organization's record as SIEM agents do: a request, the rows, and only then the cursor is saved. What it holds
// besides dies with it.
type poller struct {
	t      *testing.T
	base   func() string // of the organization, as the process that serves now has it
	key    string
	cursor string // saved
	seen   map[string]int
	order  []string
}

// errLimited is an answer that there were too many requests.
var errLimited = errors.New("429")

// page is what a poller reads of an answer.
type page struct {
	Data []struct {
		ID         string
		Attributes struct{ ProcessedAt, Action string }
	}
	Meta struct{ Next *string }
}

// ask makes one request.
func (p *poller) ask(ctx context.Context, path string) (page, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base()+path, nil)
	if err != nil {
		return page{}, err
	}
	q.Header.Set("Authorization", "Bearer "+p.key)
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		return page{}, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		return page{}, err
	}
	if a.StatusCode == http.StatusTooManyRequests {
		if _, err := time.Parse("2006-01-02T15:04Z07:00", a.Header.Get("X-RateLimit-Reset")); err != nil || a.Header.Get("Retry-After") == "" {
			p.t.Errorf("too many requests, and when to come back is %v", a.Header)
		}
		return page{}, errLimited
	}
	var out page
	if err := json.Unmarshal(b, &out); err != nil || a.StatusCode != http.StatusOK {
		return page{}, fmt.Errorf("%d %s, %w", a.StatusCode, b, err)
	}
	return out, nil
}

// poll takes one page. A poller that dies behind its rows and before its cursor reads them again.
func (p *poller) poll(ctx context.Context, dies bool) (rows int, err error) {
	query := url.Values{"limit": {"50"}, "from": {"0"}} // many send both
	if p.cursor != "" {
		query.Set("cursor", p.cursor)
	}
	l, err := p.ask(ctx, "/events-stream?"+query.Encode())
	if err != nil {
		return 0, err
	}
	last := ""
	for _, row := range l.Data {
		if row.Attributes.ProcessedAt < last {
			p.t.Errorf("processed at %s after %s", row.Attributes.ProcessedAt, last)
		}
		last = row.Attributes.ProcessedAt
		if p.seen[row.ID]++; p.seen[row.ID] == 1 {
			p.order = append(p.order, row.ID)
		}
	}
	if l.Meta.Next != nil && !dies {
		p.cursor = *l.Meta.Next
	}
	return len(l.Data), nil
}

// httpBase is where a process serves HTTP now.
func (p *process) httpBase() string {
	m := regexp.MustCompile(`"http":"(127\.0\.0\.1:[0-9]+)"`).FindAllStringSubmatch(strings.Join(p.logged(`"serving"`), ""), -1)
	if m == nil {
		return "http://127.0.0.1:1"
	}
	return "http://" + m[len(m)-1][1]
}

// newKey makes a key for the events API.
func (p *process) newKey(organization string, detail posternv1.Key_Detail) string {
	p.rig.t.Helper()
	made, err := posternv1.NewKeyServiceClient(p.conn).CreateKey(p.rig.t.Context(), &posternv1.CreateKeyRequest{
		Parent: organization, DisplayName: "poller", Role: posternv1.Key_ROLE_AUDITOR, Detail: detail, RequestId: "key" + detail.String(),
		ExpireTime: timestamppb.New(time.Now().Add(time.Hour)),
	})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return made.GetSecret()
}

// A poller reads while sign-ins are written, comes too often, dies between its rows and its cursor, and the sidecar it asks is killed
// again and again. In the end it has every event, each once by its id, in the order of the record.
func TestAPollerThatIsLimitedAndKilledHasEveryEventOnce(t *testing.T) {
	r := newRig(t, "POSTERN_SIGNIN_MIN_LIFETIME=1s", "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_HTTP_EVENTS_STREAM_REQUESTS_PER_MINUTE=25")
	a := r.start("a", "api")
	b := r.start("b", "signin", "archiver", "api")
	a.apply(loadOrganization, loadDocument)
	base := func() string { return a.httpBase() + "/admin/v1/orgs/load" }
	p := &poller{t: t, base: base, key: b.newKey(loadOrganization, posternv1.Key_DETAIL_STEPS), seen: map[string]int{}}

	l := newLoad(t, 60*time.Second, b)
	done := make(chan struct{})
	go func() { defer close(done); l.run(0, 600, 8) }()
	limited, killed, again := 0, 0, 0
	ended := false
	for polls := 0; ; polls++ {
		select {
		case <-done:
			if !ended {
				ended = true
				l.verify(b) // waits until the archive has it all
			}
		default:
		}
		dies := polls%7 == 3
		rows, err := p.poll(t.Context(), dies)
		switch {
		case errors.Is(err, errLimited): // killing the sidecar, which forgets that, saves the test a minute
			limited++
			a.kill()
			killed++
			a.run()
			a.awaitServing()
		case err != nil:
			again++
			if again > 200 {
				t.Fatal(err)
			}
		case polls%40 == 11 && !ended:
			a.kill()
			killed++
			a.run()
			a.awaitServing()
		case ended && rows == 0:
			if err := p.settled(b); err == nil {
				t.Logf("%d events, limited %d times, killed %d times", len(p.order), limited, killed)
				if limited == 0 || killed < 2 || len(p.order) < 1000 {
					t.Error("too little happened to prove anything")
				}
				return
			} else if polls > 3000 {
				t.Fatal(err)
			}
		}
	}
}

// settled compares what the poller has with the record: nil when it has all there is.
func (p *poller) settled(reader *process) error {
	record, err := reader.record(loadOrganization)
	if err != nil {
		return err
	}
	if len(record) > len(p.order) {
		return fmt.Errorf("%d of %d events", len(p.order), len(record))
	}
	for i, e := range record {
		if id := e.GetId(); p.order[i] != id {
			p.t.Fatalf("event %d is %s, the poller has %s", i+1, id, p.order[i])
		}
	}
	return nil
}
