package policy

import (
	"slices"

	"github.com/postern-audit/postern/audit"
)

// missing names the moves that meet what a measurement found unmet, each once.
func missing(m *measured, d *Demands, in *Input) []Next {
	var next []Next
	fresh := func(n Next) bool { return n.Method != audit.MethodSession }
	if !proven(in.Shown) {
		return methodMoves(d, in.Organization)
	}
	for i := range m.n {
		demand := &m.list[i]
		if demand.Met {
			continue
		}
		switch demand.Kind {
		case DemandMethod:
			next = join(next, methodMoves(d, in.Organization), nil)
		case DemandSSO, DemandEvidence:
			next = join(next, []Next{move(audit.MethodSSO, d.SSOConnection)}, nil)
		case DemandMFA:
			if !m.grace {
				next = factorMoves(next, d, in.Enrolment)
			}
		case DemandReverification, DemandSessionLength:
			next = join(next, methodMoves(d, in.Organization), fresh)
		}
	}
	return next
}

// join appends moves that keep accepts and that are not there yet.
func join(list, more []Next, keep func(Next) bool) []Next {
	for _, n := range more {
		known := slices.ContainsFunc(list, func(have Next) bool {
			return have.Method == n.Method && have.Connection == n.Connection && have.Factor == n.Factor
		})
		if !known && (keep == nil || keep(n)) {
			list = append(list, n)
		}
	}
	return list
}

// methodMoves lists the methods that d allows. social and sso stand once for each connection that is not disabled. API
// tokens are not a move of a sign-in; a session is none where it could not meet what is demanded.
func methodMoves(d *Demands, org *Organization) []Next {
	if d.SSOConnection != "" {
		return []Next{move(audit.MethodSSO, d.SSOConnection)}
	}
	tokens := d.Methods
	if tokens == nil {
		tokens = allMethods
	}
	next := make([]Next, 0, len(tokens)+2)
	for _, token := range tokens {
		method, connection := splitToken(token)
		switch {
		case method == audit.MethodToken, method == audit.MethodSession && d.Reverify > 0:
		case connection != "":
			if c := findConnection(org, connection); c == nil || !c.Disabled {
				next = join(next, []Next{move(method, connection)}, nil)
			}
		case method == audit.MethodSocial || method == audit.MethodSSO:
			next = join(next, throughConnections(method, org), nil)
		default:
			next = join(next, []Next{move(method, "")}, nil)
		}
	}
	return next
}

var allMethods = audit.Methods()

func throughConnections(method string, org *Organization) []Next {
	kind := ConnectionSocial
	if method == audit.MethodSSO {
		kind = ConnectionSSO
	}
	var next []Next
	any := false
	if org != nil {
		for i := range org.Connections {
			if c := &org.Connections[i]; c.Kind == kind {
				any = true
				if !c.Disabled {
					next = append(next, move(method, c.ID))
				}
			}
		}
	}
	if !any {
		next = append(next, move(method, ""))
	}
	return next
}

func move(method, connection string) Next {
	return Next{Method: method, Connection: connection, StepType: stepType(method)}
}

// stepType is the type to report when a method worked.
func stepType(method string) audit.Type {
	switch method {
	case audit.MethodPassword:
		return audit.TypePasswordVerified
	case audit.MethodSocial:
		return audit.TypeSocialVerified
	case audit.MethodSSO:
		return audit.TypeSSOVerified
	case audit.MethodSession:
		return audit.TypeSessionReused
	case audit.MethodMFA:
		return audit.TypeMFAVerified
	}
	return audit.TypePasswordlessVerified
}

// factorMoves appends the factors that meet d's MFA demand.
func factorMoves(next []Next, d *Demands, e Enrolment) []Next {
	factors := d.MFA.Factors
	if factors == nil {
		factors = ownFactors
	}
	next = slices.Grow(next, len(factors)+1)
	for _, factor := range factors {
		n := Next{Method: audit.MethodMFA, Factor: factor, StepType: audit.TypeMFAVerified}
		n.Enrolled = e.has(factor)
		next = join(next, []Next{n}, nil)
	}
	if d.MFA.AcceptPartner {
		next = join(next, []Next{{Method: audit.MethodMFA, Factor: audit.FactorPartner, StepType: audit.TypeMFAVerified}}, nil)
	}
	return next
}

// has says whether the subject has a factor, nil when that is not known: of factors the login service checks, only what is
// listed is known.
func (e *Enrolment) has(factor string) *bool {
	has := e.Known && slices.Contains(e.Factors, factor)
	if !has && (!e.Known || factor != audit.FactorTOTP && factor != audit.FactorRecoveryCode) {
		return nil
	}
	return &has
}

// ownFactors are the factors a subject proves here; PARTNER is somebody else's.
var ownFactors = []string{audit.FactorTOTP, audit.FactorEmailOTP, audit.FactorSMS, audit.FactorPush, audit.FactorWebAuthn, audit.FactorRecoveryCode}

func findConnection(org *Organization, id string) *Connection {
	if org == nil {
		return nil
	}
	for i := range org.Connections {
		if org.Connections[i].ID == id {
			return &org.Connections[i]
		}
	}
	return nil
}
