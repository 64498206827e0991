package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// Options are what a demo needs.
type Options struct {
	Binary   string // the program to run `serve` of
	Document []byte // the example organization
	JSON     bool   // print every event as a JSON line, and nothing else, on Stdout
	Keep     bool   // leave the sidecar running
	Stdout   io.Writer
	Stderr   io.Writer
	Now      func() time.Time
}

// organization is the one the example document is about.
const organization = "organizations/acme"

// recordWithin bounds the wait for the archive to hold what was acknowledged.
const recordWithin = 20 * time.Second

// Run shows the demo. An error means that something did not go as the stories say.
func Run(ctx context.Context, o Options) (err error) {
	say := o.Stdout
	if o.JSON {
		say = o.Stderr
	}
	fmt.Fprintln(say, "Starting a sidecar with embedded storage, for trying out.")
	s, c, err := Launch(ctx, o.Binary)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, c.Close())
		if o.Keep && err == nil {
			kept(say, s)
			return
		}
		err = errors.Join(err, s.Stop(), s.Remove())
	}()
	d := &demo{c: c, say: say, now: o.Now}
	if err := d.apply(ctx, o.Document); err != nil {
		return err
	}
	flows, err := d.play(ctx)
	if err != nil {
		return err
	}
	events, err := d.record(ctx, flows)
	if err != nil {
		return err
	}
	if o.JSON {
		err = lines(o.Stdout, events)
	} else {
		err = d.tell(ctx, flows, events)
	}
	if err = errors.Join(err, compare(flows, events)); err == nil {
		fmt.Fprintf(say, "\n%d sign-ins, %d of them on the record with %d events: each as its story says.\n", len(flows), onRecord(flows),
			len(events)-len(group(events)[""]))
	}
	return err
}

func onRecord(flows []*played) int {
	n := 0
	for _, p := range flows {
		if p.story.recorded() {
			n++
		}
	}
	return n
}

// demo plays a login service against one sidecar.
type demo struct {
	c   *client.Client
	say io.Writer
	now func() time.Time
}

// apply makes the example organization.
func (d *demo) apply(ctx context.Context, document []byte) error {
	answer, err := client.Repeat(ctx, d.c.Directory.ApplyOrganization, &posternv1.ApplyOrganizationRequest{
		Name: organization, Document: string(document), RequestId: requestID(), Reason: "demo"})
	if err != nil {
		return fmt.Errorf("apply examples/acme.yaml: %w", failure(err))
	}
	o := answer.GetOrganization()
	fmt.Fprintf(d.say, "Applied examples/acme.yaml: %s with %d sites, %d domains, %d claims and %d rules.\n\n",
		o.GetName(), len(o.GetSites()), o.GetDomainCount(), o.GetClaimCount(), len(o.GetPolicy().GetRules()))
	return nil
}

// play goes through the stories. The one that is abandoned begins first and is waited for at the end.
func (d *demo) play(ctx context.Context) ([]*played, error) {
	var flows []*played
	for _, st := range append(stories(d.now()), secondFactors()...) {
		p := &played{story: st}
		if err := st.act(ctx, d, p); err != nil {
			return nil, fmt.Errorf("%s: %w", st.title, failure(err))
		}
		flows = append(flows, p)
	}
	return flows, nil
}

// failure shows a refused call as its reason and text.
func failure(err error) error {
	if f := client.Explain(err); f != nil {
		return f
	}
	return err
}

// record waits until every flow has ended as its story says and its ending is in the archive, and returns all events.
func (d *demo) record(ctx context.Context, flows []*played) ([]*posternv1.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	told := false
	for {
		events, err := d.events(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the record: %w", failure(err))
		}
		missing := unfinished(flows, events)
		if missing == "" {
			return events, nil
		}
		if !told && d.now().Sub(flows[len(flows)-1].done) > time.Second {
			fmt.Fprintf(d.say, "Waiting for the record of %q …\n", missing)
			told = true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the record of %q did not come: %w", missing, ctx.Err())
		}
	}
}

// unfinished returns the title of a story whose ending, or what follows it, is not in the record yet.
func unfinished(flows []*played, events []*posternv1.Event) string {
	byFlow := group(events)
	for _, p := range flows {
		if p.story.recorded() && (ending(byFlow[p.id()]) == nil || len(byFlow[p.id()]) < len(p.story.record)) {
			return p.story.title
		}
	}
	return ""
}

// ending is the event that ended a flow, nil while there is none.
func ending(events []*posternv1.Event) *posternv1.Event {
	for _, e := range events {
		if e.GetEnding() != posternv1.Ending_ENDING_UNSPECIFIED {
			return e
		}
	}
	return nil
}

// events reads the whole record in order.
func (d *demo) events(ctx context.Context) ([]*posternv1.Event, error) {
	var all []*posternv1.Event
	for token := ""; ; {
		r, err := d.c.Events.ListEvents(ctx, &posternv1.ListEventsRequest{
			Parent: organization, Order: posternv1.ListEventsRequest_ORDER_OLDEST_FIRST, PageSize: 1000, PageToken: token})
		if err != nil {
			return nil, err
		}
		all = append(all, r.GetEvents()...)
		if token = r.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

func lines(w io.Writer, events []*posternv1.Event) error {
	for _, e := range events {
		b, err := show.JSON(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("write the events: %w", err)
		}
	}
	return nil
}

// kept says how to go on with a sidecar that was left running.
func kept(w io.Writer, s *Sidecar) {
	fmt.Fprintf(w, `
The sidecar goes on running (process %d, log %s). Try

  export POSTERN_ADDRESS=%s
  postern flow list acme
  postern event watch acme --from oldest
  postern sign-in acme/wiki somebody@gmail.com

Stop it with "kill %d", then remove %s.
`, s.cmd.Process.Pid, s.logPath(), s.address(), s.cmd.Process.Pid, s.dir)
}

// requestID mints an idempotency key.
func requestID() string { return rand.Text() }
