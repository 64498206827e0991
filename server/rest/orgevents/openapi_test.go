package orgevents_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postern-audit/postern/audit"
)

// spec is the served document, as plain JSON.
type spec map[string]any

func served(t *testing.T) spec {
	t.Helper()
	a := newRig(t).get("/openapi.json", "")
	var s spec
	if err := json.Unmarshal(a.body, &s); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d, %v", a.status, err)
	}
	return s
}

// at follows keys down; nil where there is nothing.
func (s spec) at(keys ...string) spec {
	var v any = map[string]any(s)
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	m, _ := v.(map[string]any)
	return m
}

// resolve follows a reference within the document.
func (s spec) resolve(t *testing.T, v spec) spec {
	t.Helper()
	name, ok := v["$ref"].(string)
	if !ok {
		return v
	}
	found := s.at(strings.Split(strings.TrimPrefix(name, "#/"), "/")...)
	if found == nil {
		t.Fatalf("%s leads nowhere", name)
	}
	return found
}

func TestTheDocumentIsWellFormed(t *testing.T) {
	s := served(t)
	if !strings.HasPrefix(fmt.Sprint(s["openapi"]), "3.0.") || s.at("info")["title"] == "" || s.at("info")["version"] == "" {
		t.Error("it does not say what it is")
	}
	if servers, _ := s["servers"].([]any); len(servers) != 1 || servers[0].(map[string]any)["url"] != prefix {
		t.Errorf("servers %v", s["servers"])
	}
	operations, used := map[string]bool{}, map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if name, ok := v["$ref"].(string); ok {
				s.resolve(t, v)
				used[name] = true
			}
			if v["type"] == "array" && v["items"] == nil {
				t.Errorf("%s: an array of what?", path)
			}
			for _, name := range asList(v["required"]) {
				if properties, _ := v["properties"].(map[string]any); v["properties"] != nil && properties[fmt.Sprint(name)] == nil {
					t.Errorf("%s: %s is required and not described", path, name)
				}
			}
			for k, child := range v {
				walk(path+"/"+k, child)
			}
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s/%d", path, i), child)
			}
		}
	}
	walk("#", map[string]any(s))
	for _, section := range []string{"schemas", "responses"} {
		for name := range s.at("components", section) {
			if !used["#/components/"+section+"/"+name] {
				t.Errorf("%s is not used", name)
			}
		}
	}
	for path, item := range s.at("paths") {
		for method, v := range item.(map[string]any) {
			op := spec(v.(map[string]any))
			id := fmt.Sprint(op["operationId"])
			if method != "get" || operations[id] || op["summary"] == nil || op["tags"] == nil || op.at("responses", "200") == nil {
				t.Errorf("%s %s is not complete", method, path)
			}
			operations[id] = true
			var named []string
			for _, p := range asList(op["parameters"]) {
				q := spec(p.(map[string]any))
				if q["description"] == nil || q["schema"] == nil || q["in"] == "path" && q["required"] != true {
					t.Errorf("%s: parameter %v is not complete", path, q["name"])
				}
				if q["in"] == "path" {
					named = append(named, fmt.Sprint("{", q["name"], "}"))
				}
			}
			if want := regexp.MustCompile(`\{[^}]+\}`).FindAllString(path, -1); !slices.Equal(named, want) {
				t.Errorf("%s describes %v", path, named)
			}
		}
	}
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

func TestEveryAnswerIsAsTheDocumentSays(t *testing.T) {
	s := served(t)
	r := newRig(t)
	for _, info := range audit.Types() {
		r.archive.add(uidA, full(info.Type))
	}
	events := r.archive.add(uidA, signIn(2)...)
	for path, item := range s.at("paths") {
		op := spec(item.(map[string]any)).at("get")
		asked := strings.NewReplacer("{orgId}", "acme", "{eventId}", events[0].ID).Replace(path)
		for key, status := range map[string]string{"steps": "200", "nonsense": "401"} {
			if status == "401" && op["security"] != nil {
				continue
			}
			for _, query := range []string{"", "?limit=2", "?from=99999999999999"} {
				a := r.get(asked+query, key)
				if fmt.Sprint(a.status) != status {
					t.Fatalf("%s: %d", asked, a.status)
				}
				var body any
				if err := json.Unmarshal(a.body, &body); err != nil {
					t.Fatal(err)
				}
				schema := s.resolve(t, op.at("responses", status)).at("content", "application/json", "schema")
				if schema == nil {
					t.Fatalf("%s: no schema for %s", path, status)
				}
				for _, problem := range s.check(t, asked+query, schema, body) {
					t.Error(problem)
				}
			}
		}
	}
	if s.check(t, "", s.at("components", "schemas", "Event"), map[string]any{"type": "events"}) == nil {
		t.Error("the check finds nothing")
	}
}

// full is an event of a type with as much in it as events have.
func full(kind audit.Type) audit.Event {
	yes := true
	return audit.Event{
		Type: kind, Flow: "01a1f978-9437-79a1-9c85-dce7e8e2197e", Step: 3, Site: "wiki", SiteUID: "s", SupportCode: "ZMZJS-14DQ0", Caller: "unix:0",
		Class: audit.ClassExternal, Evidence: audit.EvidenceVerified, Method: "sso", Connection: "okta", ConnectionUID: "c", Factor: "TOTP", Reason: "WRONG_CODE",
		Counts: &yes, Late: true, Client: audit.ClientWeb, AuthenticatedAt: noon, Ending: audit.EndingDenied, Session: "ab12", EndCause: "LOGOUT", Uses: 4,
		Decision: &audit.Decision{Rule: "r", Verdict: audit.VerdictDeny, WouldBe: &audit.WouldBe{Verdict: audit.VerdictAllow}, Demands: []audit.Demand{{Kind: "MFA"}}},
		Steps:    []audit.StepSummary{{Step: 1, Event: "e", Type: audit.TypeSignInStarted, Time: noon}}, Target: &audit.Target{Type: "policy", UID: "u", Count: 2},
		Changes: []audit.Change{{Field: "f", Before: "b", After: "a"}}, Denial: &audit.Denial{Method: "m", Code: "c", Reason: "r", Count: 3, CallID: "id"},
		Tally: map[string]int64{"opened": 3}, TallyHour: noon, PersonalState: "ERASED",
		Personal: audit.Personal{Email: "mia@partner.com", AccountID: "acct", DisplayName: "Mia", IP: "192.0.2.1", UserAgent: "x", Detail: "why", Items: []string{"a", "b"}},
	}
}

// check holds a value against a schema and lists what does not fit. It knows the words this document uses, and refuses others.
func (s spec) check(t *testing.T, path string, schema spec, v any) (out []string) {
	t.Helper()
	schema = s.resolve(t, schema)
	bad := func(what string) { out = append(out, fmt.Sprintf("%s: %s: %.60v", path, what, v)) }
	for word := range schema {
		if !slices.Contains([]string{"type", "description", "properties", "required", "additionalProperties", "items", "nullable", "pattern", "format", "enum"}, word) {
			bad("the check does not know " + word)
		}
	}
	if v == nil {
		if schema["nullable"] != true {
			bad("null")
		}
		return out
	}
	switch schema["type"] {
	case "object":
		m, ok := v.(map[string]any)
		if !ok {
			bad("no object")
			return out
		}
		for _, name := range asList(schema["required"]) {
			if _, ok := m[name.(string)]; !ok {
				bad(name.(string) + " is missing")
			}
		}
		for name, child := range m {
			if property := schema.at("properties", name); property != nil {
				out = append(out, s.check(t, path+"."+name, property, child)...)
			} else if schema["additionalProperties"] == false {
				bad(name + " is not described")
			}
		}
	case "array":
		l, ok := v.([]any)
		if !ok {
			bad("no array")
		}
		for i, child := range l {
			out = append(out, s.check(t, fmt.Sprintf("%s[%d]", path, i), schema.at("items"), child)...)
		}
	case "integer":
		if n, ok := v.(float64); !ok || n != float64(int64(n)) {
			bad("no integer")
		}
	case "string":
		text, ok := v.(string)
		pattern, _ := schema["pattern"].(string)
		if !ok || !regexp.MustCompile(pattern).MatchString(text) || schema["enum"] != nil && !slices.Contains(asList(schema["enum"]), v) {
			bad("no such string")
		}
	default:
		bad(fmt.Sprint("the check does not know type ", schema["type"]))
	}
	return out
}
