package convert

import (
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/internal/errs"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
	"github.com/postern-audit/postern/savedfilter"
	"github.com/postern-audit/postern/server/names"
)

func savedFilters() map[string]Bound {
	return map[string]Bound{
		"SavedFilter.name":         name(),
		"SavedFilter.display_name": text(128),
		"SavedFilter.filter":       message(),
		"SavedFilter.create_time":  moment(),
		"SavedFilter.update_time":  moment(),
		"SavedFilter.creator":      text(maxCaller),
		"SavedFilter.etag":         requestIDOf(64),
		"SavedFilter.unreadable":   flag(),

		"CreateSavedFilterRequest.parent":          name(),
		"CreateSavedFilterRequest.saved_filter_id": id(),
		"CreateSavedFilterRequest.saved_filter":    message(),
		"CreateSavedFilterRequest.request_id":      requestID(),

		"GetSavedFilterRequest.name": name(),

		"ListSavedFiltersRequest.parent":     name(),
		"ListSavedFiltersRequest.page_size":  count(),
		"ListSavedFiltersRequest.page_token": opaque(),

		"UpdateSavedFilterRequest.saved_filter": message(),
		"UpdateSavedFilterRequest.etag":         requestIDOf(64),
		"UpdateSavedFilterRequest.request_id":   requestID(),

		"DeleteSavedFilterRequest.name":       name(),
		"DeleteSavedFilterRequest.etag":       requestIDOf(64),
		"DeleteSavedFilterRequest.request_id": requestID(),
	}
}

// CreateSavedFilter converts a filter to keep. The organization's uid is for the caller to find, and what the filter says for it to try:
// see Events.
func (c *Converter) CreateSavedFilter(r *posternv1.CreateSavedFilterRequest) (savedfilter.Input, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return savedfilter.Input{}, err
	}
	organization, err := names.Organization("parent", r.GetParent())
	switch {
	case err != nil:
		return savedfilter.Input{}, err
	case r.GetSavedFilterId() == "":
		return savedfilter.Input{}, required("saved_filter_id")
	}
	if err := only("saved_filter", r.GetSavedFilter().ProtoReflect(), "display_name", "filter"); err != nil {
		return savedfilter.Input{}, err
	}
	in := savedfilter.Input{Organization: savedfilter.Organization{ID: organization}, ID: r.GetSavedFilterId(), RequestID: r.GetRequestId()}
	return in, saved(r.GetSavedFilter(), &in)
}

// UpdateSavedFilter converts a filter that replaces one; see CreateSavedFilter.
func (c *Converter) UpdateSavedFilter(r *posternv1.UpdateSavedFilterRequest) (savedfilter.Input, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return savedfilter.Input{}, err
	}
	organization, id, err := names.SavedFilter("saved_filter.name", r.GetSavedFilter().GetName())
	if err != nil {
		return savedfilter.Input{}, err
	}
	in := savedfilter.Input{Organization: savedfilter.Organization{ID: organization}, ID: id, RequestID: r.GetRequestId(), Etag: r.GetEtag()}
	if in.Etag == "" {
		in.Etag = r.GetSavedFilter().GetEtag()
	}
	return in, saved(r.GetSavedFilter(), &in)
}

// saved converts what a saved filter says.
func saved(m *posternv1.SavedFilter, in *savedfilter.Input) error {
	switch {
	case m.GetDisplayName() == "":
		return required("saved_filter.display_name")
	case m.GetFilter().GetSavedFilter() != "":
		return errs.Field("saved_filter.filter.saved_filter", "FIELD_UNEXPECTED", "a saved filter does not name another one")
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(cloned(m.GetFilter()))
	if err != nil {
		return errs.Wrap(err, errs.Invalid, "REQUEST_MALFORMED", "a text in the filter is not UTF-8")
	}
	in.DisplayName, in.Content = m.GetDisplayName(), b
	return nil
}

// GetSavedFilter converts a request for one saved filter.
func (c *Converter) GetSavedFilter(r *posternv1.GetSavedFilterRequest) (organization, id string, err error) {
	if err := c.Check(r); err != nil {
		return "", "", err
	}
	return names.SavedFilter("name", r.GetName())
}

// DeleteSavedFilter converts a request to remove a saved filter; see CreateSavedFilter.
func (c *Converter) DeleteSavedFilter(r *posternv1.DeleteSavedFilterRequest) (savedfilter.Removal, error) {
	if err := c.mutation(r, r.GetRequestId()); err != nil {
		return savedfilter.Removal{}, err
	}
	organization, id, err := names.SavedFilter("name", r.GetName())
	return savedfilter.Removal{Organization: savedfilter.Organization{ID: organization}, ID: id, Etag: r.GetEtag(), RequestID: r.GetRequestId()}, err
}

// SavedFilter is a saved filter as answers show it.
func SavedFilter(organization string, f *savedfilter.Filter) (*posternv1.SavedFilter, error) {
	out := &posternv1.SavedFilter{
		Name: names.FormatSavedFilter(organization, f.ID), DisplayName: f.DisplayName, CreateTime: Timestamp(f.Created), UpdateTime: Timestamp(f.Updated),
		Creator: f.Creator, Etag: f.Etag(), Unreadable: f.Unreadable,
	}
	if f.Unreadable {
		return out, nil
	}
	var err error
	out.Filter, err = SavedContent(f.Content)
	return out, err
}

// SavedContent reads what a saved filter says.
func SavedContent(content []byte) (*posternv1.EventFilter, error) {
	var f posternv1.EventFilter
	if err := proto.Unmarshal(content, &f); err != nil {
		return nil, errs.Wrap(err, errs.Internal, "RECORD_MALFORMED", "a saved filter cannot be read")
	}
	return &f, nil
}

// DescribeSaved says field by field what a saved filter says, for the record: of what may be personal only how much there is.
func DescribeSaved(content []byte) map[string]string {
	f, err := SavedContent(content)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	describe("", f.ProtoReflect(), out)
	return out
}

// maxDescribed is how long the values of a list may be, together, to be told.
const maxDescribed = 256

// personal are the fields of a filter that are about people, or may be: free text is whatever somebody typed.
var personal = map[protoreflect.Name]bool{
	"emails": true, "account_ids": true, "networks": true, "email_domains": true, "display_names": true, "target_ids": true, "text": true,
}

func describe(prefix string, m protoreflect.Message, out map[string]string) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := prefix + string(fd.Name())
		switch {
		case fd.IsList():
			out[name] = listed(fd, v.List())
		case fd.Message() != nil && fd.Message().FullName() == "postern.v1.EventMatch":
			describe(name+".", v.Message(), out)
		case personal[fd.Name()]:
			out[name] = "given"
		default:
			out[name] = one(fd, v)
		}
		return true
	})
}

func listed(fd protoreflect.FieldDescriptor, l protoreflect.List) string {
	texts := make([]string, l.Len())
	for i := range texts {
		texts[i] = one(fd, l.Get(i))
	}
	all := strings.Join(texts, ", ")
	switch {
	case !personal[fd.Name()] && len(all) <= maxDescribed:
		return all
	case len(texts) == 1:
		return "1 value"
	}
	return strconv.Itoa(len(texts)) + " values"
}

func one(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	if fd.Enum() != nil {
		if d := fd.Enum().Values().ByNumber(v.Enum()); d != nil {
			return string(d.Name())
		}
	}
	if fd.Message() == nil {
		return v.String()
	}
	switch m := v.Message().Interface().(type) {
	case interface{ AsDuration() time.Duration }:
		return m.AsDuration().String()
	case interface{ AsTime() time.Time }:
		return m.AsTime().Format(time.RFC3339Nano)
	}
	return "given"
}
