package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Sources says where settings come from besides the defaults.
type Sources struct {
	File    string   // YAML file; empty: none
	Environ []string // NAME=value, as os.Environ returns it
	Set     []string // path=value, from the command line
}

// otherVariables begin with EnvPrefix without being settings: the program reads them itself.
func otherVariables() []string {
	return []string{EnvPrefix + "CONFIG", EnvPrefix + "ADDRESS", EnvPrefix + "OUTPUT", EnvPrefix + "TIMEOUT", EnvPrefix + "ADMIN_EMAIL"}
}

// Load reads all sources and returns valid settings, or an error that names every problem with its path and what to do.
func Load(src Sources) (Config, error) {
	c := Default()
	var problems []error
	if src.File != "" {
		k := koanf.New(".")
		if err := k.Load(file.Provider(src.File), yamlParser{}); err != nil {
			return Config{}, fmt.Errorf("%s: %w", src.File, err)
		}
		problems = append(problems, apply(&c, k, src.File+": ")...)
	}
	k, unknown := environment(src.Environ)
	problems = append(problems, unknown...)
	problems = append(problems, apply(&c, k, "environment: ")...)
	problems = append(problems, applyFlags(&c, src.Set)...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// apply sets every key of k on c.
func apply(c *Config, k *koanf.Koanf, where string) []error {
	known := byPath(c)
	var problems []error
	for _, key := range k.Keys() {
		value := k.Get(key)
		f, ok := known[key]
		switch {
		case ok && value == nil:
			problems = append(problems, fmt.Errorf("%s%s: has no value; give one or remove the line", where, key))
		case ok:
			if err := f.set(value); err != nil {
				problems = append(problems, fmt.Errorf("%s%s: %w", where, key, err))
			}
		case isSection(known, key) && empty(value):
			// A section whose lines are all commented out.
		case isSection(known, key):
			problems = append(problems, fmt.Errorf("%s%s: is a section; put its settings below it", where, key))
		default:
			problems = append(problems, fmt.Errorf("%s%s: is no setting%s", where, key, suggest(known, key)))
		}
	}
	return problems
}

func applyFlags(c *Config, assignments []string) []error {
	known := byPath(c)
	var problems []error
	for _, a := range assignments {
		path, value, ok := strings.Cut(a, "=")
		f, exists := known[path]
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("--set %s: must be PATH=VALUE", path))
		case !exists:
			problems = append(problems, fmt.Errorf("--set %s: is no setting%s", path, suggest(known, path)))
		default:
			if err := f.set(value); err != nil {
				problems = append(problems, fmt.Errorf("--set %s: %w", path, err))
			}
		}
	}
	return problems
}

// environment turns POSTERN_ variables into paths and returns an error for each that is no setting.
func environment(environ []string) (*koanf.Koanf, []error) {
	c := Default()
	byEnv := map[string]string{}
	for _, f := range Fields(&c) {
		byEnv[f.Env] = f.Path
	}
	var problems []error
	k := koanf.New(".")
	provider := env.Provider(".", env.Opt{
		Prefix:      EnvPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			path := byEnv[name]
			if path == "" && !slices.Contains(otherVariables(), name) {
				problems = append(problems, fmt.Errorf("environment: %s: is no setting; names are in docs/reference/config.md", name))
			}
			return path, value
		},
	})
	if err := k.Load(provider, nil); err != nil {
		problems = append(problems, fmt.Errorf("environment: %w", err))
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return k, problems
}

func byPath(c *Config) map[string]Field {
	known := map[string]Field{}
	for _, f := range Fields(c) {
		known[f.Path] = f
	}
	return known
}

func isSection(known map[string]Field, key string) bool {
	for path := range known {
		if strings.HasPrefix(path, key+".") {
			return true
		}
	}
	return false
}

func empty(value any) bool {
	m, isMap := value.(map[string]any)
	return value == nil || isMap && len(m) == 0
}

// suggest names settings with the same last element, or the section's settings.
func suggest(known map[string]Field, key string) string {
	_, last, nested := cutLast(key)
	var same, beside []string
	for path := range known {
		section, name, _ := cutLast(path)
		if name == last {
			same = append(same, path)
		}
		if parent, _, _ := cutLast(key); nested && section == parent {
			beside = append(beside, path)
		}
	}
	for _, l := range [][]string{same, beside} {
		if len(l) > 0 {
			slices.Sort(l)
			return "; did you mean " + strings.Join(l, " or ") + "?"
		}
	}
	return "; settings are in docs/reference/config.md"
}

func cutLast(path string) (before, last string, found bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// yamlParser reads exactly one YAML document; errors carry line and column.
type yamlParser struct{}

// Unmarshal implements koanf.Parser.
func (yamlParser) Unmarshal(b []byte) (map[string]any, error) {
	var out map[string]any
	dec := yaml.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&out); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(yaml.FormatError(err, false, false))
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("must hold one YAML document; remove what follows the second ---")
	}
	return out, nil
}

// Marshal implements koanf.Parser.
func (yamlParser) Marshal(m map[string]any) ([]byte, error) { return yaml.Marshal(m) }
