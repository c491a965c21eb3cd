import type { ByteSize, Clock, Duration } from '../kernel/index.js';
import type { HttpErrorKind, HttpEvent } from './events.js';
import type { HttpCacheOptions, HttpCacheStats } from './response-cache/index.js';

/** Names of any case, with their values. */
export type HttpHeaders = Readonly<Record<string, string>>;

/** The response's headers: lower-case names; those that came several times as a list. */
export type HttpResponseHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Values that are undefined are left out, lists become one parameter each. */
export type HttpQuery = Readonly<Record<string, QueryValue | readonly QueryValue[] | undefined>>;
type QueryValue = string | number | boolean;

/**
 * What comes while it is sent can be sent once only, so a request with one is never sent again. What it throws is what the call rejects
 * with; a Node stream is destroyed when the call is over.
 */
export type HttpBody = string | Uint8Array | AsyncIterable<Uint8Array | string>;

/** What a pool passes to `tls.connect`. */
export interface HttpTlsOptions {
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
  readonly passphrase?: string;
  /** Default true. */
  readonly rejectUnauthorized?: boolean;
  readonly servername?: string;
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
}

export interface HttpPoolOptions {
  /** The service, in errors, events and statistics. Default `'http'`. */
  readonly name?: string;
  /**
   * What paths are appended to: a base of `https://host/v1` and a path of `/chat` make `https://host/v1/chat`. User and password in it
   * become an `Authorization` header. Nothing else in it is secret: it may not have a query.
   */
  readonly baseUrl?: string | URL;
  /**
   * Sent with each request to the origin of `baseUrl` and to no other, whatever redirects say, unless the call has a header of
   * that name itself. A function is asked for each request, for tokens that change.
   */
  readonly headers?: HttpHeaders | (() => HttpHeaders | PromiseLike<HttpHeaders>);
  /** The most sockets to one origin, of 100 at a time; further requests wait for one. Default 50, where undici has no limit. */
  readonly connections?: number;
  /** How long an idle socket stays open, unless the server says less. Default `'45s'`; keep it below the server's. */
  readonly keepAlive?: Duration;
  /** The most idle sockets of the pool: those above it that stay idle for 5 s are closed. Default 20. */
  readonly maxIdle?: number;
  /** Whether HTTP/2 is spoken with servers that offer it (ALPN). Default true. */
  readonly http2?: boolean;
  /** How long the opening of a socket may take, 0 for no limit. Default `'10s'`; kept to half a second. */
  readonly connectTimeout?: Duration;
  /**
   * How long the headers of an answer may take once the request is on its way, 0 for no limit. Default 0: the deadline of the
   * call decides. undici's own 300 s would end a slow answer of a model that is still at work.
   */
  readonly headersTimeout?: Duration;
  /** The longest pause between two pieces of a body, 0 for no limit. Default `'2m'`: a body that has begun and stops is dead. */
  readonly bodyTimeout?: Duration;
  /** The largest body that `request` reads into memory, decompressed. Default `'64MB'`. Not for `stream` and `fetch`. */
  readonly maxResponseBytes?: ByteSize;
  /** Whether `request` and `stream` ask for compressed bodies (gzip, Brotli) and undo it. Default true; `fetch` always does. */
  readonly decompress?: boolean;
  readonly tls?: HttpTlsOptions;
  /** The address of a proxy, or `'env'` for what HTTP_PROXY, HTTPS_PROXY and NO_PROXY say. Default: none, whatever the environment says. */
  readonly proxy?: string | URL;
  /** Keeps responses to GET in a store, as their HTTP headers allow. Default: none. */
  readonly cache?: Omit<HttpCacheOptions, 'clock'>;
  /** Every request of this service may be sent twice, POST as well. Default false. */
  readonly idempotent?: boolean;
  readonly clock?: Clock;
  readonly onEvent?: (event: HttpEvent) => void;
}

export interface HttpRequestInit {
  /** Default `'GET'`, or `'POST'` with a body. */
  readonly method?: string;
  readonly query?: HttpQuery;
  readonly headers?: HttpHeaders;
  readonly body?: HttpBody;
  /** The body as JSON, in place of `body`. */
  readonly json?: unknown;
  /** Ends the request with its reason. That of the call context counts as well. */
  readonly signal?: AbortSignal | undefined;
  /** How long it may take up to the end of the body, for `stream` up to the headers. The deadline of the call context counts as well. */
  readonly timeout?: Duration;
  /**
   * Whether it may be sent twice. Default: that of the pool; true for GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110 §9.2.2) and with an
   * `Idempotency-Key` header.
   */
  readonly idempotent?: boolean;
}

/** A whole response: nothing of it is left on the way. */
export interface HttpResponse {
  /** Below 400; redirects are not followed. */
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  bytes(): Uint8Array;
  /** As UTF-8. */
  text(): string;
  /** @throws WarmpathError `WP_HTTP_FAILED` where it is not JSON; nothing of the body is in its message */
  json<T = unknown>(): T;
}

/** A response whose body is read as it comes. */
export interface HttpStream {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  /**
   * To be iterated once. Leaving it early ends the request; while nobody reads, it holds its socket. Where the body breaks off it throws
   * `WP_HTTP_FAILED` with `phase: 'responding'`, at the deadline of the call context `WP_DEADLINE`, with an aborted signal its reason: it
   * never ends short.
   */
  readonly body: AsyncIterableIterator<Uint8Array>;
}

/** The part of the standard `fetch` that a pool offers. */
export type PoolFetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface HttpPoolStats {
  /** Sockets opened so far. */
  readonly dialled: number;
  /** Requests written to a socket so far. */
  readonly sent: number;
  /** Of these, those that went over a socket which had served before. */
  readonly reused: number;
  /** `reused / sent`, 0 before the first. */
  readonly reuseRate: number;
  /** Requests under way, those that wait for a socket included. */
  readonly inFlight: number;
  /** Of these, those that wait for a socket. */
  readonly queued: number;
  /** Sockets open now. */
  readonly open: number;
  /** Responses below 400 that came whole. */
  readonly ok: number;
  /** Everything else that ended, by kind. */
  readonly errors: Readonly<Record<HttpErrorKind, number>>;
  /** As the sockets count them: headers included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Requests sent once more because a socket that had been idle turned out to be closed, or a server refused a stream unread. */
  readonly redialled: number;
  /** What the cache has done; undefined without one. Requests that it answers are not among those above. */
  readonly cache: HttpCacheStats | undefined;
  /** Requests sent, by protocol. */
  readonly protocols: { readonly h1: number; readonly h2: number };
}

/**
 * A service that is called over sockets which stay open between requests.
 *
 * `request` and `stream` reject with `WP_HTTP_STATUS` (`HttpStatusError`: a status of 400 or more), `WP_HTTP_FAILED` (not reached, or
 * broken off), `WP_RESPONSE_TOO_LARGE`, `WP_DEADLINE`, `WP_CLOSED`, `WP_BAD_OPTION`, or the reason of an aborted signal. The details of these say
 * `service`, `method` and `phase`: `not-sent` (the service knows nothing of it), `sent` (it may have been carried out), `responding`
 * (a part of the answer came). No error, event or statistic holds a query, a user, a password or the value of a header.
 */
export interface HttpPool {
  readonly name: string;
  /** Sends and reads the whole response. A path is appended to `baseUrl`; an address is taken as it is. */
  request(target: string | URL, init?: HttpRequestInit): Promise<HttpResponse>;
  /** Resolves with the headers; the body comes as it is read, and the service waits for its reader. */
  stream(target: string | URL, init?: HttpRequestInit): Promise<HttpStream>;
  /**
   * The standard `fetch`, for SDKs: `new OpenAI({ fetch: pool.fetch })`. Rejects as the standard says: with the reason of the signal, with
   * `WP_DEADLINE` at the deadline of the call context, and with a TypeError `fetch failed`, whose cause is a WarmpathError with
   * the phase, whose cause is what happened. Statuses are not errors. `WP_CLOSED` after `close`. A response is of undici's class
   * `Response`, so it is no `instanceof` the platform's.
   */
  readonly fetch: PoolFetch;
  stats(): HttpPoolStats;
  /**
   * Takes no further requests, gives those under way `drain` (default `'5s'`) to end, then ends all sockets. Those cut off reject with
   * `WP_CLOSED`. Idempotent: the first call's `drain` counts.
   */
  close(options?: HttpCloseOptions): Promise<void>;
}

export interface HttpCloseOptions {
  readonly drain?: Duration;
}
