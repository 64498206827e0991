package orgevents

import (
	_ "embed" // the OpenAPI document
	"slices"
)

//go:embed openapi.json
var openAPIText []byte

// openAPI is the description of this API, which anybody may read.
func openAPI() []byte { return slices.Clone(openAPIText) }
