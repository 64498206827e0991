package authflow

import (
	"context"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow/factor"
	"github.com/postern-audit/postern/internal/errs"
)

func (in *ImportInput) canonical(row *ImportRow) []byte {
	var c canonical
	c.text(1, in.Organization)
	c.text(3, in.Reason)
	c.message(4, true, func(c *canonical) {
		c.text(1, row.AccountID)
		c.text(2, row.Secret)
		c.number(3, int64(row.Algorithm))
		c.number(4, int64(row.Digits))
		c.number(5, int64(row.Period))
	})
	if in.Replace {
		c.number(5, 1)
	}
	return c.b
}

// Import takes over secrets that another system had confirmed: they are in force at once. Each row is a commit of its own with
// its event, under a key of its own, so that the same call, made again after it broke off, goes on where it was. An account that
// has a factor in force is left alone unless Replace is set; a row that cannot be taken is a problem and stops nothing. An error
// is answered only when the rest could not be tried.
func (a *Authenticators) Import(ctx context.Context, who Caller, in ImportInput) (Imported, error) {
	switch {
	case in.Reason == "":
		return Imported{}, invalid("reason", ErrReasonRequired)
	case len(in.Rows) > MaxImport:
		return Imported{}, invalid("authenticators", ErrRows)
	}
	var out Imported
	for i := range in.Rows {
		err := a.take(ctx, who, &in, i)
		switch e := errs.As(err); {
		case err == nil:
			out.Imported++
		case errs.Is(err, "AUTHENTICATOR_ACTIVE"):
			out.Skipped++
		case e != nil && e.Kind == errs.Invalid:
			out.Problems = append(out.Problems, ImportProblem{Index: i, Reason: e.Reason})
		default:
			return Imported{}, err
		}
	}
	return out, nil
}

// take takes over one row.
func (a *Authenticators) take(ctx context.Context, who Caller, in *ImportInput, i int) error {
	row := &in.Rows[i]
	c, err := a.change(ctx, who, "ImportAuthenticators", in.Organization, in.RequestID+"/"+strconv.Itoa(i), in.canonical(row))
	if err != nil {
		return err
	}
	c.subject = a.f.c.Namer.AccountKey(c.org.UID, row.AccountID)
	_, _, err = c.run(ctx, func(s *SubjectRecords, now time.Time) (*alteration, error) {
		credential := newCredential(a.f.c.NewID(), row.Algorithm, row.Digits, row.Period)
		credential.By = who.Principal
		if err := factor.CheckCodeForm(credential.Algorithm, credential.Digits, credential.Period); err != nil {
			return nil, err
		}
		sealed, err := a.c.Secrets.Take(c.org.UID, credential, row.Secret)
		if err != nil {
			return nil, err
		}
		credential.Sealed = sealed
		before, spent := s.Authenticator, int64(0)
		if in.Replace && before.Usable() {
			if before.Active.Period == credential.Period {
				spent = before.LastStep // it may be the same secret: what was used of it stays used
			}
			cleared, err := factor.Reset(before)
			if err != nil {
				return nil, err
			}
			before = &cleared
		}
		next, err := factor.Import(before, row.AccountID, credential, spent, now)
		if err != nil {
			return nil, err
		}
		e := c.about(audit.TypeAuthenticatorImported, &next, &next.Active, in.Reason, now)
		e.Target.Count, e.Enrolment = 1, enrolmentOf(&next.Active)
		e.Changes = differences(valueRef(s.Authenticator), &next)
		return &alteration{authenticator: &next, event: e}, nil
	})
	return err
}
