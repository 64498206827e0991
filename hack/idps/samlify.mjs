// A SAML identity provider: npm samlify signs and reads the messages, the login page is ours.
import { randomBytes, timingSafeEqual } from 'node:crypto';
import samlify from 'samlify';
import { form, handOver, listen, login, page, settings } from './common.mjs';

const { sp: partner, user } = settings;
const bindings = { redirect: samlify.Constants.namespace.binding.redirect, post: samlify.Constants.namespace.binding.post };
const contextClass = 'urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport';

// samlify wants to be told how documents are checked against the schema; there is no schema here.
samlify.setSchemaValidator({ validate: async () => 'not validated' });

const sp = samlify.ServiceProvider({
  entityID: partner.entityID,
  assertionConsumerService: [{ Binding: bindings.post, Location: partner.acsURL }],
  authnRequestsSigned: Boolean(partner.signsRequests),
  signingCert: partner.certificate,
  encryptCert: partner.encrypts ? partner.certificate : undefined,
  wantAssertionsSigned: true,
  wantMessageSigned: Boolean(partner.signsResponse),
});

// requestOf takes the request out of a query or a form and checks its signature when it must have one.
async function requestOf(idp, binding, fields, url) {
  const raw = url.search.slice(1).split('&');
  const octetString = ['SAMLRequest', 'RelayState', 'SigAlg']
    .map((name) => raw.find((p) => p.startsWith(`${name}=`))).filter(Boolean).join('&');
  return idp.parseLoginRequest(sp, binding, { query: fields, body: fields, octetString });
}

await listen((base) => {
  const idp = samlify.IdentityProvider({
    entityID: `${base}/metadata`,
    privateKey: settings.key,
    signingCert: settings.certificate,
    isAssertionEncrypted: Boolean(partner.encrypts),
    dataEncryptionAlgorithm: 'http://www.w3.org/2009/xmlenc11#aes256-gcm',
    wantAuthnRequestsSigned: Boolean(partner.signsRequests),
    requestSignatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
    nameIDFormat: ['urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'],
    singleSignOnService: Object.values(bindings).map((Binding) => ({ Binding, Location: `${base}/sso` })),
    loginResponseTemplate: {
      context: samlify.SamlLib.defaultLoginResponseTemplate.context,
      attributes: [
        { name: 'mail', valueTag: 'email', nameFormat: 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic', valueXsiType: 'xs:string' },
        { name: 'displayName', valueTag: 'name', nameFormat: 'urn:oasis:names:tc:SAML:2.0:attrname-format:basic', valueXsiType: 'xs:string' },
      ],
    },
  });
  // Sign-ins that wait for their password, by a handle that the login page carries.
  const waiting = new Map();

  function ask(response, pending) {
    const handle = randomBytes(16).toString('hex');
    waiting.set(handle, pending);
    login(response, `${base}/login`, { handle }, pending.hint);
  }

  // fill puts this sign-in's values into samlify's template.
  const fill = (inResponseTo) => (template) => {
    const now = Date.now();
    const at = (seconds) => new Date(now + seconds * 1000).toISOString();
    const id = `_${randomBytes(16).toString('hex')}`;
    let context = template.replace('{AuthnStatement}', `<saml:AuthnStatement AuthnInstant="${at(0)}" SessionIndex="${id}">`
      + `<saml:AuthnContext><saml:AuthnContextClassRef>${contextClass}</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>`);
    if (!inResponseTo) context = context.replaceAll(' InResponseTo="{InResponseTo}"', '');
    context = samlify.SamlLib.replaceTagsByValue(context, {
      ID: id, AssertionID: `_${randomBytes(16).toString('hex')}`,
      Issuer: idp.entityMeta.getEntityID(), IssueInstant: at(0), InResponseTo: inResponseTo,
      Destination: partner.acsURL, SubjectRecipient: partner.acsURL, Audience: partner.entityID,
      StatusCode: 'urn:oasis:names:tc:SAML:2.0:status:Success',
      NameIDFormat: 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress', NameID: user.email,
      ConditionsNotBefore: at(-5), ConditionsNotOnOrAfter: at(300), SubjectConfirmationDataNotOnOrAfter: at(300),
      attrEmail: user.email, attrName: user.name,
    });
    return { id, context };
  };

  // declined is a response without assertion, for somebody who cancelled. A status is signed by few providers; this one does not.
  const declined = (inResponseTo) => Buffer.from('<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" '
    + `ID="_${randomBytes(16).toString('hex')}" Version="2.0" IssueInstant="${new Date().toISOString()}" `
    + `Destination="${partner.acsURL}" InResponseTo="${inResponseTo}">`
    + `<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">${idp.entityMeta.getEntityID()}</saml:Issuer>`
    + '<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder">'
    + '<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode>'
    + '<samlp:StatusMessage>the user cancelled</samlp:StatusMessage></samlp:Status></samlp:Response>').toString('base64');

  async function signIn(response, fields) {
    const pending = waiting.get(fields.handle);
    waiting.delete(fields.handle);
    if (!pending) return page(response, 400, 'This sign-in is over.');
    const relay = { RelayState: pending.relayState };
    if (fields.cancel) return handOver(response, partner.acsURL, { SAMLResponse: declined(pending.id), ...relay });
    const given = Buffer.from(fields.password ?? '');
    const right = Buffer.from(user.password);
    if (fields.user !== user.email || given.length !== right.length || !timingSafeEqual(given, right)) {
      return ask(response, { ...pending, hint: 'User name or password is wrong.' });
    }
    const { context } = await idp.createLoginResponse(sp, { extract: { request: { id: pending.id } } }, 'post',
      { email: user.email }, {
        customTagReplacement: fill(pending.id),
        encryptThenSign: Boolean(partner.encrypts), // else the signature of the response would be over what it was before the encryption
      });
    return handOver(response, partner.acsURL, { SAMLResponse: context, ...relay });
  }

  async function serve(request, response) {
    const url = new URL(request.url, base);
    const posted = request.method === 'POST';
    const fields = posted ? await form(request) : Object.fromEntries(url.searchParams);
    switch (url.pathname) {
      case '/metadata':
        response.writeHead(200, { 'content-type': 'application/samlmetadata+xml' });
        return response.end(idp.getMetadata());
      case '/sso': {
        const { extract } = await requestOf(idp, posted ? 'post' : 'redirect', fields, url);
        return ask(response, { id: extract.request.id, relayState: fields.RelayState });
      }
      case '/unsolicited':
        return ask(response, { relayState: fields.RelayState });
      case '/login':
        return signIn(response, fields);
      default:
        return page(response, 404, 'There is nothing here.');
    }
  }

  return (request, response) => serve(request, response).catch((error) => {
    console.error(error);
    page(response, 400, 'The request was not understood.');
  });
});
