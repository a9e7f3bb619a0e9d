// openid-client 6: discovery, PKCE, nonce and iss, the ID token by its signature, UserInfo, refresh, introspection,
// revocation. With `key` it proves itself by private_key_jwt; with `pushed` it pushes its requests and uses DPoP.

import * as client from "openid-client";
import { opened, refusal, saw, told } from "./conversation.mjs";

async function proof() {
  if (told.key === undefined) return undefined; // the library's own default for a secret
  const algorithm = { name: "ECDSA", namedCurve: "P-256" };
  const key = await crypto.subtle.importKey("jwk", told.key, algorithm, false, ["sign"]);
  return client.PrivateKeyJwt({ key, kid: told.key.kid });
}

const config = await client.discovery(new URL(told.issuer), told.client_id, told.client_secret, await proof(), {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks], // http, since all is on one machine
});
const DPoP = told.pushed ? client.getDPoPHandle(config, await client.randomDPoPKeyPair()) : undefined;

const pkceCodeVerifier = client.randomPKCECodeVerifier();
const expectedState = client.randomState();
const expectedNonce = client.randomNonce();
const request = {
  redirect_uri: told.redirect_uri,
  scope: "openid profile email offline_access",
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
  code_challenge_method: "S256",
  state: expectedState,
  nonce: expectedNonce,
};
const address = told.pushed
  ? await client.buildAuthorizationUrlWithPAR(config, request, { DPoP })
  : client.buildAuthorizationUrl(config, request);

const back = await opened(address);
const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true };
const ofOther = new URL(back);
ofOther.searchParams.set("iss", "https://other.example");
const mixedUp = await refusal(client.authorizationCodeGrant(config, ofOther, checks, undefined, { DPoP }));
const tokens = await client.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
const claims = tokens.claims();
const who = await client.fetchUserInfo(config, tokens.access_token, claims.sub, { DPoP });
const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP });
const latest = renewed.refresh_token ?? tokens.refresh_token; // not every client is given a new one
const known = await client.tokenIntrospection(config, renewed.access_token);
await client.tokenRevocation(config, latest);

saw({
  audience: claims.aud,
  name: claims.name,
  email: who.email,
  asked: [...address.searchParams.keys()].sort(),
  tokenType: tokens.token_type,
  mixedUp,
  rotated: latest !== tokens.refresh_token,
  renewedSubject: renewed.claims().sub === claims.sub,
  active: known.active,
  activeAfterRevocation: (await client.tokenIntrospection(config, renewed.access_token)).active,
  refreshAfterRevocation: await refusal(
    client.refreshTokenGrant(config, latest, undefined, { DPoP }),
  ),
});
