package serve

import "github.com/postern-audit/postern/policy/directory"

// resources are the use cases around organizations, sites and connections, one by one.
func (p *process) resources() *directory.Resources {
	return &directory.Resources{Deps: p.applier().deps, Deletions: p.stores.directory, Accounts: p.accounts(), Domains: p.domainCases(),
		KeyArchive: p.stores.archive, UnderWay: p.work.erased}
}
