package cli

import (
	"fmt"

	"github.com/postern-audit/postern/internal/printable"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// explainNothing says on standard error why a list is empty, so that standard output stays what programs read.
func (a *app) explainNothing(n *posternv1.NothingFound) {
	for _, sentence := range n.GetExplanation() {
		fmt.Fprintln(a.stderr, printable.Escape(sentence))
	}
}
