package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/postern-audit/postern/internal/secret"
)

// EnvPrefix begins every environment variable this package reads.
const EnvPrefix = "POSTERN_"

// Field is one setting of a Config.
type Field struct {
	Path string // redis.tls.ca_file
	Env  string // POSTERN_REDIS_TLS_CA_FILE
	// Go names what the field is declared as, for example Redis.Mode.
	Go    string
	value reflect.Value
}

// Fields lists the settings of c in the order of their declaration, sections left out. Setting one changes c.
func Fields(c *Config) []Field {
	return fields(reflect.ValueOf(c).Elem(), "")
}

func fields(v reflect.Value, prefix string) []Field {
	var out []Field
	for i := range v.NumField() {
		f := v.Type().Field(i)
		path := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[secret.String]() {
			out = append(out, fields(v.Field(i), path+".")...)
			continue
		}
		out = append(out, Field{
			Path:  path,
			Env:   EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
			Go:    v.Type().Name() + "." + f.Name,
			value: v.Field(i),
		})
	}
	return out
}

// Secret reports whether the setting's value must not be shown.
func (f Field) Secret() bool { return f.value.Type() == reflect.TypeFor[secret.String]() }

// Type says what a value looks like: text, number, true or false, duration, list, secret.
func (f Field) Type() string {
	switch f.value.Interface().(type) {
	case string:
		return "text"
	case int:
		return "number"
	case bool:
		return "true or false"
	case time.Duration:
		return "duration"
	case []string:
		return "list"
	case secret.String:
		return "secret"
	}
	return f.value.Type().String()
}

// YAML returns the value as it stands in a file; secrets are redacted.
func (f Field) YAML() string {
	switch v := f.value.Interface().(type) {
	case string:
		return scalar(v)
	case time.Duration:
		return shortDuration(v)
	case []string:
		quoted := make([]string, len(v))
		for i, s := range v {
			quoted[i] = scalar(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case secret.String:
		if v.IsZero() { // an empty one hides nothing, and says that none is set
			return `""`
		}
		return strconv.Quote(v.String())
	default:
		return fmt.Sprint(v)
	}
}

// scalar quotes a text unless it is plainly a word or a path.
func scalar(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ./_-") == "" && s[0] != '-'
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "null", "y", "n", ".", "..", ".inf", ".nan":
		plain = false
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// shortDuration writes 15m instead of 15m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// set takes what YAML made of a value, or the text of an environment variable or flag.
func (f Field) set(raw any) error {
	var ok bool
	switch f.value.Interface().(type) {
	case string:
		var s string
		if s, ok = raw.(string); ok {
			f.value.SetString(s)
		}
	case secret.String:
		var s string
		if s, ok = raw.(string); ok {
			f.value.Set(reflect.ValueOf(secret.NewString(s)))
		}
	case int:
		var n int
		if n, ok = number(raw); ok {
			f.value.SetInt(int64(n))
		}
	case bool:
		var b bool
		if b, ok = truth(raw); ok {
			f.value.SetBool(b)
		}
	case time.Duration:
		if s, isText := raw.(string); isText {
			d, err := time.ParseDuration(s)
			if ok = err == nil; ok {
				f.value.SetInt(int64(d))
			}
		}
	case []string:
		var l []string
		if l, ok = texts(raw); ok {
			f.value.Set(reflect.ValueOf(l))
		}
	}
	if !ok {
		return fmt.Errorf("%s", f.wanted())
	}
	return nil
}

// wanted says what a value must look like. The value given is not repeated: it may be a secret put in the wrong place.
func (f Field) wanted() string {
	switch f.Type() {
	case "text", "secret":
		return "must be a text; put it in quotes"
	case "number":
		return "must be a whole number"
	case "true or false":
		return "must be true or false"
	case "duration":
		return "must be a duration with its unit, for example 500ms, 10s or 15m"
	default:
		return "must be a list of texts, for example [a, b]; in the environment and in flags a,b"
	}
}

func number(raw any) (int, bool) {
	switch n := raw.(type) {
	case int:
		return n, true
	case int64:
		return int(n), true
	case uint64:
		if n > 1<<31 {
			return 0, false
		}
		return int(n), true
	case string:
		i, err := strconv.Atoi(n)
		return i, err == nil
	}
	return 0, false
}

func truth(raw any) (value, ok bool) {
	switch b := raw.(type) {
	case bool:
		return b, true
	case string:
		return b == "true", b == "true" || b == "false"
	}
	return false, false
}

// texts splits "a, b" and takes lists of texts. An empty text is an empty list.
func texts(raw any) ([]string, bool) {
	switch l := raw.(type) {
	case string:
		var out []string
		for part := range strings.SplitSeq(l, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
		return out, true
	case []any:
		var out []string
		for _, e := range l {
			s, ok := e.(string)
			if !ok {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}
