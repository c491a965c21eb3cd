import { Agent, buildConnector, type Dispatcher, EnvHttpProxyAgent, Pool, ProxyAgent } from 'undici';
import type { HttpTlsOptions } from './contract.js';
import type { PoolSettings } from './options.js';
import type { Sockets } from './sockets.js';

/** A pool keeps sockets to this many origins; a request to one more fails. */
const maxOrigins = 100;

/** undici's way to any origin, directly or over a proxy, on sockets that are marked as the pool's. */
export function createTransport(settings: PoolSettings, sockets: Sockets): Dispatcher {
  const { connections, keepAliveMs, http2, connectTimeoutMs, proxy } = settings;
  const pooling = {
    connections,
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs, // what a server says may shorten it, and never lengthens it
    headersTimeout: 0,
    bodyTimeout: 0, // both are kept by the pool's own clock, exactly
    pipelining: 1,
    allowH2: http2,
    maxOrigins,
  };
  const tls = { ...tlsOf(settings.tls), allowH2: http2, preferH2: http2 };
  const options = {
    ...pooling,
    connect: buildConnector({ ...tls, timeout: connectTimeoutMs }),
    // Whatever way leads to an origin, its sockets are made here: `given.connect` is that way.
    factory: (origin: string | URL, given: { readonly connect?: unknown; readonly allowH2?: boolean }) =>
      new Pool(origin, {
        ...pooling,
        ...(given.allowH2 === undefined ? {} : { allowH2: given.allowH2 }),
        connect: sockets.marking(given.connect as buildConnector.connector),
      }),
  };
  if (proxy === undefined) return new Agent(options);
  const proxied = {
    ...options,
    connectTimeout: connectTimeoutMs,
    requestTls: tls,
    proxyTls: settings.tls.ca === undefined ? {} : { ca: tlsOf({ ca: settings.tls.ca }).ca },
    // The sockets on which tunnels are asked for become those of the origins; a proxy that does not answer is given up.
    clientFactory: (origin: URL, given: object) => new Pool(origin, { ...given, headersTimeout: connectTimeoutMs }),
  };
  return proxy === 'env' ? new EnvHttpProxyAgent(proxied) : new ProxyAgent({ ...proxied, uri: proxy.href });
}

/** Node's types ask for what they may change. */
function tlsOf({ ca, ...rest }: HttpTlsOptions) {
  const bytes = (value: string | Uint8Array): string | Buffer =>
    typeof value === 'string' ? value : Buffer.from(value);
  return {
    ...(ca === undefined ? {} : { ca: typeof ca === 'string' || ca instanceof Uint8Array ? bytes(ca) : ca.map(bytes) }),
    ...(rest.cert === undefined ? {} : { cert: bytes(rest.cert) }),
    ...(rest.key === undefined ? {} : { key: bytes(rest.key) }),
    ...(rest.passphrase === undefined ? {} : { passphrase: rest.passphrase }),
    ...(rest.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: rest.rejectUnauthorized }),
    ...(rest.servername === undefined ? {} : { servername: rest.servername }),
    ...(rest.minVersion === undefined ? {} : { minVersion: rest.minVersion }),
  };
}
