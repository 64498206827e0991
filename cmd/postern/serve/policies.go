package serve

import "github.com/postern-audit/postern/policy/directory"

// policies are the use cases around policies and their history.
func (p *process) policies() *directory.Policies {
	past := p.work.past
	return &directory.Policies{Deps: p.applier().deps, History: p.stores.directory, Whole: past.Revisions(), Past: past}
}
