package serve

import "github.com/postern-audit/postern/policy/directory"

// accounts are the use cases around claimed accounts.
func (p *process) accounts() *directory.Accounts {
	s := &p.stores
	return &directory.Accounts{Directory: s.directory, Writer: s.directory, Claims: s.directory, Owners: s.directory, Sealer: s.keyring, Namer: s.namer,
		NewID: newID, Now: p.clock.Now}
}
