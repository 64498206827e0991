package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/server/names"
)

// access finds organizations for handlers and for the record of refusals.
type access struct {
	directory policy.Directory
	live      LiveFlows
	keys      Keys         // nil in processes that read no record
	record    audit.Reader // nil there too
}

// Resolve returns the uid of an organization id. The reserved organization is known without asking; of any other it is made sure that it
// was not deleted, as long as there is somebody to ask: a record can be read without.
func (a *access) Resolve(ctx context.Context, id string) (string, error) {
	if id == audit.SystemID {
		return audit.SystemUID, nil
	}
	uid, err := a.directory.Resolve(ctx, id)
	if err != nil {
		return "", err //nolint:wrapcheck // an errs.Error of the directory
	}
	if _, err = a.directory.Organization(ctx, uid); err == nil || errs.KindOf(err) != errs.NotFound {
		return uid, nil // whoever goes on finds out
	}
	return a.directory.Resolve(ctx, id) //nolint:wrapcheck // as above: the id may be another organization's by now
}

// Recorded reports whether a flow is on its site's record: a live one says so itself, one that has left Redis is in the archive
// or is not recorded.
func (a *access) Recorded(ctx context.Context, organizationUID, flow string) bool {
	_, id, err := names.Flow("flow", flow)
	if err != nil {
		return false
	}
	view, err := a.live.Get(ctx, organizationUID, id)
	if err == nil {
		return view.Flow.State.Recorded
	}
	if errs.KindOf(err) != errs.NotFound || a.record == nil {
		return false
	}
	_, _, err = a.record.Flow(ctx, organizationUID, id)
	return err == nil
}

// open resolves an organization whose record is about to be read, and makes its key usable in this process.
func (a *access) open(ctx context.Context, id string) (string, error) {
	uid, err := a.Resolve(ctx, id)
	if err != nil || a.keys.Has(uid) {
		return uid, err
	}
	organization, err := a.directory.Cached(ctx, uid)
	switch {
	case uid == audit.SystemUID && errs.KindOf(err) == errs.NotFound:
		return uid, nil // nothing in system is sealed
	case err != nil:
		return "", err //nolint:wrapcheck // an errs.Error of the directory
	case len(organization.Key.Wrapped) == 0 || a.keys.Has(uid):
		return uid, nil
	}
	return uid, a.keys.Add(organization.Key) //nolint:wrapcheck // an errs.Error of the key ring
}

// complete fills in defaults and names what is missing.
func (c *Config) complete() error {
	var missing []string
	need := func(name string, ok bool) {
		if !ok {
			missing = append(missing, name)
		}
	}
	need("Outbox", c.Outbox != nil)
	need("Directory", c.Directory != nil)
	need("Live", c.Live != nil)
	need("Now", c.Now != nil)
	need("NewID", c.NewID != nil)
	need("Log", c.Log != nil)
	f := c.Forms
	need("Forms", f.Event != nil && f.Personal != nil && f.Decision != nil && f.Organization != nil && f.Policy != nil && f.Domain != nil && f.Connection != nil && f.Mask != nil)
	need("SignIn.Flows", c.SignIn == nil || c.SignIn.Flows != nil)
	if f := c.Factors; f != nil {
		need("Factors.Holders", f.Holders != nil)
		need("Factors.Many", f.Many != nil)
		need("Factors.MAC", f.MAC != nil)
	}
	if i := c.Identities; i != nil {
		need("Identities.Keeper", i.Keeper != nil)
		need("Identities.MAC", i.MAC != nil)
	}
	if k := c.APIKeys; k != nil {
		need("APIKeys.Keeper", k.Keeper != nil)
		need("APIKeys.MAC", k.MAC != nil)
	}
	if q := c.Query; q != nil {
		need("Query.Reader", q.Reader != nil)
		need("Query.Counter", q.Counter != nil)
		need("Query.Filters", q.Filters != nil)
		need("Query.People", q.People != nil)
		need("Query.Opener", q.Opener != nil)
		need("Query.Indexer", q.Indexer != nil)
		need("Query.Keys", q.Keys != nil)
		need("Query.Records", q.Records != nil)
		need("Query.Archived", q.Archived != nil)
		need("Query.Apply", q.Apply != nil)
		need("Query.Connections", q.Connections != nil)
		need("Query.Policies", q.Policies != nil)
		need("Query.Past", q.Past != nil)
		need("Query.Retentions", q.Retentions != nil)
		need("Query.LiveTallies", q.LiveTallies != nil)
		need("Query.Organizations", q.Organizations != nil)
		need("Query.Sites", q.Sites != nil)
		need("Query.ConnectionChanges", q.ConnectionChanges != nil)
		need("Query.Domains", q.Domains != nil)
		need("Query.Accounts", q.Accounts != nil)
		need("Query.Imports", q.Imports != nil)
		need("Query.Exports", q.Exports != nil)
		need("Query.ExportURL", q.ExportURL != nil)
		need("Query.Namer", q.Namer != nil)
		need("Query.MAC", q.MAC != nil)
		if q.Heartbeat == 0 {
			q.Heartbeat = 15 * time.Second
		}
		if q.Poll == 0 {
			q.Poll = 500 * time.Millisecond
		}
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = 10 * time.Second
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 1024
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 256
	}
	if len(missing) > 0 {
		return errors.New("server: config lacks " + strings.Join(missing, ", "))
	}
	return nil
}
