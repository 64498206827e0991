// Command manifests decodes Kubernetes manifests strictly: a field that the API does not have is an error.
//
// Purpose: what no cluster looks at here is at least what one would accept by its shape. It must never talk to a cluster.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	failed := false
	for _, path := range os.Args[1:] {
		n, err := check(decoder, path)
		if err != nil {
			failed = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			continue
		}
		fmt.Printf("%s: %d objects\n", path, n)
	}
	if failed || len(os.Args) == 1 {
		os.Exit(1)
	}
}

func check(decoder runtime.Decoder, path string) (n int, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			if n == 0 {
				return 0, errors.New("holds no object")
			}
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		if _, _, err := decoder.Decode(doc, nil, nil); err != nil {
			return n, fmt.Errorf("object %d: %w", n+1, err)
		}
		n++
	}
}
