package serve

import (
	"context"

	"github.com/postern-audit/postern/internal/errs"
	"github.com/postern-audit/postern/server"
	"github.com/postern-audit/postern/server/convert"
)

type noApply struct{}

func (noApply) Apply(context.Context, string, convert.Apply) (server.Applied, error) {
	return server.Applied{}, errs.New(errs.Internal, "INTERNAL", "x")
}

func (p *process) applier() server.Applier { return noApply{} }
