package serve

import "github.com/postern-audit/postern/policy/directory"

// policies are the use cases around policies and their history.
func (p *process) policies() *directory.Policies {
	return &directory.Policies{Deps: p.applier().deps, History: p.stores.directory}
}
