package convert

import (
	"time"

	"github.com/postern-audit/postern/audit"
)

// Limits of what events are chosen and counted by.
const (
	maxText     = 200
	maxLast     = 3650 * 24 * time.Hour // the longest retention
	maxWord     = 64
	maxRuleName = 128
	maxTargetID = 256
	maxCaller   = 256
	maxName     = 256 // of a person
	maxZone     = 64
)

// eventFilters are the bounds of filters of events, of counts and of groups.
func eventFilters() map[string]Bound {
	return map[string]Bound{
		"EventFilter.start_time":   moment(),
		"EventFilter.end_time":     moment(),
		"EventFilter.include":      message(),
		"EventFilter.sandbox":      enum(),
		"EventFilter.exclude":      message(),
		"EventFilter.text":         text(maxText),
		"EventFilter.saved_filter": name(),
		"EventFilter.last":         span(time.Second, maxLast),

		"EventMatch.sites":         list(maxValues, id()),
		"EventMatch.emails":        list(maxValues, text(maxEmail)),
		"EventMatch.account_ids":   list(maxValues, text(maxAccountID)),
		"EventMatch.flows":         list(maxValues, text(36)),
		"EventMatch.types":         list(maxValues, lower(64, ".*")),
		"EventMatch.outcomes":      list(3, enum()),
		"EventMatch.connections":   list(maxValues, id()),
		"EventMatch.networks":      list(maxValues, text(49)),
		"EventMatch.reasons":       list(maxValues, upper()),
		"EventMatch.methods":       list(maxValues, lower(maxWord, "")),
		"EventMatch.factors":       list(maxValues, upper()),
		"EventMatch.classes":       list(4, enum()),
		"EventMatch.evidences":     list(2, enum()),
		"EventMatch.rules":         list(maxValues, text(maxRuleName)),
		"EventMatch.target_types":  list(maxValues, lower(maxWord, "-")),
		"EventMatch.target_ids":    list(maxValues, text(maxTargetID)),
		"EventMatch.support_codes": list(maxValues, text(16)),
		"EventMatch.callers":       list(maxValues, text(maxCaller)),
		"EventMatch.email_domains": list(maxValues, text(maxDomainText)),
		"EventMatch.display_names": list(maxValues, text(maxName)),

		"CountEventsRequest.parent": name(),
		"CountEventsRequest.filter": message(),
		"CountEventsRequest.fields": list(int(audit.FieldSite), enum()),
		"CountEventsRequest.limit":  count(),

		"GetEventHistogramRequest.parent":    name(),
		"GetEventHistogramRequest.filter":    message(),
		"GetEventHistogramRequest.step":      enum(),
		"GetEventHistogramRequest.time_zone": zone(),
		"GetEventHistogramRequest.bounds":    list(audit.MaxBounds, moment()),

		"GroupEventsRequest.parent":     name(),
		"GroupEventsRequest.filter":     message(),
		"GroupEventsRequest.group_by":   enum(),
		"GroupEventsRequest.page_size":  count(),
		"GroupEventsRequest.page_token": opaque(),
	}
}

// zone is a name of the time zone database.
func zone() Bound {
	return token(maxZone, "a time zone such as Europe/Berlin", func(s string) bool {
		return every(s, func(c byte) bool { return alphanumeric(c) || c == '/' || c == '_' || c == '-' || c == '+' })
	})
}
