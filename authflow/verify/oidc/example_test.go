package oidc_test

import (
	"context"
	"fmt"

	"github.com/postern-audit/postern/authflow/verify/oidc"
	"github.com/postern-audit/postern/authflow/verify/oidc/oidctest"
)

func ExampleVerify() {
	keys, err := oidc.ParseKeys(oidctest.JWKS())
	if err != nil {
		fmt.Println(err)
		return
	}
	token := in.Sign(oidctest.Token{})
	id, err := oidc.Verify(context.Background(), []byte(token), in.Expect(), keys, in.Now)
	fmt.Println(id.Issuer, id.ID, id.Email, id.EmailVerified, err)

	token = in.Sign(oidctest.Token{Claims: oidctest.M{"aud": "blog"}})
	_, err = oidc.Verify(context.Background(), []byte(token), in.Expect(), keys, in.Now)
	fmt.Println(err)
	// Output:
	// https://id.example.com/realm 248289761001 jane@example.com true <nil>
	// federation: AUDIENCE_MISMATCH: aud is ["blog"], without "wiki"
}
