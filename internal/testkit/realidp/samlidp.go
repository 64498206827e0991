package realidp

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlidp"
	dsig "github.com/russellhaering/goxmldsig"
	"golang.org/x/crypto/bcrypt"
)

const emailNameID = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

// loginPage is samlidp's, but sent back to where it came from: the original sends the password elsewhere and forgets the request.
const loginPage = `<p>{{.Toast}}</p><form method="post" action=""><input type="text" name="user"><input type="password" name="password">` +
	`<input type="hidden" name="SAMLRequest" value="{{.SAMLRequest}}"><input type="hidden" name="RelayState" value="{{.RelayState}}">` +
	`<input type="submit" value="Log In"></form>`

// StartSamlidp runs crewjam's samlidp on a server in this process; dir is not used. Its NameID is the user's e-mail.
func StartSamlidp(_ string, sp SP) (*SAML, error) {
	key, cert, err := newCertificate("samlidp of a test")
	if err != nil {
		return nil, err
	}
	user := newUser()
	store, err := storeFor(sp, user)
	if err != nil {
		return nil, err
	}
	page, err := template.New("login").Parse(loginPage)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	base, err := url.Parse(server.URL)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	out := &output{ready: make(chan string, 1)}
	idp, err := samlidp.New(samlidp.Options{
		URL: *base, Key: key, Certificate: cert, Store: store, LoginFormTemplate: page, Logger: slog.NewLogLogger(slog.NewTextHandler(out, nil), slog.LevelInfo),
	})
	if err != nil {
		server.Close()
		return nil, fmt.Errorf("realidp: samlidp: %w", err)
	}
	idp.IDP.SignatureMethod = dsig.RSASHA256SignatureMethod // else SHA-1
	idp.IDP.SessionProvider = emailSessions{idp}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil { // samlidp reads the form of a login in places where it has not parsed it
			idp.ServeHTTP(w, r)
		}
	})
	s := &SAML{
		SP: sp, User: user, EmailAttribute: "urn:oid:0.9.2342.19200300.100.1.3", NameAttribute: "urn:oid:2.5.4.3",
		unsolicited: server.URL + "/login/partner", log: out.String,
		stop: func() error { server.Close(); return nil },
	}
	return s.described(server.URL)
}

// emailSessions says what kind of name samlidp gives out: it is the e-mail, and samlidp would call it transient.
type emailSessions struct{ *samlidp.Server }

// GetSession implements saml.SessionProvider.
func (e emailSessions) GetSession(w http.ResponseWriter, r *http.Request, req *saml.IdpAuthnRequest) *saml.Session {
	session := e.Server.GetSession(w, r, req)
	if session != nil {
		session.NameIDFormat = emailNameID
	}
	return session
}

// storeFor is samlidp's database: one person, one service provider, one link that starts a sign-in.
func storeFor(sp SP, user User) (samlidp.Store, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(user.Password), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("realidp: %w", err)
	}
	given, surname, _ := strings.Cut(user.Name, " ")
	relay := UnsolicitedRelayState
	descriptor := saml.SPSSODescriptor{AssertionConsumerServices: []saml.IndexedEndpoint{{Binding: saml.HTTPPostBinding, Location: sp.ACSURL, Index: 1}}}
	if sp.Encrypts {
		descriptor.KeyDescriptors = []saml.KeyDescriptor{{Use: "encryption", KeyInfo: saml.KeyInfo{X509Data: saml.X509Data{
			X509Certificates: []saml.X509Certificate{{Data: base64.StdEncoding.EncodeToString(sp.Certificate)}},
		}}}}
	}
	store := &samlidp.MemoryStore{}
	for name, value := range map[string]any{
		"/users/" + user.Email: samlidp.User{
			Name: user.Email, HashedPassword: hash, Email: user.Email, CommonName: user.Name, GivenName: given, Surname: surname,
		},
		"/services/partner":  samlidp.Service{Name: "partner", Metadata: saml.EntityDescriptor{EntityID: sp.EntityID, SPSSODescriptors: []saml.SPSSODescriptor{descriptor}}},
		"/shortcuts/partner": samlidp.Shortcut{Name: "partner", ServiceProviderID: sp.EntityID, RelayState: &relay},
	} {
		if err := store.Put(name, value); err != nil {
			return nil, fmt.Errorf("realidp: samlidp: %w", err)
		}
	}
	return store, nil
}
