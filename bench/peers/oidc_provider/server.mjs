// oidc-provider as a broker: it logs people in at an IdP upstream by openid-client, and keeps the IdP's tokens sealed.
//   PORT, IDP (the issuer upstream), IDP_CLIENT and IDP_SECRET, REDIRECT_URI, WEB_SECRET, SERVICE_SECRET,
//   REDIS_PORT (else everything is in this process's memory, by the library's own adapter)
import { createCipheriv, randomBytes } from 'node:crypto';
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import Provider from 'oidc-provider';
import * as upstream from 'openid-client';

const env = process.env;
const issuer = `http://127.0.0.1:${env.PORT}`;
const RESOURCE = `${issuer}/api`;
const CALLBACK = '/upstream/callback';
const LOGIN_SECONDS = 600;
const TOKEN_SECONDS = 30 * 86400;

const redis = env.REDIS_PORT ? new Redis({ host: '127.0.0.1', port: Number(env.REDIS_PORT) }) : undefined;
const idp = await upstream.discovery(new URL(env.IDP), env.IDP_CLIENT, env.IDP_SECRET,
  upstream.ClientSecretBasic(env.IDP_SECRET), { execute: [upstream.allowInsecureRequests] });

// What oidc-provider asks of a store, on Redis: one row per artefact, gone when its time is over.
class RedisAdapter {
  constructor(kind) { this.kind = kind; }
  row(id) { return `${this.kind}/${id}`; }
  async upsert(id, payload, seconds) {
    const pipeline = redis.multi().set(this.row(id), JSON.stringify(payload), 'EX', seconds || LOGIN_SECONDS);
    if (payload.uid) pipeline.set(`uid/${payload.uid}`, id, 'EX', seconds || LOGIN_SECONDS);
    if (payload.grantId && this.kind !== 'Session' && this.kind !== 'Interaction') {
      pipeline.sadd(`of/${payload.grantId}`, this.row(id)).expire(`of/${payload.grantId}`, TOKEN_SECONDS);
    }
    await pipeline.exec();
  }
  async find(id) {
    const found = await redis.get(this.row(id));
    return found ? JSON.parse(found) : undefined;
  }
  async findByUid(uid) {
    const id = await redis.get(`uid/${uid}`);
    return id ? this.find(id) : undefined;
  }
  async findByUserCode() { return undefined; }
  async consume(id) {
    const found = await this.find(id);
    if (found) await redis.set(this.row(id), JSON.stringify({ ...found, consumed: Math.floor(Date.now() / 1000) }), 'KEEPTTL');
  }
  async destroy(id) { await redis.del(this.row(id)); }
  async revokeByGrantId(grantId) {
    const rows = await redis.smembers(`of/${grantId}`);
    await redis.del(`of/${grantId}`, ...rows);
  }
}

// What the broker itself keeps: logins under way, and the IdP's tokens.
const memory = new Map();
const kept = redis
  ? { put: (key, text, seconds) => redis.set(key, text, 'EX', seconds), take: (key) => redis.getdel(key) }
  : {
    put: (key, text) => { memory.delete(key); memory.set(key, text); if (memory.size > 20000) memory.delete(memory.keys().next().value); },
    take: (key) => { const text = memory.get(key); memory.delete(key); return text; },
  };
const dataKey = randomBytes(32);
function sealed(text) {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', dataKey, nonce);
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64');
}

const signing = (type, options, alg) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg });

async function toIdp(_, interaction) {
  const verifier = upstream.randomPKCECodeVerifier();
  const nonce = upstream.randomNonce();
  await kept.put(`login/${interaction.uid}`, JSON.stringify({ verifier, nonce }), LOGIN_SECONDS);
  return upstream.buildAuthorizationUrl(idp, {
    redirect_uri: issuer + CALLBACK, scope: 'openid profile email', state: interaction.uid, nonce,
    code_challenge: await upstream.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
  }).href;
}

const provider = new Provider(issuer, {
  ...(redis ? { adapter: RedisAdapter } : {}),
  jwks: { keys: [signing('rsa', { modulusLength: 2048 }, 'RS256'), signing('ec', { namedCurve: 'P-256' }, 'ES256')] },
  cookies: { keys: [randomBytes(24).toString('hex')] },
  clients: [
    { client_id: 'web', client_secret: env.WEB_SECRET, redirect_uris: [env.REDIRECT_URI], grant_types: ['authorization_code'] },
    { client_id: 'svc', client_secret: env.SERVICE_SECRET, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  ],
  claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
  pkce: { required: () => true },
  ttl: { AccessToken: 600, IdToken: 600, AuthorizationCode: 60, Interaction: LOGIN_SECONDS, Session: 12 * 3600, Grant: 12 * 3600 },
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, name: `Somebody ${accountId}`, email: `${accountId}@users.example`, email_verified: true }),
  }),
  interactions: { url: toIdp },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    // Access tokens as Scopefold gives them: ES256 JWTs for one resource.
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'api:read', audience: RESOURCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
});

async function fromIdp(request, response) {
  const interaction = await provider.interactionDetails(request, response);
  const begun = await kept.take(`login/${interaction.uid}`);
  if (!begun) throw new Error('this login was not begun here');
  const { verifier, nonce } = JSON.parse(begun);
  const tokens = await upstream.authorizationCodeGrant(idp, new URL(request.url, issuer), {
    pkceCodeVerifier: verifier, expectedState: interaction.uid, expectedNonce: nonce, idTokenExpected: true,
  });
  const accountId = tokens.claims().sub;
  await kept.put(`token/${accountId}`, sealed(JSON.stringify(tokens)), TOKEN_SECONDS);
  const grant = new provider.Grant({ accountId, clientId: interaction.params.client_id });
  grant.addOIDCScope(interaction.params.scope);
  grant.addResourceScope(RESOURCE, 'api:read');
  const result = { login: { accountId }, consent: { grantId: await grant.save() } };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const answer = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith(CALLBACK)) return answer(request, response);
  return fromIdp(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
}).listen(Number(env.PORT), '127.0.0.1');
