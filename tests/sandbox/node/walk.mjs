// Signs in at the generic OpenID provider with openid-client, as one person with one browser, and prints what it saw.
// Arguments: issuer, client id, client secret, redirect URI, scope.

import * as client from "openid-client";

const [issuer, clientId, secret, redirectUri, scope] = process.argv.slice(2);

/** Press a button of the form on a page; gives the next answer. */
async function press(page, path, fields, cookie) {
  const html = await page.text();
  const transaction = html.match(/name="transaction" value="([^"]+)"/)[1];
  const body = new URLSearchParams({ transaction, ...fields });
  return fetch(`${issuer}${path}`, { method: "POST", body, headers: { cookie }, redirect: "manual" });
}

/** Log in as alice and accept; gives the address that the browser is sent back to. */
async function walk(address) {
  const login = await fetch(address, { redirect: "manual" });
  const cookie = login.headers.get("set-cookie").split(";")[0];
  const consent = await press(login, "/login", { user: "alice" }, cookie);
  return (await press(consent, "/consent", { decision: "accept" }, cookie)).headers.get("location");
}

const config = await client.discovery(new URL(issuer), clientId, secret, client.ClientSecretBasic(secret), {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});
const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const address = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
  nonce: expectedNonce,
});

const back = new URL(await walk(address));
const checks = { pkceCodeVerifier, expectedState, expectedNonce };
const tokens = await client.authorizationCodeGrant(config, back, checks);
const claims = tokens.claims();
const who = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token);
const again = await client.authorizationCodeGrant(config, back, checks).then(
  () => "accepted",
  (error) => error.error,
);
await client.tokenRevocation(config, renewed.refresh_token);
const revoked = await client.refreshTokenGrant(config, renewed.refresh_token).then(
  () => "accepted",
  (error) => error.error,
);

console.log(
  JSON.stringify({
    subject: claims.sub,
    email: who.email,
    scope: tokens.scope,
    rotated: renewed.refresh_token !== tokens.refresh_token,
    renewedSubject: renewed.claims().sub,
    codeUsedTwice: again,
    refreshAfterRevocation: revoked,
  }),
);
