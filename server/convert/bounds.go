package convert

import (
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/server/names"
)

// Limits of requests.
const (
	maxEmail     = 320
	maxAccountID = 128
	maxValues    = 50 // of a list in a filter
	maxDocument  = 1 << 20
	maxPageToken = 512
	DefaultPage  = 100
	MaxPage      = 1000
)

// Bounds is the bound of every field of every request message, by full name. The walker compiles it at start-up; a test walks
// the messages and tries each bound.
func Bounds() map[protoreflect.FullName]Bound {
	out := map[protoreflect.FullName]Bound{}
	for _, group := range []map[string]Bound{signIn(), steps(), factors(), access(), federation(), queries(), subjectLists(), eventFilters(), savedFilters(), exports(), erasures(), directory(), connections(), domains(), policies(), resources(), simulations(), accounts(), keys()} {
		for name, b := range group {
			out[protoreflect.FullName("postern.v1."+name)] = b
		}
	}
	return out
}

func name() Bound {
	return token(names.Longest, "a resource name", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '/' })
	})
}

func requestID() Bound {
	return token(64, "letters, digits, '.', '_' and '-'", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '.' || c == '_' || c == '-' })
	})
}

// id is the id of a site or connection.
func id() Bound { return token(63, "1 to 63 characters of a-z, 0-9 and inner hyphens", names.IsID) }

// upper is a reason or factor.
func upper() Bound {
	return token(64, "upper-case letters, digits and underscores", func(s string) bool {
		return every(s, func(c byte) bool { return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' })
	})
}

// lower is an event type, a family of them or a method token.
func lower(most int, extra string) Bound {
	return token(most, "lower-case letters, digits, '_' and '"+extra+"'", func(s string) bool {
		return every(s, func(c byte) bool {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
				return true
			}
			for i := range len(extra) {
				if c == extra[i] {
					return true
				}
			}
			return false
		})
	})
}

// opaque is a token this server made.
func opaque() Bound {
	return token(maxPageToken, "a token this server made", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' })
	})
}

// handle is a session's or token's, as the site knows it.
func handle() Bound { return octets(16, 512) }

func signIn() map[string]Bound {
	return map[string]Bound{
		"StartFlowRequest.parent":         name(),
		"StartFlowRequest.request_id":     requestID(),
		"StartFlowRequest.subject":        message(),
		"StartFlowRequest.context":        message(),
		"StartFlowRequest.correlation_id": text(128),
		"StartFlowRequest.lifetime":       span(time.Second, authflow.MaxLifetime), // the shortest one is a setting
		"StartFlowRequest.steps":          list(authflow.MaxSteps-2, message()),
		"StartFlowRequest.finish":         message(),
		"StartFlowRequest.occurred_at":    moment(),

		"ReportStepRequest.flow":       name(),
		"ReportStepRequest.request_id": requestID(),
		"ReportStepRequest.step":       message(),

		"FinishFlowRequest.flow":       name(),
		"FinishFlowRequest.request_id": requestID(),
		"FinishFlowRequest.finish":     message(),

		"RecordSessionRequest.parent":         name(),
		"RecordSessionRequest.request_id":     requestID(),
		"RecordSessionRequest.event":          enum(),
		"RecordSessionRequest.session_handle": handle(),
		"RecordSessionRequest.flow":           name(),
		"RecordSessionRequest.occurred_at":    moment(),
		"RecordSessionRequest.expires_at":     moment(),
		"RecordSessionRequest.context":        message(),
		"RecordSessionRequest.kind":           enum(),
		"RecordSessionRequest.end_cause":      enum(),
	}
}

func steps() map[string]Bound {
	return map[string]Bound{
		"Subject.account_id":     text(maxAccountID),
		"Subject.email":          text(maxEmail),
		"Subject.email_verified": flag(),
		"Subject.kind":           enum(),
		"Subject.display_name":   text(256),

		"Context.ip":         text(45),
		"Context.user_agent": text(512),
		"Context.device_id":  text(128),
		"Context.client":     enum(),

		"StepReport.type":             lower(64, "."),
		"StepReport.method":           lower(64, ""),
		"StepReport.connection":       id(),
		"StepReport.factor":           upper(),
		"StepReport.reason":           upper(),
		"StepReport.detail":           lines(512),
		"StepReport.subject":          message(),
		"StepReport.user_verified":    flag(),
		"StepReport.authenticated_at": moment(),
		"StepReport.context":          message(),
		"StepReport.occurred_at":      moment(),
		"StepReport.amr":              list(16, text(64)),
		"StepReport.acr":              text(256),
		"StepReport.session_handle":   handle(),

		"Finish.action":      enum(),
		"Finish.reason":      upper(),
		"Finish.detail":      lines(512),
		"Finish.occurred_at": moment(),
	}
}

func queries() map[string]Bound {
	return map[string]Bound{
		"GetFlowRequest.name":   name(),
		"WatchFlowRequest.name": name(),

		"ListFlowsRequest.parent":     name(),
		"ListFlowsRequest.filter":     message(),
		"ListFlowsRequest.page_size":  count(),
		"ListFlowsRequest.page_token": opaque(),

		"FlowFilter.start_time":    moment(),
		"FlowFilter.end_time":      moment(),
		"FlowFilter.sites":         list(maxValues, id()),
		"FlowFilter.emails":        list(maxValues, text(maxEmail)),
		"FlowFilter.account_ids":   list(maxValues, text(maxAccountID)),
		"FlowFilter.endings":       list(7, enum()),
		"FlowFilter.support_codes": list(maxValues, text(16)),

		"GetEventRequest.name": name(),

		"ListEventsRequest.parent":     name(),
		"ListEventsRequest.filter":     message(),
		"ListEventsRequest.order":      enum(),
		"ListEventsRequest.page_size":  count(),
		"ListEventsRequest.page_token": opaque(),

		"WatchEventsRequest.parent": name(),
		"WatchEventsRequest.filter": message(),
		"WatchEventsRequest.cursor": opaque(),
	}
}

func directory() map[string]Bound {
	return map[string]Bound{
		"ApplyOrganizationRequest.name":          name(),
		"ApplyOrganizationRequest.document":      lines(maxDocument),
		"ApplyOrganizationRequest.etag":          requestIDOf(64),
		"ApplyOrganizationRequest.request_id":    requestID(),
		"ApplyOrganizationRequest.validate_only": flag(),
		"ApplyOrganizationRequest.reason":        lines(512),
		"ApplyOrganizationRequest.force":         flag(),
		"ApplyOrganizationRequest.admin_email":   text(maxEmail),

		"ExportOrganizationRequest.name": name(),

		"GetOrganizationRequest.name": name(),

		"ListOrganizationsRequest.page_size":  count(),
		"ListOrganizationsRequest.page_token": opaque(),

		"ExplainRequest.site":       name(),
		"ExplainRequest.email":      text(maxEmail),
		"ExplainRequest.account_id": text(maxAccountID),
		"ExplainRequest.kind":       enum(),
		"ExplainRequest.context":    message(),
		"ExplainRequest.method":     lower(80, ":-"),
		"ExplainRequest.revision":   count(),
		"ExplainRequest.time":       moment(),
	}
}

// requestIDOf is a text of the characters of a request id.
func requestIDOf(most int) Bound {
	b := requestID()
	b.max = most
	return b
}
