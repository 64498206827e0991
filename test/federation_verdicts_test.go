package test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/postern-audit/postern/audit"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// handed is one input of a verdict suite as it is handed in through the API.
type handed struct {
	name       string
	protocol   string
	connection table  // that it is for, without its id
	key        string // the connection's private key; "" none
	evidence   *posternv1.CompleteFederationRequest
	unasked    bool   // it is handed in without a flow
	want       string // reason; "" accepted
	door       bool   // bounds of the API stand before the verifier: it is no call that is taken
	edge       bool   // it is to be handed in soon after it was made
	once       string // two that are accepted and say the same here are one evidence, which counts once in an organization
	right      func(*posternv1.FederatedIdentity) bool
}

// judged is what one input was answered.
type judged struct {
	*handed
	organization string
	answer       *posternv1.FlowAnswer
}

// court is one process with as many organizations as it takes to show the same evidence more than once.
type court struct {
	*ward
	p *process

	mu   sync.Mutex
	sets map[string][]byte // what the provider publishes, by path
	home string
}

// openCourt starts the process and a provider that publishes key sets.
func openCourt(t *testing.T) *court {
	c := &court{sets: map[string][]byte{}}
	provider := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		set, found := c.sets[r.URL.Path]
		c.mu.Unlock()
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(set)
	}))
	t.Cleanup(provider.Close)
	c.home = provider.URL
	a := goAbroad(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: provider.Certificate().Raw}), 1)
	c.ward, c.p = a.ward, a.p
	return c
}

// publish serves a key set and returns its address, the same for the same set.
func (c *court) publish(set []byte) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, known := range c.sets {
		if string(known) == string(set) {
			return c.home + path
		}
	}
	path := fmt.Sprintf("/keys/%d", len(c.sets))
	c.sets[path] = set
	return c.home + path
}

// seated says which organization and which of its connections an input is for.
type seated struct {
	organization string
	connection   string
}

// chamber is an organization in the making.
type chamber struct {
	connections []table
	keys        map[string]string // by connection
	known       map[string]string // ids, by what a connection says
}

func (h *chamber) seat(in *handed) string {
	text, err := json.Marshal(in.connection)
	if err != nil {
		panic(err) // a table of texts
	}
	says := in.key + string(text)
	if h.known[says] == "" {
		id := fmt.Sprintf("c-%d", len(h.connections))
		c := table{"id": id, "kind": "SSO"}
		for k, v := range in.connection {
			c[k] = v
		}
		h.connections, h.known[says] = append(h.connections, c), id
		if in.key != "" {
			h.keys[id] = in.key
		}
	}
	return h.known[says]
}

// seat makes the organizations and connections that all inputs need. Evidence that is accepted needs one that has not seen it.
func (c *court) seat(inputs []*handed) []seated {
	c.t.Helper()
	var chambers []*chamber
	shown := map[string]int{}
	places := make([]seated, len(inputs))
	for i, in := range inputs {
		n := 0
		if in.want == "" && !in.door {
			n = shown[in.protocol+in.once]
			shown[in.protocol+in.once]++
		}
		for n >= len(chambers) {
			chambers = append(chambers, &chamber{keys: map[string]string{}, known: map[string]string{}})
		}
		places[i] = seated{fmt.Sprintf("organizations/court-%d", n), chambers[n].seat(in)}
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := w; n < len(chambers); n += workers {
				if err := c.found(fmt.Sprintf("court-%d", n), chambers[n]); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	return places
}

const workers = 8

// found makes one organization.
func (c *court) found(id string, h *chamber) error {
	document, err := json.Marshal(table{"organization": id, "sites": []table{{"id": "hall"}}, "connections": h.connections, "policy": table{"rules": []table{}}})
	if err != nil {
		return err
	}
	directory := posternv1.NewDirectoryServiceClient(c.p.conn)
	if _, err := directory.ApplyOrganization(c.ctx(), &posternv1.ApplyOrganizationRequest{
		Name: "organizations/" + id, RequestId: c.id(), Document: string(document)}); err != nil {
		return fmt.Errorf("apply %s: %w", id, err)
	}
	for connection, key := range h.keys {
		if _, err := directory.SetConnectionSecret(c.ctx(), &posternv1.SetConnectionSecretRequest{
			Name: "organizations/" + id + "/connections/" + connection, RequestId: c.id(),
			Secret: &posternv1.SetConnectionSecretRequest_PrivateKeyPem{PrivateKeyPem: key}}); err != nil {
			return fmt.Errorf("key of %s: %w", connection, err)
		}
	}
	return nil
}

// hand hands an input in on a flow of its own, or on none.
func (c *court) hand(in *handed, at seated) (*posternv1.CompleteFederationResponse, error) {
	r := in.evidence
	r.RequestId, r.Connection = c.id(), at.connection
	if in.unasked {
		r.Site = at.organization + "/sites/hall"
	} else {
		f, err := c.p.signIn().StartFlow(c.ctx(), &posternv1.StartFlowRequest{
			Parent: at.organization + "/sites/hall", RequestId: c.id(), Subject: &posternv1.Subject{Email: "typed" + partnerAt}})
		if err != nil {
			return nil, fmt.Errorf("flow: %w", err)
		}
		r.Flow = f.GetFlow()
	}
	return c.p.signIn().CompleteFederation(c.ctx(), r)
}

// each hands all inputs in, several at a time, and has every answer looked at.
func (c *court) each(inputs []*handed, look func(in *handed, at seated, done *posternv1.CompleteFederationResponse, err error)) {
	c.t.Helper()
	places := c.seat(inputs)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(inputs); i += workers {
				done, err := c.hand(inputs[i], places[i])
				look(inputs[i], places[i], done, err)
			}
		})
	}
	wg.Wait()
}

// try hands all inputs in and says which answers are not the right ones. It returns those that were taken at all.
func (c *court) try(inputs []*handed) []judged {
	c.t.Helper()
	slices.SortStableFunc(inputs, func(a, b *handed) int {
		switch {
		case a.edge == b.edge:
			return 0
		case a.edge:
			return -1
		}
		return 1
	})
	var all []judged
	c.each(inputs, func(in *handed, at seated, done *posternv1.CompleteFederationResponse, err error) {
		if in.door || err != nil {
			if code := status.Code(err); !in.door || code != codes.InvalidArgument && code != codes.ResourceExhausted {
				c.t.Errorf("%s %s: %v", in.protocol, in.name, err)
			}
			return
		}
		id := done.GetIdentity()
		switch {
		case done.GetAnswer().GetReason() != in.want && (in.want != "" || id == nil):
			c.t.Errorf("%s %s: answered %v, want %q", in.protocol, in.name, done, in.want)
		case (id != nil) != (in.want == ""):
			c.t.Errorf("%s %s: %q, and the identity is %v", in.protocol, in.name, in.want, id)
		case id != nil && !in.right(id):
			c.t.Errorf("%s %s: %v is not who it is about", in.protocol, in.name, id)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		all = append(all, judged{in, at.organization, done.GetAnswer()})
	})
	return all
}

// outcomes are the events of sign-ins elsewhere, by flow.
func outcomes(events []*posternv1.Event) map[string][]*posternv1.Event {
	found := map[string][]*posternv1.Event{}
	for _, e := range events {
		if strings.HasPrefix(e.GetType(), "sso.") {
			found[e.GetFlow()] = append(found[e.GetFlow()], e)
		}
	}
	return found
}

// recorded holds every answer against the record.
func (c *court) recorded(all []judged) {
	c.t.Helper()
	by := map[string][]judged{}
	for _, j := range all {
		by[j.organization] = append(by[j.organization], j)
	}
	for organization, list := range by {
		prefix := organization + "/flows/"
		var events map[string][]*posternv1.Event
		c.p.must2(eventually(30*time.Second, func(context.Context) error {
			record, err := c.p.record(organization)
			if err != nil {
				return err
			}
			events = outcomes(record)
			for _, j := range list {
				if len(events[strings.TrimPrefix(j.answer.GetFlow(), prefix)]) == 0 {
					return fmt.Errorf("%s %s is not on the record", j.protocol, j.name)
				}
			}
			return nil
		}))
		for _, j := range list {
			c.matches(j, events[strings.TrimPrefix(j.answer.GetFlow(), prefix)])
		}
	}
}

// matches holds one answer against what is recorded of its flow.
func (c *court) matches(j judged, events []*posternv1.Event) {
	c.t.Helper()
	kind, expectations := "sso.verified", "CALLER"
	if j.want != "" {
		kind = "sso.rejected"
	}
	if j.unasked {
		expectations = ""
	}
	if len(events) != 1 {
		c.t.Errorf("%s %s: recorded %d times", j.protocol, j.name, len(events))
		return
	}
	e := events[0]
	if e.GetType() != kind || e.GetReason() != j.want || e.GetEvidence() != posternv1.Evidence_EVIDENCE_VERIFIED || e.GetExpectations() != expectations {
		c.t.Errorf("%s %s: recorded as %v, want %s %s", j.protocol, j.name, e, kind, j.want)
	}
	if j.want != "" && (!audit.ValidReason(audit.TypeSSORejected, j.protocol, e.GetReason(), audit.EvidenceVerified) || e.GetPersonal().GetDetail() == "") {
		c.t.Errorf("%s %s: the refusal %v says too little", j.protocol, j.name, e)
	}
}

// unbroken says that the process went through all of it without a fault of its own.
func (c *court) unbroken() {
	c.t.Helper()
	c.p.awaitServing()
	for _, text := range []string{"PANIC", "panic", "goroutine ", audit.ReasonVerifierError} {
		for _, l := range c.p.logged(text) {
			c.t.Errorf("the process logged: %s", l)
		}
	}
}

// counted is how many inputs of a protocol were judged.
func counted(all []judged, protocol string) (n int) {
	for _, j := range all {
		if j.protocol == protocol {
			n++
		}
	}
	return n
}

// Every input of both suites gets its verdict through the API too: the same reason in the answer and on the record, and an
// identity exactly when it is accepted.
func TestEveryInputGetsItsVerdictThroughTheAPI(t *testing.T) {
	t.Parallel()
	c := openCourt(t)
	began := time.Now()
	all := c.try(slices.Concat(c.tokens(time.Now()), c.responses(time.Now())))
	t.Logf("%d tokens and %d responses in %s", counted(all, "OIDC"), counted(all, "SAML"), time.Since(began))
	c.recorded(all)
	c.unbroken()
	if tokens, responses := counted(all, "OIDC"), counted(all, "SAML"); tokens < 270 || responses < 240 { // the bar is 72 and 106
		t.Errorf("%d tokens and %d responses were judged: some are missing", tokens, responses)
	}
	for _, j := range all {
		if j.want == audit.ReasonVerifierError {
			t.Errorf("%s %s wants a fault of the verifier", j.protocol, j.name)
		}
	}
}
