// Package examples holds what people copy: an organization document and a file with every setting.
//
// Purpose: the demo carries the document it applies. Invariant: what is embedded here is the very file people read. It must
// never hold logic. First file to read: acme.yaml.
package examples

import _ "embed" // the files

//go:embed acme.yaml
var acme []byte

// Acme returns the example organization document.
func Acme() []byte { return append([]byte(nil), acme...) }
