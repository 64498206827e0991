package idptest

// assertionMark is where the assertions go.
const assertionMark = "<!--assertion-->"

const responseTemplate = `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ` +
	`ID="{{x .ID}}" Version="{{.Version}}" IssueInstant="{{at .IssueInstant}}"` +
	`{{if call .Has "Destination"}} Destination="{{x .Destination}}"{{end}}{{if .InResponseTo}} InResponseTo="{{x .InResponseTo}}"{{end}}>` +
	`<saml:Issuer>{{x .Issuer}}</saml:Issuer>` +
	`<samlp:Status><samlp:StatusCode Value="{{.Status}}">{{if .SubStatus}}<samlp:StatusCode Value="{{.SubStatus}}"></samlp:StatusCode>{{end}}` +
	`</samlp:StatusCode>{{if .Message}}<samlp:StatusMessage>{{x .Message}}</samlp:StatusMessage>{{end}}</samlp:Status>` +
	assertionMark + `</samlp:Response>`

// The assertion names all its prefixes itself, so that it can be signed on its own and put into any response.
const assertionTemplate = `<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="{{x .AssertionID}}" Version="{{.Version}}" ` +
	`IssueInstant="{{at .IssueInstant}}"><saml:Issuer>{{x .Issuer}}</saml:Issuer>` +
	`<saml:Subject>{{if call .Has "Subject"}}<saml:NameID Format="{{x .NameIDFormat}}">{{.NameIDInside}}</saml:NameID>{{end}}` +
	`<saml:SubjectConfirmation Method="{{.Method}}"><saml:SubjectConfirmationData NotOnOrAfter="{{at .NotOnOrAfter}}" Recipient="{{x .Recipient}}"` +
	`{{if .InResponseTo}} InResponseTo="{{x .InResponseTo}}"{{end}}></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>` +
	`{{if call .Has "Conditions"}}<saml:Conditions NotBefore="{{at .NotBefore}}" NotOnOrAfter="{{at .NotOnOrAfter}}">` +
	`{{if call .Has "Audience"}}<saml:AudienceRestriction>{{range .Audience}}<saml:Audience>{{x .}}</saml:Audience>{{end}}</saml:AudienceRestriction>{{end}}` +
	`{{if call .Has "UnknownCondition"}}<saml:Condition xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:t="urn:example:terms" ` +
	`xsi:type="t:OnlyOnMondays"></saml:Condition>{{end}}</saml:Conditions>{{end}}` +
	`{{if call .Has "AuthnStatement"}}<saml:AuthnStatement AuthnInstant="{{at .AuthnInstant}}" SessionIndex="{{x .SessionIndex}}"` +
	`{{if not .SessionNotOnOrAfter.IsZero}} SessionNotOnOrAfter="{{at .SessionNotOnOrAfter}}"{{end}}><saml:AuthnContext>` +
	`<saml:AuthnContextClassRef>{{x .AuthnContext}}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>{{end}}` +
	`{{if .Attributes}}<saml:AttributeStatement>{{range $name, $value := .Attributes}}` +
	`<saml:Attribute Name="{{x $name}}" NameFormat="urn:oasis:names:tc:SAML:2.0:attrname-format:uri">` +
	`<saml:AttributeValue>{{x $value}}</saml:AttributeValue></saml:Attribute>{{end}}</saml:AttributeStatement>{{end}}</saml:Assertion>`

const metadataTemplate = `<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="{{.ID}}" entityID="{{x .EntityID}}" ` +
	`validUntil="{{at .ValidUntil}}"><md:IDPSSODescriptor WantAuthnRequestsSigned="{{.Signed}}" ` +
	`protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">` +
	`{{range .Certificates}}<md:KeyDescriptor use="signing"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data>` +
	`<ds:X509Certificate>{{.}}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{{end}}` +
	`<md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>` +
	`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="{{x .SSO}}"></md:SingleSignOnService>` +
	`<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{{x .SSO}}"></md:SingleSignOnService>` +
	`</md:IDPSSODescriptor></md:EntityDescriptor>`
