package export

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/internal/errs"
)

// Namer makes keyed names.
type Namer interface {
	// ExportRequest names one call and what it asked for.
	ExportRequest(caller, method, parent, requestID string, canonical []byte) Request
	// ExportLink is the keyed hash of a link.
	ExportLink(parts ...[]byte) [32]byte
}

// Sealer encrypts with an organization's key. seal.Keyring is one.
type Sealer interface {
	EncryptSecret(organizationUID, recordID string, plain []byte) ([]byte, error)
	DecryptSecret(organizationUID, recordID string, sealed []byte) ([]byte, error)
}

// Question is what was asked for.
type Question struct {
	Filter []byte // an encoded postern.v1.EventFilter
	Reason string
}

// Jobs are the use cases around exports. Every field is needed.
type Jobs struct {
	Store  Store
	Reader audit.Reader
	Namer  Namer
	Sealer Sealer
	NewID  func() string // UUIDv7
	Random func(b []byte)
	Now    func() time.Time
	Keep   time.Duration // how long a file is kept
	// Ready makes an organization's key usable in this process; NotFound when the organization is gone.
	Ready func(ctx context.Context, organizationUID string) error
	// Region refuses an organization, or the sites of a filter, whose record may not be taken out here. May be nil.
	Region func(ctx context.Context, organizationUID string, filter []byte) error
	// Wake tells the workers of this process that there is something to do. It must not wait. May be nil.
	Wake func()
}

// Methods, as they stand in the keys of calls.
const (
	methodCreate = "CreateExport"
	methodCancel = "CancelExport"
	methodDelete = "DeleteExport"
	methodFetch  = "export link"
)

// maxTries bounds how often a lost race is run again.
const maxTries = 8

// NewJob is an export to make.
type NewJob struct {
	OrganizationUID string
	Organization    string // id
	Format          Format
	Asked           []byte // the filter as it was asked for, which a repeated call is compared by
	Filter          []byte // what that means: an encoded postern.v1.EventFilter without what changes, which has been found good
	RequestID       string
	Reason          string
}

// Create asks for an export of what the record holds now.
func (x *Jobs) Create(ctx context.Context, caller string, in NewJob) (*Job, error) {
	if in.Format.String() == "" {
		return nil, errs.Field("format", "FIELD_INVALID", "must be FORMAT_CSV, FORMAT_JSONL or FORMAT_PARQUET")
	}
	if len(in.Reason) > maxReason || len(in.Filter) > maxQuestion {
		return nil, errs.Field("filter", "FIELD_INVALID", "is too long")
	}
	uid := in.OrganizationUID
	request := x.Namer.ExportRequest(caller, methodCreate, uid, in.RequestID, fields(in.Format.String(), string(in.Asked), in.Reason))
	if first, err := x.Store.Answered(ctx, uid, request); err != nil || first != "" {
		return x.again(ctx, uid, first, err)
	}
	if x.Region != nil {
		if err := x.Region(ctx, uid, in.Filter); err != nil {
			return nil, err
		}
	}
	through, _, err := x.Reader.Position(ctx, uid)
	if err != nil {
		return nil, err
	}
	now := x.Now()
	job := &Job{OrganizationUID: uid, Organization: in.Organization, ID: x.NewID(), Format: in.Format, State: StateQueued, Creator: caller, Created: now, Through: through}
	if job.Question, err = x.seal(job, Question{Filter: in.Filter, Reason: in.Reason}); err != nil {
		return nil, err
	}
	e := x.event(job, caller, audit.TypeExportCreated)
	e.Personal.Detail = in.Reason
	e.Changes = []audit.Change{{Field: "format", After: job.Format.String()}, {Field: "through_sequence", After: strconv.FormatInt(through, 10)}}
	first, err := x.Store.Commit(ctx, Change{OrganizationUID: uid, After: job, Event: &e, Request: &request, Answer: job.ID, Due: now, Now: now})
	if err != nil || first != "" {
		return x.again(ctx, uid, first, err)
	}
	x.wake()
	return job, nil
}

func (x *Jobs) again(ctx context.Context, uid, id string, err error) (*Job, error) {
	if err != nil {
		return nil, err
	}
	return x.Get(ctx, uid, id)
}

// Get returns one export.
func (x *Jobs) Get(ctx context.Context, organizationUID, id string) (*Job, error) {
	job, err := x.Store.Job(ctx, organizationUID, id)
	if err == nil && x.gone(job) {
		err = NotFound()
	}
	if err != nil {
		return nil, err
	}
	return job, nil
}

// gone reports whether an export is not shown any more.
func (x *Jobs) gone(job *Job) bool {
	return job.State == StateRemoved || !job.Expires.IsZero() && !x.Now().Before(job.Expires)
}

// List returns up to limit exports that are older than the one with the given id, the newest first; "" begins with the newest.
func (x *Jobs) List(ctx context.Context, organizationUID, after string, limit int) ([]Job, error) {
	all, err := x.Store.Jobs(ctx, organizationUID)
	var out []Job
	for i := range all {
		if (after == "" || all[i].ID < after) && !x.gone(&all[i]) && len(out) < limit {
			out = append(out, all[i])
		}
	}
	return out, err
}

// Question returns what an export was asked for.
func (x *Jobs) Question(job *Job) (Question, error) {
	b, err := x.Sealer.DecryptSecret(job.OrganizationUID, recordOf(job.ID), job.Question)
	if err != nil {
		return Question{}, err
	}
	return openQuestion(b)
}

func (x *Jobs) seal(job *Job, q Question) ([]byte, error) {
	return x.Sealer.EncryptSecret(job.OrganizationUID, recordOf(job.ID), sealQuestion(q))
}

// recordOf is what a sealed question is bound to.
func recordOf(id string) string { return "export:" + id }

// Ending is an export to call off or to remove.
type Ending struct {
	OrganizationUID string
	ID              string
	RequestID       string
	Reason          string
}

// Cancel calls off an export that is not over; one that was called off stays as it is.
func (x *Jobs) Cancel(ctx context.Context, caller string, in Ending) (*Job, error) {
	return x.end(ctx, caller, methodCancel, in, func(job *Job) (*Change, error) {
		switch {
		case x.gone(job):
			return nil, NotFound()
		case job.State == StateCancelled:
			return nil, nil //nolint:nilnil // nothing to do
		case job.State.Over():
			return nil, errs.New(errs.FailedPrecondition, "EXPORT_OVER", "the export is over already: there is nothing to call off")
		}
		after, c := x.over(job, StateCancelled, "")
		e := x.event(after, caller, audit.TypeExportFailed)
		e.Reason, e.Personal.Detail = audit.ReasonCancelled, in.Reason
		c.Event = &e
		return c, nil
	})
}

// Delete removes an export with its file. One that is still being made is called off by that.
func (x *Jobs) Delete(ctx context.Context, caller string, in Ending) error {
	_, err := x.end(ctx, caller, methodDelete, in, func(job *Job) (*Change, error) {
		if x.gone(job) {
			return nil, NotFound()
		}
		e := x.event(job, caller, audit.TypeExportDeleted)
		e.Personal.Detail = in.Reason
		return x.removal(job, &e), nil
	})
	if errs.Is(err, "EXPORT_NOT_FOUND") {
		repeated, errAnswer := x.Store.Answered(ctx, in.OrganizationUID, x.request(caller, methodDelete, in))
		if errAnswer != nil || repeated != "" {
			return errAnswer
		}
	}
	return err
}

// removal lets an export and its files go.
func (x *Jobs) removal(job *Job, e *audit.Event) *Change {
	after := *job
	after.State, after.Holder = StateRemoved, ""
	return &Change{OrganizationUID: job.OrganizationUID, Before: job, After: &after, Event: e, Due: x.Now()}
}

// over is an export that ends in a state.
func (x *Jobs) over(job *Job, s State, reason string) (*Job, *Change) {
	after := *job
	after.State, after.StateReason, after.Holder, after.Finished = s, reason, "", x.Now()
	after.Expires = after.Finished.Add(x.Keep)
	due := after.Expires
	if s != StateSucceeded {
		due = after.Finished // what was made of it so far goes
	}
	return &after, &Change{OrganizationUID: job.OrganizationUID, Before: job, After: &after, Due: due}
}

func (x *Jobs) request(caller, method string, in Ending) Request {
	return x.Namer.ExportRequest(caller, method, in.ID, in.RequestID, fields(in.OrganizationUID, in.ID, in.Reason))
}

// end runs a change that somebody asked for until it wins or there is nothing to change.
func (x *Jobs) end(ctx context.Context, caller, method string, in Ending, change func(*Job) (*Change, error)) (*Job, error) {
	request := x.request(caller, method, in)
	for range maxTries {
		job, err := x.Store.Job(ctx, in.OrganizationUID, in.ID)
		if err != nil {
			return nil, err
		}
		if first, err := x.Store.Answered(ctx, in.OrganizationUID, request); err != nil || first != "" {
			return job, err
		}
		c, err := change(job)
		if err != nil || c == nil {
			return job, err
		}
		c.Request, c.Answer, c.Now = &request, in.ID, x.Now()
		_, err = x.Store.Commit(ctx, *c)
		if err == nil {
			x.wake()
			return c.After, nil
		}
		if errs.KindOf(err) != errs.Conflict {
			return nil, err
		}
	}
	return nil, Moved()
}

func (x *Jobs) wake() {
	if x.Wake != nil {
		x.Wake()
	}
}

// event is one about an export.
func (x *Jobs) event(job *Job, caller string, t audit.Type) audit.Event {
	return audit.Event{
		ID: x.NewID(), Type: t, Time: x.Now(), Organization: job.Organization, OrganizationUID: job.OrganizationUID, Caller: caller,
		Outcome: audit.OutcomeOf(t), Origin: audit.OriginAPI, Target: &audit.Target{Type: "export", ID: job.ID, Count: job.Rows},
	}
}

// Moved is the error of a race that was lost too often.
func Moved() error {
	return errs.New(errs.Conflict, "EXPORT_MOVED", "the export has changed meanwhile; read it again")
}

// fields are texts, each with its length in front.
func fields(texts ...string) []byte {
	var b []byte
	for _, s := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s))) //nolint:gosec // bounded by the API
		b = append(b, s...)
	}
	return b
}

func itoa(n int) string { return strconv.Itoa(n) }
