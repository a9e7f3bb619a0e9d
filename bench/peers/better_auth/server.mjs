// better-auth with its OAuth provider as a broker: people log in at an IdP upstream by its generic OAuth plugin.
//   PORT, IDP, IDP_CLIENT and IDP_SECRET, REDIRECT_URI, FOLDER (for the database and the clients that were made)
// It is started twice: the first time it makes its two clients and ends, the second time it serves.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { oauthProvider } from '@better-auth/oauth-provider';
import { betterAuth } from 'better-auth';
import { getMigrations } from 'better-auth/db/migration';
import { toNodeHandler } from 'better-auth/node';
import { genericOAuth, jwt } from 'better-auth/plugins';
import Database from 'better-sqlite3';

const env = process.env;
const origin = `http://127.0.0.1:${env.PORT}`;
const known = join(env.FOLDER, 'clients.json');
const clients = existsSync(known) ? JSON.parse(readFileSync(known, 'utf8')) : undefined;
const database = new Database(join(env.FOLDER, 'better-auth.db'));
database.pragma('journal_mode = WAL');
database.pragma('synchronous = FULL'); // a login that was answered is on disk

const auth = betterAuth({
  baseURL: origin,
  basePath: '/api/auth',
  secret: 'bench-secret-of-no-worth-0123456789abcdef',
  database,
  trustedOrigins: [env.IDP],
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  logger: { level: 'error' },
  account: { encryptOAuthTokens: true },
  disabledPaths: ['/token'],
  emailAndPassword: { enabled: clients === undefined }, // whoever makes the clients logs in so, once
  plugins: [
    jwt({ jwks: { keyPairConfig: { alg: 'RS256', modulusLength: 2048 } } }),
    genericOAuth({
      config: [{
        providerId: 'upstream', clientId: env.IDP_CLIENT, clientSecret: env.IDP_SECRET, authentication: 'basic',
        discoveryUrl: `${env.IDP}/.well-known/openid-configuration`, scopes: ['openid', 'profile', 'email'], pkce: true,
      }],
    }),
    oauthProvider({
      loginPage: '/login',
      consentPage: '/consent',
      clientPrivileges: async () => true,
      scopes: ['openid', 'profile', 'email', 'api:read'],
      cachedTrustedClients: new Set(Object.values(clients ?? {}).map((client) => client.client_id)),
      silenceWarnings: { oauthAuthServerConfig: true, openidConfig: true },
    }),
  ],
});

async function makeClients() {
  await (await getMigrations(auth.options)).runMigrations();
  const account = { email: 'operator@bench.example', password: 'bench-password-of-no-worth' };
  await auth.api.signUpEmail({ body: { ...account, name: 'Operator' }, asResponse: true });
  const session = await auth.api.signInEmail({ body: account, asResponse: true });
  const cookie = session.headers.getSetCookie().map((one) => one.split(';')[0]).join('; ');
  const headers = new Headers({ cookie });
  const made = { token_endpoint_auth_method: 'client_secret_basic', skip_consent: true };
  const web = await auth.api.adminCreateOAuthClient({ headers, body: {
    ...made, client_name: 'Web', redirect_uris: [env.REDIRECT_URI], scope: 'openid profile email',
    grant_types: ['authorization_code'], response_types: ['code'],
  } });
  writeFileSync(known, JSON.stringify({ web: { client_id: web.client_id, client_secret: web.client_secret } }));
}

// The login page, of which there is one way on: to the IdP.
async function toIdp(request, response) {
  const query = request.url.slice(request.url.indexOf('?') + 1);
  const begun = await auth.api.signInSocial({
    body: { provider: 'upstream', callbackURL: '/signed-in', disableRedirect: true, oauth_query: query },
    headers: new Headers({ cookie: request.headers.cookie ?? '' }),
    asResponse: true,
  });
  const { url } = await begun.json();
  response.writeHead(302, { location: url, 'set-cookie': begun.headers.getSetCookie() });
  response.end();
}

if (clients === undefined) {
  await makeClients();
  process.exit(0);
}
const answer = toNodeHandler(auth);
createServer((request, response) => {
  const done = request.url.startsWith('/login') ? toIdp(request, response) : answer(request, response);
  return Promise.resolve(done).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
}).listen(Number(env.PORT), '127.0.0.1');
