package realidp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// startNode runs a script of hack/idps with its settings as a file in dir and returns the URL it serves.
func startNode(dir, script string, settings any) (*process, string, error) {
	node, err := installed("bin-node")
	if err != nil {
		return nil, "", err
	}
	path, err := installed(script)
	if err != nil {
		return nil, "", err
	}
	if _, err := installed("node_modules"); err != nil {
		return nil, "", err
	}
	content, err := json.Marshal(settings)
	if err != nil {
		return nil, "", fmt.Errorf("realidp: settings of %s: %w", script, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("realidp: %w", err)
	}
	file := filepath.Join(dir, script+".json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return nil, "", fmt.Errorf("realidp: %w", err)
	}
	p, err := run(dir, node, "--no-warnings", path, file)
	if err != nil {
		return nil, "", err
	}
	base, err := p.awaitReady()
	if err != nil {
		return nil, "", errors.Join(err, p.stop())
	}
	return p, base, nil
}

// Node returns the program that runs the providers written for it: the machine's own, or npm's where that is too old.
func Node() (string, error) { return installed("bin-node") }
