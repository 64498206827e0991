package codec_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/audit/codec"
	"github.com/postern-audit/postern/internal/errs"
	storev1 "github.com/postern-audit/postern/proto/gen/go/postern/store/v1"
)

// generated is what an event brings, filled into the generated message.
func generated(d *audit.DirectoryWrite) *storev1.DirectoryWrite {
	if d == nil {
		return nil
	}
	m := &storev1.DirectoryWrite{Organization: d.Organization, BackTo: d.BackTo}
	for _, item := range d.Items {
		one := &storev1.DirectoryItem{Record: item.Record}
		if name, ok := item.Key.Domain(); ok {
			one.Key = &storev1.DirectoryItem_Domain{Domain: name}
		} else if hash, ok := item.Key.Claim(); ok {
			one.Key = &storev1.DirectoryItem_Claim{Claim: []byte(hash)}
		}
		m.Items = append(m.Items, one)
	}
	return m
}

func TestWhatAnEventBringsSurvivesTheRecordAlone(t *testing.T) {
	c, _ := newCodec(t)
	large := &audit.DirectoryWrite{Organization: bytes.Repeat([]byte{0xff}, 256<<10)}
	for i := range 500 {
		large.Items = append(large.Items, audit.DirectoryItem{Key: audit.ClaimKey([]byte{byte(i), byte(i >> 8)}), Record: []byte{1}})
	}
	for name, want := range map[string]*audit.DirectoryWrite{
		"nothing":                   nil,
		"a commit":                  {},
		"a store that was set back": {BackTo: 7},
		"a record":                  {Organization: []byte{1, 0, 2}},
		"items": {Items: []audit.DirectoryItem{{Key: audit.DomainKey("a.example"), Record: []byte{1}}, {Key: audit.DomainKey("a.example")},
			{Key: audit.ClaimKey([]byte("a.example"))}}},
		"as much as a commit writes": large,
	} {
		b, err := c.Encode(&audit.Event{ID: "e", OrganizationUID: organization, Directory: want})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := c.Decode(b)
		if err != nil || !reflect.DeepEqual(got.Directory, want) {
			t.Errorf("%s: got %+v, %v", name, got.Directory, err)
		}
	}
}

func TestAnItemWithoutANameIsNoRecord(t *testing.T) {
	c, _ := newCodec(t)
	for _, key := range []audit.DirectoryKey{"", "d", "c", "xname", audit.DomainKey("\xff")} {
		_, err := c.Encode(&audit.Event{Directory: &audit.DirectoryWrite{Items: []audit.DirectoryItem{{Key: key}}}})
		if !errs.Is(err, "RECORD_TEXT") {
			t.Errorf("key %q: %v", key, err)
		}
	}
	for name, item := range map[string]*storev1.DirectoryItem{
		"none": {}, "empty domain": {Key: &storev1.DirectoryItem_Domain{}}, "empty claim": {Key: &storev1.DirectoryItem_Claim{}},
	} {
		b, err := proto.Marshal(&storev1.EventRecord{Event: codec.ToProto(&audit.Event{ID: "e"}), Directory: &storev1.DirectoryWrite{Items: []*storev1.DirectoryItem{item}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Decode(append([]byte{codec.Format}, b...)); !errs.Is(err, "RECORD_MALFORMED") || !strings.Contains(err.Error(), "name") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
