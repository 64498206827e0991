package codec_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/seal"
)

const organization = "01900000-0000-7000-8000-00000000000a"

// newCodec returns a codec with a real sealer that knows the organization.
func newCodec(t testing.TB) (*codec.Codec, *seal.Keyring) {
	t.Helper()
	k, err := seal.LoadOrCreate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := k.Keyring(0)
	key, err := r.Mint(organization)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(key); err != nil {
		t.Fatal(err)
	}
	return codec.New(r), r
}

// fill sets every field below v to a value that is not zero and differs from field to field.
func fill(t testing.TB, v reflect.Value, path string, n *int) {
	t.Helper()
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d-%s", *n, path))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path, n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key, path+".key", n)
			fill(t, value, path+".value", n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 20, 8, 0, *n%60, *n, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), path+"."+v.Type().Field(i).Name, n)
		}
	default:
		t.Fatalf("%s: this test does not know how to fill a %s", path, v.Kind())
	}
}

// full returns an event with every field set.
func full(t testing.TB) audit.Event {
	t.Helper()
	var e audit.Event
	n := 0
	fill(t, reflect.ValueOf(&e).Elem(), "Event", &n)
	e.OrganizationUID = organization
	e.Personal.IP = "2001:db8::1"
	e.Personal.Email = "ann@example.com"
	e.Personal.TypedAddress = "Typed@other.example"
	e.Personal.PreviousEmail = "anna@third.example"
	e.Directory.Items[0].Key, e.Directory.Items[1].Key = audit.DomainKey("partner.example"), audit.ClaimKey([]byte{0, 0xff})
	return e
}

// step returns an event as a busy sign-in makes it.
func step() audit.Event {
	yes := true
	return audit.Event{
		ID: "01900000-0000-7000-8000-000000000001", Type: audit.TypePasswordVerified,
		Time:         time.Date(2026, 11, 20, 8, 30, 0, 123456789, time.UTC),
		Organization: "acme", OrganizationUID: organization, Site: "wiki", SiteUID: "01900000-0000-7000-8000-00000000000c",
		Flow: "01900000-0000-7000-8000-00000000000d", Step: 2, SupportCode: "ABCDE-FGHJK", CorrelationID: "login-4711",
		Caller: "unix:1000", Class: audit.ClassExternal, Outcome: audit.OutcomeSuccess, Evidence: audit.EvidenceAsserted,
		Method: audit.MethodPassword, Counts: &yes, Client: audit.ClientWeb, SubjectKind: audit.SubjectPerson,
		Decision: &audit.Decision{
			Class: audit.ClassExternal, Basis: audit.ClassBasis{By: "NO_MATCH"}, Rule: "guests", Source: "RULE",
			Conditions: []audit.Condition{{Name: "domain", Met: true, Detail: "partner.example"}},
			Demands: []audit.Demand{{Kind: "MFA", Factors: []string{audit.FactorTOTP}, MaxAge: time.Hour,
				Evidence: audit.EvidenceVerified, Reason: audit.ReasonMFARequired}},
			PolicyRevision: 7, Verdict: audit.VerdictContinue, Reason: audit.ReasonMFARequired,
		},
		Personal: audit.Personal{
			Email: "ann@partner.example", EmailVerified: &yes, AccountID: "acc-4711", DisplayName: "Ann Partner", IP: "192.0.2.17",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", DeviceID: "dev-1",
		},
	}
}
