package idp

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"time"

	"github.com/postern-audit/postern/audit"
	"github.com/postern-audit/postern/authflow"
	"github.com/postern-audit/postern/authflow/federation"
	"github.com/postern-audit/postern/internal/secret"
)

// codeLife is how long a code of GitHub is kept as used. GitHub itself forgets it after ten minutes.
const codeLife = time.Hour

// githubAccount is what is read of the user API.
type githubAccount struct {
	ID    json.Number `json:"id"`
	Login string      `json:"login"`
	Name  string      `json:"name"`
}

// githubEmail is one address of an account.
type githubEmail struct {
	Email    string `json:"email"`
	Primary  bool   `json:"primary"`
	Verified bool   `json:"verified"`
}

// githubUser asks the user API who an access token is of. Only the primary address counts, when GitHub has verified it: the
// others, and the public one of the profile, are anybody's word. The account is its number: names are given away.
func (c *Client) githubUser(ctx context.Context, p *provider, access secret.String, code authflow.Code) (federation.Identity, error) {
	a, err := c.get(ctx, "the user API", p.userinfo, access.Reveal(), maxDocument)
	if err != nil {
		return federation.Identity{}, err
	}
	var account githubAccount
	if decode(a.body, &account) != nil {
		return federation.Identity{}, federation.Refuse(audit.ReasonIDPError, "the user API: the answer is not an account")
	}
	number, err := strconv.ParseInt(account.ID.String(), 10, 64)
	if err != nil || number <= 0 {
		return federation.Identity{}, federation.Refuse(audit.ReasonIDPError, "the user API: the account has no number")
	}
	if a, err = c.get(ctx, "the e-mail API", p.userinfo+"/emails", access.Reveal(), maxDocument); err != nil {
		return federation.Identity{}, err
	}
	var emails []githubEmail
	if decode(a.body, &emails) != nil {
		return federation.Identity{}, federation.Refuse(audit.ReasonIDPError, "the e-mail API: the answer is not a list of addresses")
	}
	id := federation.Identity{
		Issuer: p.issuer, ID: strconv.FormatInt(number, 10), Name: federation.Text(account.Name, maxWords),
		Issued: code.Now, Until: code.Now.Add(codeLife),
		Uses: []federation.Use{sha256.Sum256([]byte("oauth code\x00" + p.issuer + "\x00" + code.Code))}, Checks: []string{"code", "user_api"},
	}
	if id.Name == "" {
		id.Name = federation.Text(account.Login, maxWords)
	}
	for _, e := range emails {
		if e.Primary && e.Verified {
			id.Email, id.EmailVerified = e.Email, true
			break
		}
	}
	return id, nil
}
