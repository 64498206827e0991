// An OpenID provider: npm oidc-provider with the login and consent pages it brings for development. Any user name is an account.
import { Provider } from 'oidc-provider';
import { exportJWK, generateKeyPair } from 'jose';
import { listen, settings } from './common.mjs';

// A key of its own for each algorithm: ID tokens are signed with the one the client is registered for.
const keys = await Promise.all(['RS256', 'PS256', 'ES256', 'Ed25519'].map(async (alg) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  return { ...await exportJWK(privateKey), kid: `of-${alg}`, use: 'sig', alg: alg === 'Ed25519' ? 'EdDSA' : alg };
}));

await listen((issuer) => {
  const provider = new Provider(issuer, {
    clients: [settings.client],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    jwks: { keys },
    cookies: { keys: [settings.cookieKey] },
    claims: { openid: ['sub', 'auth_time'], email: ['email', 'email_verified'], profile: ['name'] },
    conformIdTokenClaims: false, // e-mail and name in the ID token, not only from userinfo
    pkce: { required: () => true },
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    features: { devInteractions: { enabled: true } },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: settings.user.email, email_verified: true, name: settings.user.name }),
    }),
  });
  for (const event of ['server_error', 'grant.error', 'authorization.error', 'jwks.error', 'discovery.error']) {
    provider.on(event, (_ctx, error) => console.error(event, error));
  }
  return provider.callback();
});
