package authflow

import (
	"context"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/federation"
)

// exchangeTaken is how long a code's claim is kept: longer than any provider keeps a code.
const exchangeTaken = time.Hour

// pollEvery is how often a call looks whether another one with its request id has come to an outcome.
const pollEvery = 50 * time.Millisecond

// look judges the evidence for what was begun. Once a code is on its way the call no longer depends on its caller: done ends
// that, and the context is the one to go on with.
func (x *completing) look(ctx context.Context, p *Pending) (_ context.Context, done func(), first *Outcome, err error) {
	done = func() {}
	conn := connection(x.c.org, p.Connection)
	x.identity, x.refusal, x.c.identity, x.c.link, x.c.linkRead = nil, nil, IdentityKey{}, nil, false
	switch {
	case conn == nil || conn.UID != p.ConnectionUID:
		return ctx, done, nil, invalid("connection", ErrConnectionUnknown)
	case conn.Disabled:
		x.conn, x.refusal = *conn, disabled()
		return ctx, done, nil, nil
	}
	x.conn = *conn
	var id federation.Identity
	if x.in.Callback != nil {
		ctx, done, first, id, err = x.callback(ctx, p)
		if first != nil {
			return ctx, done, first, nil
		}
	} else {
		id, err = x.evidence(ctx, p)
	}
	if err != nil {
		x.refusal, err = refusalOf(err)
		return ctx, done, nil, err
	}
	address, verified, refusal := federation.Fit(conn, &id)
	if refusal != nil {
		x.refusal = refusal
		return ctx, done, nil, nil //nolint:nilerr // a refusal is a step of the flow, no fault
	}
	x.identity, x.address, x.verified = &id, address, verified
	x.c.identity = x.f.c.Namer.Identity(conn.UID, id.Issuer, id.ID)
	x.c.binder = x.f.keys(x.c.uid, x.f.owners.of(x.c.identity), address)
	return ctx, done, nil, nil
}

// evidence judges a token or a response.
func (x *completing) evidence(ctx context.Context, p *Pending) (federation.Identity, error) {
	now, e := x.f.c.Now(), x.in.Expectations
	if x.in.SAML != nil {
		r := Response{Form: x.in.SAML.Response, Issuer: p.Issuer, CallbackURL: p.CallbackURL, MaxAge: p.MaxAge, Now: now}
		if e != nil {
			r.RequestID = e.RequestID
		} else {
			r.RequestID = mint(p.Seed).RequestID
		}
		return x.f.c.Providers.Response(ctx, x.c.uid, &x.conn, r)
	}
	t := Token{Token: x.in.Token.IDToken, AccessToken: x.in.Token.AccessToken, Issuer: p.Issuer, MaxAge: p.MaxAge, Now: now}
	nonce := ""
	if e != nil {
		nonce = e.Nonce
	} else {
		nonce = mint(p.Seed).Nonce
	}
	hash := sum(nonce)
	t.NonceHash = &hash
	return x.f.c.Providers.Token(ctx, x.c.uid, &x.conn, t)
}

// callback judges what a provider sent the browser back with.
func (x *completing) callback(ctx context.Context, p *Pending) (_ context.Context, done func(), _ *Outcome, _ federation.Identity, err error) {
	done = func() {}
	b := x.in.Callback
	switch {
	case b.Issuer != "" && b.Issuer != p.Issuer:
		err = federation.Refuse(audit.ReasonIssuerMismatch, "the answer says it comes from %s", b.Issuer)
	case b.Error == "access_denied":
		err = federation.Refuse(audit.ReasonUserCancelled, "%s: %s", b.Error, b.ErrorDescription)
	case b.Error != "":
		err = federation.Refuse(audit.ReasonIDPError, "%s: %s", b.Error, b.ErrorDescription)
	case b.Code == "":
		err = federation.Refuse(audit.ReasonMalformed, "neither code nor error came back")
	}
	if err != nil {
		return ctx, done, nil, federation.Identity{}, err
	}
	first, err := x.claim(ctx, b.Code)
	if first != nil || err != nil {
		return ctx, done, first, federation.Identity{}, err
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), x.f.c.ExchangeTimeout+2*x.f.c.CommitTimeout)
	exchange, stop := context.WithTimeout(bounded, x.f.c.ExchangeTimeout)
	defer stop()
	m := mint(p.Seed)
	id, err := x.f.c.Providers.Redeem(exchange, x.c.uid, &x.conn, Code{Code: b.Code, Verifier: m.Verifier, Issuer: p.Issuer,
		ResponseIssuer: b.Issuer, CallbackURL: p.CallbackURL, NonceHash: sum(m.Nonce), MaxAge: p.MaxAge, Now: x.f.c.Now()})
	return bounded, cancel, nil, id, err
}

// claim takes the code for this call before it leaves the process. Another call's code is a replay. This call's own, by an
// earlier attempt, is never sent again: either that attempt comes to an outcome, which is then the answer, or its time runs
// out, which is a failed exchange.
func (x *completing) claim(ctx context.Context, code string) (*Outcome, error) {
	mine := hex.EncodeToString(x.c.key[:])
	name := sum(code)
	now := x.f.c.Now()
	_, err := x.f.commit(ctx, &Commit{OrganizationUID: x.c.uid, Claims: []Claim{{Kind: claimExchange,
		Name: x.conn.UID + "/" + hex.EncodeToString(name[:]), Value: mine + "@" + newAttempt() + "@" + strconv.FormatInt(now.UnixMilli(), 10),
		Until: now.Add(exchangeTaken)}}})
	var conflict *Conflict
	if !errors.As(err, &conflict) {
		return nil, err
	}
	holder, at, ok := heldSince(conflict.Holder)
	if !ok || holder != mine {
		x.held = true
		return nil, federation.Refuse(audit.ReasonReplayed, "the code was handed in before")
	}
	return x.await(ctx, at)
}

// heldSince reads the value of a code's claim.
func heldSince(value string) (holder string, at time.Time, ok bool) {
	parts := strings.Split(value, "@")
	if len(parts) != 3 {
		return "", time.Time{}, false
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	return parts[0], time.UnixMilli(ms), err == nil
}

func newAttempt() string { return hex.EncodeToString(newSeed()[:8]) }

// await waits for the outcome of an earlier attempt that took the code at a moment.
func (x *completing) await(ctx context.Context, at time.Time) (*Outcome, error) {
	over := at.Add(x.f.c.ExchangeTimeout)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		reading, err := x.f.c.Store.Read(ctx, Read{OrganizationUID: x.c.uid, Flow: x.in.Flow, Key: x.c.key, Request: x.c.digest})
		switch {
		case ctx.Err() != nil:
			return nil, refuse(ErrExchangeRunning)
		case err != nil:
			return nil, err
		case reading.Outcome != nil:
			return reading.Outcome, nil
		case !x.f.c.Now().Before(over):
			return nil, federation.Refuse(audit.ReasonCodeExchangeFailed, "an earlier attempt of this call sent the code and left no outcome")
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}
