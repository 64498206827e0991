// Package caller carries who makes a call, and which call it is, through a context.
//
// Purpose: one typed identity per call, put there by the server's interceptors and read by handlers and loggers.
// Invariant: what From returns was proven by the transport the call came in on; a call nobody has identified reads as the
// zero Identity, which may do nothing.
// It must never carry services, credentials or anything a request said about itself.
// First file to read: this one.
package caller

import (
	"context"
	"sync"
)

// Kind says how an identity was proven.
type Kind uint8

// The kinds. The zero value is "not proven".
const (
	KindNone   Kind = iota
	KindSocket      // the peer of a unix socket, by its user id
	KindKey         // a bearer key
)

// Identity is who makes a call. The zero value is nobody.
type Identity struct {
	Kind      Kind
	Principal string // for example unix:1000 or key:local; empty for nobody
	Operator  bool   // may do everything in every organization
	// OrganizationUID is the one organization in which this identity has rights, empty for an operator and for nobody.
	OrganizationUID string
}

// Nobody is what a record shows for a caller that proved nothing.
const Nobody = "none"

// String returns the principal, or Nobody.
func (i Identity) String() string {
	if i.Principal == "" {
		return Nobody
	}
	return i.Principal
}

type identityKey struct{}

// identified is a context that carries an identity.
type identified struct {
	context.Context
	id Identity
}

// Value implements context.Context.
func (c *identified) Value(key any) any {
	if _, ok := key.(identityKey); ok {
		return &c.id
	}
	return c.Context.Value(key)
}

// Into returns a context that carries the identity.
func Into(ctx context.Context, id Identity) context.Context { return &identified{ctx, id} }

// From returns the identity of the call, the zero Identity when nobody was identified.
func From(ctx context.Context) Identity {
	if id, ok := ctx.Value(identityKey{}).(*Identity); ok {
		return *id
	}
	return Identity{}
}

type callIDKey struct{}

// named is a context that carries the id of a call.
type named struct {
	context.Context
	mint func() string
	once sync.Once
	id   string
}

// Value implements context.Context.
func (c *named) Value(key any) any {
	if _, ok := key.(callIDKey); ok {
		return c
	}
	return c.Context.Value(key)
}

// WithCallID returns a context that carries an id of the call, minted when somebody first asks: a call that goes well needs none.
func WithCallID(ctx context.Context, mint func() string) context.Context {
	return &named{Context: ctx, mint: mint}
}

// CallID returns the id of the call in ctx, empty outside of calls. It joins log lines, errors and access.denied events.
func CallID(ctx context.Context) string {
	c, ok := ctx.Value(callIDKey{}).(*named)
	if !ok {
		return ""
	}
	c.once.Do(func() { c.id = c.mint() })
	return c.id
}
