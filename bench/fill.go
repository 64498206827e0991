package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/audit/sqlite"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/policy"
)

const (
	flowsInBatch = 2000
	filledDays   = 29 // flows lie as far back
	mailDomains  = 5000
)

// filler writes sign-ins as the machine itself decides them into an archive.
type filler struct {
	org       *policy.Organization
	namer     policy.Namer
	codec     *codec.Codec
	partition int
	flows     int
	count     int
}

// run writes batches while the next ones are made.
func (f *filler) run(ctx context.Context, path string, key audit.OrganizationKey) (err error) {
	a, err := sqlite.Open(ctx, path, time.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	epoch, err := a.Take(ctx, f.partition, "bench")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []audit.Entry, 2)
	go func() {
		defer close(batches)
		for from := 0; from < f.flows; from += flowsInBatch {
			entries, err := f.batch(from, min(flowsInBatch, f.flows-from))
			if err != nil {
				cancel(err)
				return
			}
			select {
			case batches <- entries:
			case <-ctx.Done():
				return
			}
		}
	}()
	for entries := range batches {
		if _, err := a.Append(ctx, audit.Batch{Partition: f.partition, Epoch: epoch, Entries: entries, Keys: []audit.OrganizationKey{key}}); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (f *filler) batch(from, n int) ([]audit.Entry, error) {
	out := make([]audit.Entry, 0, 4*n)
	began := time.Now().Add(-filledDays * 24 * time.Hour).UTC()
	for i := from; i < from+n; i++ {
		at := began.Add(time.Duration(i) * (filledDays * 24 * time.Hour / time.Duration(f.flows)))
		events, err := f.signIn(i, at)
		if err != nil {
			return nil, err
		}
		for j := range events {
			e := &events[j]
			if j == 0 {
				err = f.codec.SealEvent(e)
			} else {
				err = f.codec.SealAfter(e, &events[j-1])
			}
			if err != nil {
				return nil, err
			}
			raw, err := f.codec.Encode(e)
			if err != nil {
				return nil, err
			}
			if f.count++; j > 0 {
				e.Indexes = nil // what searches look at is most of the writing, and none of the scan's reading
			}
			out = append(out, audit.Entry{OutboxID: fmt.Sprintf("%d-%d", e.Time.UnixMilli(), f.count), RecordedTime: e.Time, Event: *e, Raw: raw})
		}
	}
	return out, nil
}

// signIn is one person's: now and then with a wrong password first, or with a second factor.
func (f *filler) signIn(n int, at time.Time) ([]audit.Event, error) {
	person := n % max(f.flows/3, 1)
	account := fmt.Sprintf("account-%d", person)
	address, err := policy.ParseAddress(fmt.Sprintf("guest%d@d%d.example.com", person, person%mailDomains))
	if err != nil {
		return nil, err
	}
	id, err := authflow.ParseFlowID(uuid.Must(uuid.NewV7()).String())
	if err != nil {
		return nil, err
	}
	keys := policy.LookupKeys{Account: f.namer.AccountKey(f.org.UID, account), Address: f.namer.AddressKey(f.org.UID, address), Domain: address.Domain()}
	yes := true
	step := func(t audit.Type, reason, factor string) authflow.Input {
		r := authflow.Reported{Evidence: audit.EvidenceAsserted, Keys: keys}
		r.Type, r.Reason, r.Factor = t, reason, factor
		if t == audit.TypePasswordVerified {
			r.Subject = authflow.Subject{AccountID: account, Address: address, EmailVerified: &yes}
		}
		return authflow.Input{Kind: authflow.KindStep, Step: &r}
	}
	inputs := []authflow.Input{{Kind: authflow.KindStart, Start: &authflow.Opening{Flow: id, SupportCode: fmt.Sprintf("%05d-%05d", n/100_000, n%100_000),
		Claimed: authflow.Claimed{Address: address}, Context: authflow.Context{IP: netip.AddrFrom4([4]byte{203, 0, byte(person >> 8 & 0xff), byte(person & 0xff)}),
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Client: audit.ClientWeb}}}}
	if n%10 == 0 {
		inputs = append(inputs, step(audit.TypePasswordRejected, audit.ReasonBadCredentials, ""))
	}
	inputs = append(inputs, step(audit.TypePasswordVerified, "", ""))
	if n%4 == 0 {
		inputs = append(inputs, step(audit.TypeMFAVerified, "", audit.FactorSMS))
	}
	inputs = append(inputs, authflow.Input{Kind: authflow.KindFinish, Finish: &authflow.Finish{Action: authflow.ActionComplete}})
	return f.play(inputs, at)
}

// play puts inputs into the machine, three seconds apart.
func (f *filler) play(inputs []authflow.Input, at time.Time) ([]audit.Event, error) {
	var state authflow.State
	var events []audit.Event
	for i, in := range inputs {
		in.Organization, in.Site, in.Caller = f.org, &f.org.Sites[1], "unix:0" // the one that demands nothing
		in.IDs = authflow.IDs{Step: uuid.Must(uuid.NewV7()).String(), Ending: uuid.Must(uuid.NewV7()).String()}
		m, err := authflow.Advance(state, in, at.Add(time.Duration(i)*3*time.Second))
		if err != nil {
			return nil, err
		}
		state, events = m.State, append(events, m.Events...)
	}
	return events, nil
}
