package authflow

import (
	"context"
	"time"
)

// LinkAccount names the account that the identity a flow is bound to belongs to, and links them. An account that is new gets the
// identity it was made for; one that is known here needs a proof of it, or an e-mail both sides have verified, where the
// connection permits that. Two round trips.
func (f *Flows) LinkAccount(ctx context.Context, who Caller, in LinkInput) (Answer, error) {
	c, err := f.call(ctx, who, "LinkAccount", in.Organization, in.Flow, in.RequestID, in.canonical())
	if err != nil {
		return Answer{}, err
	}
	c.proves = true
	c.naming = f.c.Namer.AccountKey(c.uid, in.AccountID)
	c.binder.Account = c.naming // a claim of the account is read with what is kept of it
	c.input = func(*Loaded, time.Time) (Input, error) {
		return Input{Kind: KindName, Name: &Naming{AccountID: in.AccountID, NewAccount: in.NewAccount, Claimed: c.records.AccountClaim != nil,
			Address: in.Address, Context: in.Context}}, nil
	}
	return c.run(ctx)
}
