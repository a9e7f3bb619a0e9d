// What Backstage's OIDC module does with openid-client 5: its passport strategy, a secret in the header, UserInfo
// always, a scope with offline_access; then refresh, and revocation at log-out. `prompt` is `none` unless it is set.

import { Issuer, Strategy } from "openid-client-5";
import { opened, refusal, saw, told } from "./conversation.mjs";

const issuer = await Issuer.discover(`${told.issuer}/.well-known/openid-configuration`);
const client = new issuer.Client({
  access_type: "offline",
  client_id: told.client_id,
  client_secret: told.client_secret,
  redirect_uris: [told.redirect_uri],
  response_types: ["code"],
  token_endpoint_auth_method: "client_secret_basic",
  id_token_signed_response_alg: "RS256",
});
const strategy = new Strategy({ client, passReqToCallback: false }, (tokenset, userinfo, done) =>
  done(undefined, { tokenset, userinfo }),
);

/** One step of passport: where the strategy redirects to, or whom it lets in. */
function step(request, options) {
  return new Promise((resolve, reject) => {
    const ways = { redirect: resolve, success: resolve, fail: (info) => reject(info), error: reject };
    Object.assign(Object.create(strategy), ways).authenticate(request, options);
  });
}

async function logIn(prompt) {
  const session = {};
  const options = { scope: "openid profile email offline_access", state: "the-state", nonce: "the-nonce", ...prompt };
  const back = await opened(await step({ session, method: "GET", url: "/start" }, options));
  return step({ session, method: "GET", url: back.pathname + back.search });
}

const withoutPage = await logIn({ prompt: "none" }).then(
  () => "accepted",
  (error) => error.error ?? error.message,
);
const { tokenset, userinfo } = await logIn({});
const renewed = await client.refresh(tokenset.refresh_token);
const again = await client.userinfo(renewed.access_token);
await client.revoke(renewed.refresh_token);

saw({
  withoutPage,
  verifiedEmail: userinfo.email_verified === true ? userinfo.email : null,
  username: userinfo.preferred_username,
  displayName: userinfo.name,
  expiresInSeconds: tokenset.expires_in > 0,
  renewedSubject: again.sub === tokenset.claims().sub,
  refreshAfterRevocation: await refusal(client.refresh(renewed.refresh_token)),
});
