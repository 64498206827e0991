package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postern-audit/postern/apikey"
	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/server"
)

// keeper keeps what it was given, and has the keys a test sets, by id.
type keeper struct {
	calls []any
	who   []string
	all   []apikey.Key
	fail  error
}

func (k *keeper) take(who string, in any) (apikey.Key, error) {
	k.calls, k.who = append(k.calls, in), append(k.who, who)
	return apikey.Key{ID: apikey.ID{0xab}, DisplayName: "collector", Role: apikey.RoleAuditor, Detail: apikey.DetailSteps, Expires: time.Now().Add(time.Hour)}, k.fail
}

func (k *keeper) Create(_ context.Context, who string, in apikey.NewKey) (apikey.Made, error) {
	key, err := k.take(who, in)
	return apikey.Made{Key: key, Token: "pst_secret"}, err
}

func (k *keeper) Get(_ context.Context, organization string, id apikey.ID) (apikey.Key, error) {
	return k.take(organization, id)
}

func (k *keeper) Revoke(_ context.Context, who string, in apikey.Revocation) (apikey.Key, error) {
	return k.take(who, in)
}

func (k *keeper) Test(_ context.Context, who string, in apikey.TestEvent) (string, error) {
	_, err := k.take(who, in)
	return "01a1f978-943e-7920-8f8e-7940ce086d5e", err
}

func (k *keeper) List(_ context.Context, _ string, after *apikey.ID, limit int) ([]apikey.Key, error) {
	var out []apikey.Key
	for _, x := range k.all {
		if (after == nil || x.ID.String() > after.String()) && len(out) < limit {
			out = append(out, x)
		}
	}
	return out, k.fail
}

func keyClient(t *testing.T) (*keeper, *world, posternv1.KeyServiceClient) {
	t.Helper()
	k := &keeper{}
	w := newWorld(t, func(c *server.Config) { c.APIKeys = &server.APIKeys{Keeper: k, MAC: mac{}} })
	return k, w, posternv1.NewKeyServiceClient(w.dial(t))
}

const keyName = "organizations/acme/keys/ab00000000000000"

func TestACallAboutAKeyReachesItsUseCaseWhole(t *testing.T) {
	k, w, client := keyClient(t)
	ctx := testContext(t)
	until := time.UnixMilli(1_900_000_000_000).UTC()
	made, err := client.CreateKey(ctx, &posternv1.CreateKeyRequest{Parent: "organizations/acme", DisplayName: "collector", Role: posternv1.Key_ROLE_AUDITOR,
		Detail: posternv1.Key_DETAIL_STEPS, ExpireTime: timestamppb.New(until), RequestId: "r"})
	if err != nil || made.GetSecret() != "pst_secret" || made.GetKey().GetName() != keyName || made.GetKey().GetState() != posternv1.Key_STATE_ACTIVE {
		t.Errorf("%v, %v", made, err)
	}
	got, err := client.GetKey(ctx, &posternv1.GetKeyRequest{Name: keyName})
	if err != nil || got.GetDetail() != posternv1.Key_DETAIL_STEPS || got.GetRevokeTime() != nil || got.GetLastUseTime() != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := client.RevokeKey(ctx, &posternv1.RevokeKeyRequest{Name: keyName, RequestId: "r", Reason: "why"}); err != nil {
		t.Error(err)
	}
	tested, err := posternv1.NewEventServiceClient(w.dial(t)).EmitTestEvent(ctx, &posternv1.EmitTestEventRequest{Parent: "organizations/acme", RequestId: "r", Note: "n"})
	if err != nil || tested.GetName() != "organizations/acme/events/01a1f978-943e-7920-8f8e-7940ce086d5e" {
		t.Errorf("%v, %v", tested, err)
	}
	want := []any{
		apikey.NewKey{Organization: "acme", DisplayName: "collector", Role: apikey.RoleAuditor, Detail: apikey.DetailSteps, Expires: until, RequestID: "r"},
		apikey.ID{0xab}, apikey.Revocation{Organization: "acme", ID: apikey.ID{0xab}, RequestID: "r", Reason: "why"},
		apikey.TestEvent{Organization: "acme", RequestID: "r", Note: "n"},
	}
	for i := range want {
		if k.calls[i] != want[i] {
			t.Errorf("call %d: %+v, want %+v", i, k.calls[i], want[i])
		}
		if i != 1 && !strings.HasPrefix(k.who[i], "unix:") {
			t.Errorf("call %d by %q", i, k.who[i])
		}
	}
}

func TestWhatIsNoKeyReachesNoUseCase(t *testing.T) {
	k, w, client := keyClient(t)
	for name, change := range map[string]func(*posternv1.CreateKeyRequest){
		"no organization": func(r *posternv1.CreateKeyRequest) { r.Parent = "" }, "another parent": func(r *posternv1.CreateKeyRequest) { r.Parent = keyName },
		"no name": func(r *posternv1.CreateKeyRequest) { r.DisplayName = "" }, "a control": func(r *posternv1.CreateKeyRequest) { r.DisplayName = "a\x00" },
		"a long name": func(r *posternv1.CreateKeyRequest) { r.DisplayName = strings.Repeat("n", 129) }, "no role": func(r *posternv1.CreateKeyRequest) { r.Role = 0 },
		"an unknown role": func(r *posternv1.CreateKeyRequest) { r.Role = 7 }, "an unknown detail": func(r *posternv1.CreateKeyRequest) { r.Detail = 7 },
		"no end": func(r *posternv1.CreateKeyRequest) { r.ExpireTime = nil }, "a time that is none": func(r *posternv1.CreateKeyRequest) { r.ExpireTime = &timestamppb.Timestamp{Nanos: -1} },
		"no request id": func(r *posternv1.CreateKeyRequest) { r.RequestId = "" }, "a request id with a space": func(r *posternv1.CreateKeyRequest) { r.RequestId = "a b" },
	} {
		r := &posternv1.CreateKeyRequest{Parent: "organizations/acme", DisplayName: "n", Role: posternv1.Key_ROLE_AUDITOR, ExpireTime: timestamppb.Now(), RequestId: "r"}
		change(r)
		if _, err := client.CreateKey(testContext(t), r); err == nil || !strings.Contains(err.Error(), "InvalidArgument") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, bad := range []string{"", "organizations/acme/keys/AB00000000000000", "organizations/acme/keys/ab", "organizations/acme/sites/ab00000000000000"} {
		if _, err := client.GetKey(testContext(t), &posternv1.GetKeyRequest{Name: bad}); err == nil {
			t.Errorf("%q was read", bad)
		}
		if _, err := client.RevokeKey(testContext(t), &posternv1.RevokeKeyRequest{Name: bad, RequestId: "r"}); err == nil {
			t.Errorf("%q was revoked", bad)
		}
	}
	if len(k.calls) != 0 {
		t.Errorf("%v", k.calls)
	}
	_, err := posternv1.NewEventServiceClient(newWorld(t, nil).dial(t)).EmitTestEvent(testContext(t), &posternv1.EmitTestEventRequest{Parent: "organizations/acme", RequestId: "r"})
	failed(t, err, "UNIMPLEMENTED", "METHOD_UNKNOWN_HERE")
	k.fail = errs.New(errs.ResourceExhausted, "API_KEY_LIMIT", "full")
	_, err = client.GetKey(testContext(t), &posternv1.GetKeyRequest{Name: keyName})
	failed(t, err, "RESOURCE_EXHAUSTED", "API_KEY_LIMIT")
	w.outbox.take()
}

func TestPagesOfKeysHoldEachOnce(t *testing.T) {
	k, _, client := keyClient(t)
	for i := range 7 {
		k.all = append(k.all, apikey.Key{ID: apikey.ID{0, byte(i)}})
	}
	ctx := testContext(t)
	var names []string
	token := ""
	for range 10 {
		page, err := client.ListKeys(ctx, &posternv1.ListKeysRequest{Parent: "organizations/acme", PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range page.GetKeys() {
			names = append(names, x.GetName())
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
		_, err = client.ListKeys(ctx, &posternv1.ListKeysRequest{Parent: "organizations/other", PageToken: token})
		failed(t, err, "INVALID_ARGUMENT", "TOKEN_INVALID")
	}
	if len(names) != 7 || names[0] != "organizations/acme/keys/0000000000000000" {
		t.Errorf("%v", names)
	}
}
