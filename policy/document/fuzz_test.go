package document_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postern-audit/postern/policy"
	"github.com/postern-audit/postern/policy/document"
)

func FuzzParse(f *testing.F) {
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "acme.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"organization":"acme","domains":["acme-x.com"]}`))
	f.Add([]byte("organization: acme\npolicy:\n  rules:\n  - id: a\n    match: {kinds: [person]}\n"))
	f.Add([]byte(oidcDocument))
	f.Add([]byte(samlDocument))
	f.Add([]byte(metadataDocument))
	metadata := func(xml []byte) (document.Metadata, error) {
		return document.Metadata{EntityID: "urn:idp", PostURL: string(xml), Certificates: [][]byte{xml}}, nil
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, problems := document.ParseWith(b, metadata)
		if (d == nil) != (problems.Err() != nil) {
			t.Fatalf("document %v, problems %v", d, problems)
		}
		if d == nil {
			return
		}
		first, problems := document.PlanOf(d, document.Current{UID: "u"}, namer{}, counter())
		if (first == nil) != (problems.Err() != nil) {
			t.Fatalf("plan %v, problems %v", first, problems)
		}
		if first == nil {
			return
		}
		claims := map[policy.AccountKey]policy.ClaimRecord{}
		for _, c := range first.AddClaims {
			claims[c.Record.Key] = c.Record
		}
		again, _ := document.PlanOf(d, document.Current{Organization: first.Organization, UID: "u", Domains: first.AddDomains, Claims: claims}, namer{}, counter())
		if again == nil || !again.Empty() {
			t.Fatal("applying a document twice does something")
		}
	})
}
