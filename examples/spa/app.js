// Logs people in at Scopefold with oidc-client-ts: authorization code with PKCE, from this page, without a server.

const here = location.origin + location.pathname;
const manager = new oidc.UserManager({
  ...SETTINGS,
  redirect_uri: here, // registered for the client, byte for byte
  post_logout_redirect_uri: here,
  scope: "openid profile email",
  // Tokens are kept in memory alone: a reload asks again, and whoever still has a session at Scopefold sees no page.
  userStore: new oidc.WebStorageStateStore({ store: new oidc.InMemoryWebStorage() }),
});
const element = (id) => document.getElementById(id);

function show(state, told) {
  element("state").textContent = state;
  element("told").textContent = told === undefined ? "" : JSON.stringify(told, null, 2);
}

function offer(user) {
  element("log-in").hidden = Boolean(user);
  element("ask").hidden = element("log-out").hidden = !user;
  element("renew").hidden = !user?.refresh_token;
  show(user ? `Logged in as ${user.profile.name ?? user.profile.sub}.` : "Nobody is logged in.", user?.profile);
}

/** Do what a button says, and tell what went wrong. */
function press(id, act) {
  element(id).addEventListener("click", () => act().catch((error) => show(`That did not work: ${error.message}`)));
}

press("log-in", () => manager.signinRedirect());
press("log-out", () => manager.signoutRedirect());
press("renew", async () => offer(await manager.signinSilent()));
press("ask", async () => {
  const { userinfo_endpoint: address } = await manager.metadataService.getMetadata();
  const user = await manager.getUser();
  const answer = await fetch(address, { headers: { authorization: `Bearer ${user.access_token}` } });
  show(`UserInfo answered ${answer.status}.`, await answer.json());
});

async function begin() {
  const came = new URLSearchParams(location.search);
  const back = came.has("code") || came.has("error");
  if (back) history.replaceState(null, "", here); // a code has no business in the history
  const user = back ? await manager.signinRedirectCallback(`${here}?${came}`) : await manager.getUser();
  offer(user);
}

begin().catch((error) => {
  offer(null);
  show(`Logging in did not work: ${error.message}`);
});
