package audit

import (
	"strconv"

	"github.com/postern-audit/postern/internal/errs"
)

// enumNames gives the documented name of each value of an enum, by number.
type enumNames []string

// name returns the name of value n; a number this process does not know (written by a newer one) reads as KIND_n.
func (names enumNames) name(kind string, n uint8) string {
	if int(n) < len(names) {
		return names[n]
	}
	return kind + "_" + strconv.Itoa(int(n))
}

// parse accepts exactly the documented names: upper case, no prefix, no surrounding space.
func (names enumNames) parse(kind, s string) (uint8, error) {
	for n, name := range names {
		if name == s {
			return uint8(n), nil
		}
	}
	return 0, errs.Newf(errs.Invalid, "ENUM_UNKNOWN", "not a %s; known are %s", kind, list(names[1:]))
}

var (
	classNames    = enumNames{"UNSPECIFIED", "UNDETERMINED", "EXTERNAL", "MANAGED", "CLAIMED"}
	evidenceNames = enumNames{"UNSPECIFIED", "ASSERTED", "VERIFIED"}
	verdictNames  = enumNames{"UNSPECIFIED", "CONTINUE", "ALLOW", "DENY"}
	endingNames   = enumNames{"NONE", "SUCCEEDED", "DENIED", "FAILED", "CANCELLED", "ABANDONED", "SUPERSEDED"}
	outcomeNames  = enumNames{"UNSPECIFIED", "INFO", "SUCCESS", "FAILURE"}
	clientNames   = enumNames{"UNSPECIFIED", "WEB", "MOBILE", "CLI", "API"}
	subjectNames  = enumNames{"UNSPECIFIED", "PERSON", "SERVICE", "APP"}
	originNames   = enumNames{"UNSPECIFIED", "DOCUMENT", "API"}
)

// String returns the documented name, such as EXTERNAL.
func (c Class) String() string { return classNames.name("CLASS", uint8(c)) }

// ParseClass is the reverse of Class.String.
func ParseClass(s string) (Class, error) {
	n, err := classNames.parse("class", s)
	return Class(n), err
}

// String returns the documented name, such as VERIFIED.
func (e Evidence) String() string { return evidenceNames.name("EVIDENCE", uint8(e)) }

// ParseEvidence is the reverse of Evidence.String.
func ParseEvidence(s string) (Evidence, error) {
	n, err := evidenceNames.parse("kind of evidence", s)
	return Evidence(n), err
}

// String returns the documented name, such as ALLOW.
func (v Verdict) String() string { return verdictNames.name("VERDICT", uint8(v)) }

// ParseVerdict is the reverse of Verdict.String.
func ParseVerdict(s string) (Verdict, error) {
	n, err := verdictNames.parse("verdict", s)
	return Verdict(n), err
}

// String returns the documented name, such as DENIED; NONE while the flow is live.
func (e Ending) String() string { return endingNames.name("ENDING", uint8(e)) }

// ParseEnding is the reverse of Ending.String.
func ParseEnding(s string) (Ending, error) {
	n, err := endingNames.parse("ending", s)
	return Ending(n), err
}

// String returns the documented name, such as FAILURE.
func (o Outcome) String() string { return outcomeNames.name("OUTCOME", uint8(o)) }

// ParseOutcome is the reverse of Outcome.String.
func ParseOutcome(s string) (Outcome, error) {
	n, err := outcomeNames.parse("outcome", s)
	return Outcome(n), err
}

// String returns the documented name, such as WEB.
func (c Client) String() string { return clientNames.name("CLIENT", uint8(c)) }

// ParseClient is the reverse of Client.String.
func ParseClient(s string) (Client, error) {
	n, err := clientNames.parse("kind of client", s)
	return Client(n), err
}

// String returns the documented name, such as PERSON.
func (k SubjectKind) String() string { return subjectNames.name("SUBJECT_KIND", uint8(k)) }

// ParseSubjectKind is the reverse of SubjectKind.String.
func ParseSubjectKind(s string) (SubjectKind, error) {
	n, err := subjectNames.parse("kind of subject", s)
	return SubjectKind(n), err
}

// String returns the documented name, such as DOCUMENT.
func (o Origin) String() string { return originNames.name("ORIGIN", uint8(o)) }

// ParseOrigin is the reverse of Origin.String.
func ParseOrigin(s string) (Origin, error) {
	n, err := originNames.parse("origin", s)
	return Origin(n), err
}
