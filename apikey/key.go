package apikey

import (
	"time"

	"github.com/postern-audit/postern/internal/errs"
)

// Role is what a key may do.
type Role uint8

// The roles, numbered as in postern.v1.Key.
const (
	RoleUnspecified Role = iota
	RoleAuditor          // read the record through the events API
)

// Detail is how much of a sign-in the events API shows.
type Detail uint8

// The details, numbered as in postern.v1.Key.
const (
	DetailUnspecified Detail = iota
	DetailFlows              // one row for each sign-in
	DetailSteps              // every event
)

// State is how a key stands.
type State uint8

// The states, numbered as in postern.v1.Key.
const (
	StateUnspecified State = iota
	StateActive
	StateExpired
	StateRevoked
)

// Limits of keys.
const (
	MaxLifetime = 366 * 24 * time.Hour
	MaxKeys     = 200                 // of one organization, ended ones that are still listed included
	KeepEnded   = 90 * 24 * time.Hour // how long an ended key is listed
	maxName     = 128
)

// Key is what is kept of a key.
type Key struct {
	OrganizationUID string
	ID              ID
	DisplayName     string
	Role            Role
	Detail          Detail
	Sandbox         bool // it is shown events that were made while the organization was for trying things out
	Created         time.Time
	Expires         time.Time
	Revoked         time.Time // zero unless it was
	Creator         string
	Hash            [32]byte  // keyed, of organization uid, id and secret
	Used            time.Time // last use, coarse; zero before the first one
	Version         string    // as it was read; a change is compared with it
}

// State is how the key stands at a moment.
func (k *Key) State(now time.Time) State {
	switch {
	case !k.Revoked.IsZero():
		return StateRevoked
	case !now.Before(k.Expires):
		return StateExpired
	}
	return StateActive
}

// forgotten reports whether an ended key is not listed any more.
func (k *Key) forgotten(now time.Time) bool {
	ended := k.Expires
	if !k.Revoked.IsZero() && k.Revoked.Before(ended) {
		ended = k.Revoked
	}
	return now.Sub(ended) > KeepEnded
}

func notFound() error {
	return errs.New(errs.NotFound, "API_KEY_NOT_FOUND", "the organization has no such API key")
}

func invalid() error {
	return errs.New(errs.Unauthenticated, "API_KEY_INVALID", "the bearer token is no API key of this installation")
}

func expired() error {
	return errs.New(errs.Unauthenticated, "API_KEY_EXPIRED", "the API key has expired")
}

func revoked() error {
	return errs.New(errs.Unauthenticated, "API_KEY_REVOKED", "the API key was revoked")
}
