package convert

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server/names"
)

// Indexer makes the blind indexes that searches try. audit.Sealer is one.
type Indexer interface {
	// Indexes returns the index of a canonical value in every live key version.
	Indexes(organizationUID string, purpose audit.Purpose, value string) ([]audit.Index, error)
}

// FlowRef names one flow by its id or its support code.
type FlowRef struct {
	Organization string // id
	IDOrCode     string // canonical
}

// GetFlow converts a request for one flow.
func (c *Converter) GetFlow(r *posternv1.GetFlowRequest) (FlowRef, error) {
	return c.flowRef(r, r.GetName())
}

// WatchFlow converts a request to follow one flow.
func (c *Converter) WatchFlow(r *posternv1.WatchFlowRequest) (FlowRef, error) {
	return c.flowRef(r, r.GetName())
}

func (c *Converter) flowRef(r request, name string) (FlowRef, error) {
	if err := c.Check(r); err != nil {
		return FlowRef{}, err
	}
	organization, tail, err := names.Flow("name", name)
	if err != nil {
		return FlowRef{}, err
	}
	if len(tail) == 36 {
		id, err := authflow.ParseFlowID(tail)
		if err != nil {
			return FlowRef{}, about("name", err)
		}
		return FlowRef{organization, id.String()}, nil
	}
	code, err := authflow.ParseSupportCode(tail)
	if err != nil {
		return FlowRef{}, about("name", err)
	}
	return FlowRef{organization, code}, nil
}

// EventRef names one event.
type EventRef struct {
	Organization string // id
	Event        string
}

// GetEvent converts a request for one event.
func (c *Converter) GetEvent(r *posternv1.GetEventRequest) (EventRef, error) {
	if err := c.Check(r); err != nil {
		return EventRef{}, err
	}
	organization, event, err := names.Event("name", r.GetName())
	return EventRef{organization, event}, err
}

// Parent checks a request and returns the organization its parent names.
func (c *Converter) Parent(r interface {
	request
	GetParent() string
}) (string, error) {
	if err := c.Check(r); err != nil {
		return "", err
	}
	return names.Organization("parent", r.GetParent())
}

// PageSize coerces a checked page size.
func PageSize(n int32) int {
	switch {
	case n == 0:
		return DefaultPage
	case n > MaxPage:
		return MaxPage
	}
	return int(n)
}

func rangeOf(prefix string, start, end *timestamppb.Timestamp) error {
	if start != nil && end != nil && !start.AsTime().Before(end.AsTime()) {
		return wrong(prefix+"end_time", "must be after start_time")
	}
	return nil
}

// subjects makes the indexes of a search for people. The archive looks for any of the indexes, so the two lists cannot stand
// together: each of them would have to match.
func subjects(prefix string, emails, accounts []string, organizationUID string, x Indexer) ([]audit.Index, error) {
	if len(emails) > 0 && len(accounts) > 0 {
		return nil, errs.Field(prefix+"account_ids", "FIELD_UNEXPECTED", "search by e-mail or by account id, not by both at once")
	}
	var out []audit.Index
	for _, s := range emails {
		a, err := policy.ParseUsableAddress(s)
		if err != nil {
			return nil, about(prefix+"emails", err)
		}
		if out, err = with(out, organizationUID, audit.IndexEmail, a.String(), x); err != nil {
			return nil, err
		}
	}
	for _, s := range accounts {
		if s == "" {
			return nil, wrong(prefix+"account_ids", "must not be empty")
		}
		var err error
		if out, err = with(out, organizationUID, audit.IndexAccount, s, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func with(out []audit.Index, organizationUID string, purpose audit.Purpose, value string, x Indexer) ([]audit.Index, error) {
	more, err := x.Indexes(organizationUID, purpose, audit.IndexValue(purpose, value))
	if err != nil {
		return nil, err //nolint:wrapcheck // an errs.Error of the sealer
	}
	return append(out, more...), nil
}
