import {
  ambientRules,
  badOption,
  byteSizeOf,
  type Clock,
  checkOptions,
  durationMs,
  type Rule,
  type Rules,
  rule,
  safeListener,
  systemClock,
} from '../kernel/index.js';
import type { HttpCloseOptions, HttpPoolOptions, HttpRequestInit, HttpTlsOptions } from './contract.js';
import type { HttpEvent } from './events.js';

const headers: Rule = { ...rule.object, text: 'an object of header names and texts', secret: true };

const queryValue = rule.either(rule.oneOf(true, false), {
  text: 'a text or a number',
  allows: (value) => value === undefined || typeof value === 'string' || typeof value === 'number',
});
const queryValues: Rule = {
  text: 'an object of texts, numbers and booleans, or lists of them (of a URLSearchParams, Object.fromEntries(params))',
  allows: (query) =>
    rule.object.allows(query) &&
    !(Symbol.iterator in Object(query)) && // they have no properties, so nothing would be sent
    Object.values(Object(query)).every((value) => [value].flat().every((each) => queryValue.allows(each))),
  secret: true,
};

const poolRules: Rules<HttpPoolOptions> = {
  name: rule.text,
  baseUrl: rule.url,
  headers: rule.either(headers, rule.function),
  connections: rule.integer(1, 10_000),
  keepAlive: rule.positiveDuration,
  maxIdle: rule.integer(0, 10_000),
  http2: rule.boolean,
  connectTimeout: rule.duration,
  headersTimeout: rule.duration,
  bodyTimeout: rule.duration,
  maxResponseBytes: rule.byteSize,
  decompress: rule.boolean,
  tls: { ...rule.object, secret: true },
  proxy: rule.either(rule.url, { text: "'env'", allows: (value) => value === 'env' }),
  cache: rule.object,
  idempotent: rule.boolean,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

const material: Rule = {
  text: 'PEM as a text or bytes',
  allows: (value) => rule.text.allows(value) || value instanceof Uint8Array,
  secret: true,
};

const tlsRules: Rules<HttpTlsOptions> = {
  ca: rule.either(material, rule.arrayOf(material)),
  cert: material,
  key: material,
  passphrase: rule.secret,
  rejectUnauthorized: rule.boolean,
  servername: rule.text,
  minVersion: rule.oneOf('TLSv1.2', 'TLSv1.3'),
};

export const requestRules: Rules<HttpRequestInit> = {
  method: {
    text: 'a method such as GET',
    allows: (value) => typeof value === 'string' && /^[!#$%&'*+.^_`|~\w-]+$/.test(value),
  },
  query: queryValues,
  headers,
  body: { text: 'a string, bytes or an AsyncIterable of them', allows: isBody, secret: true },
  json: {
    text: 'something that JSON has',
    allows: (value) => typeof value !== 'function' && typeof value !== 'symbol',
    secret: true,
  },
  signal: ambientRules.signal,
  timeout: rule.positiveDuration,
  idempotent: rule.boolean,
};

export const closeRules: Rules<HttpCloseOptions> = { drain: rule.duration };

/** The options of a pool, complete. */
export interface PoolSettings {
  readonly name: string;
  readonly baseUrl: URL | undefined;
  readonly headers: HttpPoolOptions['headers'];
  readonly connections: number;
  readonly keepAliveMs: number;
  readonly maxIdle: number;
  readonly http2: boolean;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly maxResponseBytes: number;
  readonly decompress: boolean;
  readonly tls: HttpTlsOptions;
  readonly proxy: URL | 'env' | undefined;
  readonly cache: HttpPoolOptions['cache'];
  readonly idempotent: boolean;
  readonly clock: Clock;
  readonly onEvent: ((event: HttpEvent) => void) | undefined;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function poolSettings(where: string, options: HttpPoolOptions | undefined): PoolSettings {
  checkOptions(where, options, poolRules);
  const { name = 'http', connections = 50, keepAlive = '45s', maxIdle = 20, http2 = true } = options ?? {};
  const { connectTimeout = '10s', headersTimeout = 0, bodyTimeout = '2m', maxResponseBytes = '64MB' } = options ?? {};
  const { decompress = true, tls = {}, proxy, idempotent = false, clock = systemClock } = options ?? {};
  checkOptions(`${where}: tls`, tls, tlsRules);
  const baseUrl = options?.baseUrl === undefined ? undefined : new URL(options.baseUrl);
  if (baseUrl && (baseUrl.search || baseUrl.hash)) {
    throw badOption(where, 'baseUrl', 'an address without query and fragment', options?.baseUrl, true);
  }
  if (options?.headers !== undefined && !baseUrl) {
    throw badOption(where, 'headers', "given together with 'baseUrl', to whose origin alone they go", undefined);
  }
  return {
    name,
    baseUrl,
    headers: options?.headers,
    connections,
    keepAliveMs: durationMs(keepAlive),
    maxIdle,
    http2,
    connectTimeoutMs: durationMs(connectTimeout),
    headersTimeoutMs: durationMs(headersTimeout),
    bodyTimeoutMs: durationMs(bodyTimeout),
    maxResponseBytes: byteSizeOf(maxResponseBytes),
    decompress,
    tls,
    proxy: proxy === undefined || proxy === 'env' ? proxy : new URL(proxy),
    cache: options?.cache,
    idempotent,
    clock,
    onEvent: safeListener(options?.onEvent),
  };
}

function isBody(value: unknown): boolean {
  if (typeof value === 'string' || value instanceof Uint8Array) return true;
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
