package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/examples"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// command runs the binary as somebody at a terminal would.
func (p *process) command(args ...string) (stdout, stderr string) {
	p.rig.t.Helper()
	path, err := binary()
	if err != nil {
		p.rig.t.Fatal(err)
	}
	cmd := exec.Command(path, append(args, "--address", "unix:"+p.socket)...)
	var out, trouble strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		p.rig.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, trouble.String())
	}
	return out.String(), trouble.String()
}

// comeIn signs somebody in at a site with a password.
func (p *process) comeIn(site, email, account, step, reason string) *posternv1.FlowAnswer {
	p.rig.t.Helper()
	ctx, cancel := context.WithTimeout(p.rig.t.Context(), 20*time.Second)
	defer cancel()
	verified := true
	id := fmt.Sprintf("%s-%d", account, time.Now().UnixNano())
	flow, err := p.signIn().StartFlow(ctx, &posternv1.StartFlowRequest{Parent: "organizations/acme/sites/" + site, RequestId: id,
		Subject: &posternv1.Subject{Email: email}, Context: &posternv1.Context{Ip: "192.0.2.9", UserAgent: "test", Client: posternv1.Client_CLIENT_WEB}})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	if flow.GetPhase() == posternv1.Phase_PHASE_ENDED {
		p.rig.t.Fatalf("ended at its start: %v", flow)
	}
	report := &posternv1.StepReport{Type: step, Reason: reason}
	if reason == "" {
		report.Subject = &posternv1.Subject{AccountId: account, Email: email, EmailVerified: &verified}
	}
	answer, err := p.signIn().ReportStep(ctx, &posternv1.ReportStepRequest{Flow: flow.GetFlow(), RequestId: id + "-1", Step: report})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	if answer.GetPhase() == posternv1.Phase_PHASE_ENDED {
		return answer
	}
	end, err := p.signIn().FinishFlow(ctx, &posternv1.FinishFlowRequest{Flow: flow.GetFlow(), RequestId: id + "-2",
		Finish: &posternv1.Finish{Action: posternv1.Finish_ACTION_COMPLETE}})
	if err != nil {
		p.rig.t.Fatal(err)
	}
	return end
}

func TestTheStoryOfOnePersonsDay(t *testing.T) {
	for name, rig := range map[string]func(*testing.T, ...string) *rig{"SQLite": newRig, "PostgreSQL": newPostgresRig} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := rig(t).start("all", "signin", "archiver", "api")
			p.apply("organizations/acme", string(examples.Acme()))
			guest := p.comeIn("wiki", "guest@gmail.com", "acct-guest", "password.rejected", "BAD_CREDENTIALS")
			p.comeIn("wiki", "guest@gmail.com", "acct-guest", "password.verified", "")
			p.comeIn("tracker", "other@gmail.com", "acct-other", "password.verified", "")
			p.comeIn("wiki", "ann@acme-postern-demo.com", "acct-ann", "password.verified", "")
			today := time.Now().UTC().Format(time.DateOnly)
			p.archived(t, guest.GetSupportCode())

			story, _ := p.command("trace", "guest@gmail.com", "--site", "acme/wiki", "--on", today)
			for _, part := range []string{guest.GetSupportCode(), "password.rejected", "BAD_CREDENTIALS: ", "password.verified", "EXTERNAL at acme/wiki", "known as", "acct-guest",
				"demands", "policy.updated", "organization.created"} {
				if !strings.Contains(story, part) {
					t.Errorf("the story lacks %q:\n%s", part, story)
				}
			}
			for _, part := range []string{"other@", "acct-ann", "log.searched", "site.tallied"} {
				if strings.Contains(story, part) {
					t.Errorf("the story tells of %q:\n%s", part, story)
				}
			}
			if strings.Index(story, "password.rejected") > strings.LastIndex(story, "password.verified") {
				t.Errorf("out of order:\n%s", story)
			}

			// Whose sign-ins are not recorded: the story says so, as does every list.
			story, _ = p.command("trace", "ann@acme-postern-demo.com", "--org", "acme", "--site", "wiki", "--on", today)
			list, why := p.command("flow", "list", "acme", "--site", "wiki", "--email", "ann@acme-postern-demo.com", "--on", today, "--tz", "UTC")
			_, whyEvents := p.command("event", "list", "acme", "--site", "wiki", "--email", "ann@acme-postern-demo.com", "--on", today)
			for _, text := range []string{story, why, whyEvents} {
				for _, part := range []string{"The person is MANAGED to the organization now, by its verified domain acme-postern-demo.com.",
					"1 sign-in at site wiki from ", "was of class MANAGED and is not recorded."} {
					if !strings.Contains(text, part) {
						t.Errorf("nobody says %q:\n%s", part, text)
					}
				}
			}
			if strings.Count(list, "\n") != 1 {
				t.Errorf("listed %q", list)
			}
			lines, _ := p.command("trace", "ann@acme-postern-demo.com", "--site", "acme/wiki", "--on", today, "--output", "json")
			var last struct {
				Kind         string
				NothingFound struct{ Explanation []string } `json:"nothing_found"`
			}
			all := strings.Split(strings.TrimSpace(lines), "\n")
			if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil || last.Kind != "nothing" || len(last.NothingFound.Explanation) < 2 {
				t.Errorf("%v: %s", err, lines)
			}
			p.searched(t)
		})
	}
}

// archived waits until a flow is in the archive.
func (p *process) archived(t *testing.T, code string) {
	t.Helper()
	if err := eventually(20*time.Second, func(ctx context.Context) error {
		r, err := posternv1.NewFlowServiceClient(p.conn).ListFlows(ctx, &posternv1.ListFlowsRequest{Parent: "organizations/acme", PageSize: 1000})
		if err != nil {
			return err
		}
		ended := 0
		for _, f := range r.GetFlows() {
			if f.GetEndTime() != nil {
				ended++
			}
		}
		if ended != 3 {
			return fmt.Errorf("%d sign-ins are archived, want that of %s and two others", ended, code)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// searched asserts that all this looking is on the record itself: once at once, and the rest when the process has stopped.
func (p *process) searched(t *testing.T) {
	t.Helper()
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	p.run()
	p.awaitServing()
	if err := eventually(20*time.Second, func(ctx context.Context) error {
		r, err := posternv1.NewEventServiceClient(p.conn).ListEvents(ctx, &posternv1.ListEventsRequest{Parent: "organizations/acme", PageSize: 1000,
			Filter: &posternv1.EventFilter{Include: &posternv1.EventMatch{Types: []string{"log.searched"}}}})
		if err != nil {
			return err
		}
		uses, looked := map[string]int64{}, false
		for _, e := range r.GetEvents() {
			uses[e.GetTarget().GetId()] += e.GetUses()
			looked = looked || strings.Contains(e.GetPersonal().GetDetail()+strings.Join(e.GetPersonal().GetItems(), ""), "ann@acme-postern-demo.com")
		}
		if uses["FlowService/ListFlows"] < 4 || uses["FlowService/GetFlow"] < 2 || uses["EventService/ListEvents"] < 6 || !looked {
			return fmt.Errorf("on the record: %v", uses)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestReadsOfPollersAreOnTheRecord(t *testing.T) {
	p := lone(t, t.TempDir(), "POSTERN_HTTP_ADDRESS=127.0.0.1:0", "POSTERN_HTTP_EVENTS_REQUESTS_PER_MINUTE=1000")
	p.run()
	p.awaitServing()
	p.apply("organizations/acme", string(examples.Acme()))
	key := p.newKey("organizations/acme", posternv1.Key_DETAIL_FLOWS)
	const polls = 25
	for range polls {
		if status, _, body := p.raw("GET /admin/v1/orgs/acme/events?q=canary-looked-for HTTP/1.1", "Host: 127.0.0.1", "Authorization: Bearer "+key); status != 200 {
			t.Fatal(status, body)
		}
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	for _, file := range p.files() {
		if strings.Contains(string(file), "canary-looked-for") {
			t.Error("what was looked for stands in a file or in the log")
		}
	}
	p.run()
	p.awaitServing()
	if err := eventually(20*time.Second, func(ctx context.Context) error {
		events, err := p.record("organizations/acme")
		if err != nil {
			return err
		}
		var rows, reads int64
		for _, e := range events {
			if e.GetType() == "log.searched" && strings.HasPrefix(e.GetCaller(), "apikey:") {
				rows, reads = rows+1, reads+e.GetUses()
			}
		}
		if rows < 2 || rows > 4 || reads != polls { // twice as many when an hour ended in between
			return errors.New(fmt.Sprint(rows, " events tell of ", reads, " polls"))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
