package policy

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-audit/postern/audit"
)

// Stamp is a version that cannot come back: eight bytes of counter, big-endian, and eight random bytes of the commit that
// wrote it. The zero Stamp means "does not exist".
type Stamp [16]byte

// IsZero reports whether s stands for nothing stored.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// Organization is the policy record: everything about an organization but its domains and claims. It is cached whole and
// never changed in place.
type Organization struct {
	UID         string
	ID          string
	DisplayName string
	Disabled    bool
	// Sandbox says that it is for trying things out: it works fully, and its events say so.
	Sandbox bool
	// Deleted is when the organization was deleted; zero: it was not. A deleted one has nothing but its key and its counters: nobody
	// signs in, nothing can be changed, and its id may be another one's.
	Deleted     time.Time
	Revision    int64 // of the directory
	Stamp       Stamp // of the directory: the etag
	PolicyStamp Stamp // of rules, stops, sites, connections and switches
	Created     time.Time
	Updated     time.Time
	Sites       []Site
	Connections []Connection
	Policy      Policy
	// ProofsNotBefore makes older proofs count nowhere in the organization; zero: no bound. It is part of what the policy
	// stamp covers, so that it binds at the next call.
	ProofsNotBefore time.Time
	// SuspendedUntil is when a suspension ends: before it no rule is enforced and nothing is demanded, while stops still bite.
	// Zero, or past: there is none. It moves the policy stamp.
	SuspendedUntil time.Time
	Unreadable     bool // the policy's stored form could not be read; Policy is empty
	// AllowUnreadable is the organization's choice for an unreadable policy, kept apart from the policy itself.
	AllowUnreadable bool
	Key             audit.OrganizationKey
	// Retention says how long its record is kept, and Privacy what its record keeps of people, where a site does not say otherwise.
	Retention Retention
	Privacy   audit.Privacy
}

// Site is one place where people sign in.
type Site struct {
	ID                 string
	UID                string
	DisplayName        string
	Hostnames          []string
	Disabled           bool
	TrustsAccountEmail bool
	Origin             audit.Origin
	ProofsNotBefore    time.Time // makes older proofs count no more at this site; zero: no bound
	// Privacy is what the record keeps of people who sign in here; what it does not give is its organization's to say.
	Privacy audit.Privacy
	// Region is where its record may be kept; empty: anywhere.
	Region string
}

// ConnectionKind says what a connection is for. Numbers equal posternv1.Connection_Kind.
type ConnectionKind uint8

// The kinds of connection.
const (
	ConnectionSocial ConnectionKind = 1
	ConnectionSSO    ConnectionKind = 2
)

// Protocol says how a connection speaks. Numbers equal posternv1.Connection_Protocol.
type Protocol uint8

// The protocols.
const (
	ProtocolNone Protocol = 0
	ProtocolOIDC Protocol = 1
	ProtocolSAML Protocol = 2
)

// Connection is a configured way to sign in elsewhere.
type Connection struct {
	ID          string
	UID         string
	DisplayName string
	Kind        ConnectionKind
	Protocol    Protocol
	Disabled    bool
	Origin      audit.Origin
	// How it is verified here. With neither OIDC nor SAML nothing can be: the login service runs it and asserts what came of it.
	Preset string // google, microsoft, apple, github or slack; "" for none
	OIDC   *OIDC
	SAML   *SAML
	// Domains are the e-mail domains it may speak for; empty: any. An identity with an e-mail elsewhere is refused.
	Domains []DomainMatch
	// TrustsEmail says that the provider's e-mails within Domains are the organization's own and count as verified although the
	// provider does not say so. It needs Domains.
	TrustsEmail bool
	// LinksByEmail lets an identity with a verified e-mail be linked to an account that exists without a proof of the account.
	LinksByEmail bool
	// SecretUpdated is when the secret of OIDC or SAML was set; zero: there is none.
	SecretUpdated time.Time
}

// OIDC is how an OpenID Connect provider is spoken to, or with the preset github OAuth 2.0 and its user API.
type OIDC struct {
	Issuer   string // https URL without query and fragment
	ClientID string
	// The endpoints; an empty one comes from discovery.
	AuthorizationEndpoint string
	TokenEndpoint         string
	UserinfoEndpoint      string // used by the preset github alone
	JWKSURI               string
	ClientAuth            string // client_secret_basic (also when empty), client_secret_post, private_key_jwt or none
	// Secret is the client secret, or with private_key_jwt the private key as PEM, sealed under the organization's key for this
	// connection; empty: there is none yet.
	Secret            []byte
	KeyID             string // kid of private_key_jwt
	Scopes            []string
	Algorithms        []string // of ID tokens; empty: RS256, PS256, ES256, EdDSA
	RedirectURIs      []string // of the login service; the first is the one taken when none is named
	Audiences         []string // allowed beside ClientID
	AuthorizedParties []string // allowed as azp beside ClientID
	ACRValues         []string // asked for
	Tenant            string   // tenant id (microsoft) or hosted domain (google) an identity must name; "": any
}

// SAML is how a SAML identity provider is spoken to.
type SAML struct {
	EntityID     string   // of the provider
	RedirectURL  string   // its single sign-on service for HTTP-Redirect; "": there is none
	PostURL      string   // the same for HTTP-POST
	Certificates [][]byte // DER; any may sign
	// MetadataURL keeps the three above up to date from the provider's own metadata, which must name EntityID.
	MetadataURL         string
	MetadataCertificate []byte   // DER; who must have signed that metadata; empty: nobody
	SPEntityID          string   // ours
	ACSURLs             []string // of the login service; the first is the one taken when none is named
	SignsRequests       bool
	// Key is the private key that signs requests and opens encrypted assertions, as PEM with its certificate, sealed under the
	// organization's key for this connection; empty: there is none yet.
	Key                   []byte
	AllowsUnsolicited     bool
	ResponseSignatureOnly bool // a signed response is enough, its assertion need not be signed itself
	AllowsEncryption      bool
	AllowsPrefixLists     bool   // signatures may keep namespaces by a list of prefixes
	NameIDFormat          string // asked for; "": unspecified
	EmailAttribute        string // attribute the e-mail comes from; "": the NameID when it is of format emailAddress
	NameAttribute         string
	RequestedContexts     []string // AuthnContextClassRef asked for
}

// Mode says whether a rule bites. Numbers equal posternv1.Mode.
type Mode uint8

// The modes.
const (
	ModeEnforce    Mode = 1
	ModeReportOnly Mode = 2
)

// Policy is an external-user policy: rules in order, a default, and stops.
type Policy struct {
	Rules         []Rule
	Default       Demands
	Stops         Stops
	AccountLists  []AccountList
	RecordClasses []audit.Class // recorded besides EXTERNAL
}

// Rule is one rule. It matches when every given condition holds.
type Rule struct {
	ID             string
	Description    string
	Match          Match
	Demands        Demands
	Mode           Mode
	EnforceFrom    time.Time // zero: always
	ExpiresAt      time.Time // zero: never
	EnrolmentGrace time.Duration
	Message        string
	HelpURL        string
	Origin         audit.Origin
}

// AccountKey is the keyed hash under which an account id or an address is known to an organization's claims and lists.
type AccountKey [16]byte

// Match lists conditions; an empty list is no condition. Values within one list are alternatives.
type Match struct {
	Domains      []DomainMatch
	Accounts     []AccountKey
	AccountLists []string
	Kinds        []audit.SubjectKind
	Sites        []string
	Networks     []netip.Prefix
	Connections  []string
}

// DomainMatch is one e-mail domain, with or without its subdomains.
type DomainMatch struct {
	Domain     Domain
	Subdomains bool
}

// AccountList is a named list of accounts.
type AccountList struct {
	Name     string
	Accounts []AccountKey
	// Expiries are about those of Accounts that are on the list only for a time, sorted by account, each once.
	Expiries []AccountExpiry
}

// AccountExpiry says when an account leaves a list.
type AccountExpiry struct {
	Account AccountKey
	At      time.Time // the first moment at which it is not on the list
}

// Expires returns when an account leaves the list by itself, the zero time for never.
func (l *AccountList) Expires(k AccountKey) time.Time {
	i, found := slices.BinarySearchFunc(l.Expiries, k, func(e AccountExpiry, k AccountKey) int { return bytes.Compare(e.Account[:], k[:]) })
	if !found {
		return time.Time{}
	}
	return l.Expiries[i].At
}

// holds reports whether an account is on the list at a moment; expired, that it was.
func (l *AccountList) holds(k AccountKey, now time.Time) (on, expired bool) {
	if k == (AccountKey{}) || !slices.Contains(l.Accounts, k) {
		return false, false
	}
	at := l.Expires(k)
	on = at.IsZero() || now.Before(at)
	return on, !on
}

// Demands is what a rule asks for. A zero field is not demanded.
type Demands struct {
	Methods       []string // method tokens, "sso:NAME" and "social:NAME" included; nil: all
	SSOConnection string
	SSOEvidence   audit.Evidence // unspecified: VERIFIED
	MFA           *MFADemand
	Reverify      time.Duration
	SessionLength time.Duration
	Block         bool
}

// MFADemand asks for a second factor.
type MFADemand struct {
	Factors       []string // nil: any
	MaxAge        time.Duration
	AcceptPartner bool
	PartnerACR    []string
	Evidence      audit.Evidence // unspecified: VERIFIED for TOTP, ASSERTED for the rest
}

// Stops refuse at once, whatever the rules say, and are decided again at every call.
type Stops struct {
	External bool
	Domains  []DomainMatch
	Networks []netip.Prefix
}

// DomainRecord is one verified domain of an organization.
type DomainRecord struct {
	Domain     Domain
	Subdomains bool
	VerifiedBy string // VerifiedByOperator or VerifiedByDNS
	Revision   int64
	Origin     audit.Origin
	Stale      bool      // its zone does not show the record any more: it still counts, and what rests on it says so
	DNSSEC     bool      // the zone's answer was authenticated
	Verified   time.Time // when its zone first showed the record; zero: no zone did
}

// ClaimKind says what a claim names.
type ClaimKind string

// The kinds of claim.
const (
	ClaimAccount ClaimKind = "ACCOUNT"
	ClaimAddress ClaimKind = "ADDRESS"
)

// ClaimRecord is one claimed account or address of an organization.
type ClaimRecord struct {
	Key      AccountKey
	Kind     ClaimKind
	Revision int64
	Origin   audit.Origin
	Created  time.Time // zero: older than this field, or not asked for
	// Personal is what is claimed and a note about it, sealed for the key in hex. Nil when it is older than this field, or was not asked
	// for: what decides about sign-ins never needs it.
	Personal *audit.Sealed
}
