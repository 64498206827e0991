package cli

import (
	"context"
	"fmt"

	"github.com/postern-audit/postern/internal/client"
	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// guestNote says that an address has belonged to several accounts.
func (a *app) guestNote(n int) error {
	_, err := fmt.Fprintf(a.stdout, "%d accounts proved this address.\n\n", n)
	return err
}

// guestStory shows a person and what happened. account is the id that was asked for, "" when it was none.
func (a *app) guestStory(ctx context.Context, c *client.Client, parent, account string, p *posternv1.Person, limit int) error {
	bounded, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	whole, err := c.Events.GetSubject(bounded, &posternv1.GetSubjectRequest{Name: p.GetName()})
	if err != nil {
		return err
	}
	if account == "" {
		account = whole.GetPersonal().GetAccountId()
	}
	if a.json() {
		err = a.message(whole)
	} else {
		err = show.Table(a.stdout, []string{"FIELD", "VALUE"}, show.Guest(whole))
	}
	if err != nil || account == "" { // whoever cannot be named cannot be looked for
		return err
	}
	filter := &posternv1.EventFilter{Include: &posternv1.EventMatch{AccountIds: []string{account}}}
	events, err := pages(ctx, a, limit, func(ctx context.Context, size int32, token string) ([]*posternv1.Event, string, error) {
		r, err := c.Events.ListEvents(ctx, &posternv1.ListEventsRequest{Parent: parent, Filter: filter, PageSize: size, PageToken: token})
		return r.GetEvents(), r.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if !a.json() {
		fmt.Fprintln(a.stdout)
	}
	return list(a, events, eventHeader(), eventRow)
}
