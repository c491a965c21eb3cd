import type { Dispatcher } from 'undici';
import {
  AbortWatch,
  abortReason,
  badOption,
  checkOptions,
  currentContext,
  durationMs,
  wholeDeadlineOf,
} from '../kernel/index.js';
import { type Asked, type CallHost, type CallOptions, type Leaver, signalsOf } from './call.js';
import type { HttpBody, HttpPool, HttpPoolOptions, HttpPoolStats, HttpRequestInit } from './contract.js';
import { acceptedEncodings } from './decompression.js';
import { closedError } from './errors.js';
import { Exchange } from './exchange.js';
import { closeRules, type PoolSettings, poolSettings, requestRules } from './options.js';
import { createFetch } from './pool-fetch.js';
import { isRepeatable } from './repeatable.js';
import { type HttpCacheInterceptor, httpCacheInterceptor } from './response-cache/index.js';
import { checkedHeaders, type HeaderRecord, Service, type Target } from './service.js';
import { callStream } from './stream-call.js';
import { callWhole } from './whole-call.js';
import { Wire, type WireOptions } from './wire.js';

/**
 * The pool of one service: its sockets stay open between requests, bounded for each origin. See `HttpPool` for what it
 * promises.
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function createHttpPool(options?: HttpPoolOptions): HttpPool {
  const settings = poolSettings('createHttpPool()', options);
  const wire = new Wire(settings);
  const service = new Service(settings);
  const exchange: Dispatcher.Dispatch = (request, handler) => new Exchange(wire, request, handler).begin();
  const cache =
    settings.cache && httpCacheInterceptor({ ...settings.cache, clock: settings.clock }, 'createHttpPool() cache');
  const dispatch = cache ? cache(exchange) : exchange;
  const aborts = new AbortWatch<Leaver>((members, signal) => {
    const reason = abortReason(signal);
    for (const member of members) member.stop(reason, signal);
  });
  const { clock, deadlines } = wire;
  const { name, maxResponseBytes, decompress } = settings;
  const host: CallHost = { service: name, clock, deadlines, aborts, dispatch, maxResponseBytes, decompress };
  let closing: Promise<void> | undefined;

  function send<T>(call: SendCall<T>, to: string | URL, init: HttpRequestInit | undefined): Promise<T> {
    if (closing) return Promise.reject(closedError(name));
    return wire.under(() => {
      const request = preparedRequest(settings, service.target(to, init?.query), init);
      const asked = askedOf(request, init, host);
      const own = service.owns(request.origin) ? service.headers() : undefined;
      const isReady = !(own instanceof Promise);
      return call(host, asked, isReady ? dispatchable(request, own) : own.then((late) => dispatchable(request, late)));
    });
  }

  return {
    name,
    request: (to, init) => send(callWhole, to, init),
    stream: (to, init) => send(callStream, to, init),
    fetch: createFetch({
      service,
      wire,
      dispatch,
      aborts,
      idempotent: settings.idempotent,
      isClosed: () => closing !== undefined,
    }),
    stats: () => statsOf(wire, cache),
    close(closeOptions) {
      checkOptions('close()', closeOptions, closeRules);
      const { drain = '5s' } = closeOptions ?? {};
      closing ??= closeWithin(wire, cache, durationMs(drain));
      return closing;
    },
  };
}

type SendCall<T> = (host: CallHost, asked: Asked, options: CallOptions) => Promise<T>;

interface PreparedRequest extends Target {
  readonly method: string;
  readonly isRepeatable: boolean;
  /** What there is unless the service or the call says otherwise. */
  readonly defaults: HeaderRecord;
  readonly headers: HeaderRecord;
  readonly body: HttpBody | undefined;
}

const noInit: HttpRequestInit = {};

function preparedRequest(settings: PoolSettings, target: Target, init: HttpRequestInit = noInit): PreparedRequest {
  const where = `the HTTP pool '${settings.name}'`;
  if (init !== noInit) checkOptions(where, init, requestRules);
  if (init.body !== undefined && init.json !== undefined) {
    throw badOption(where, 'json', "given in place of 'body', not with it", undefined);
  }
  const body = init.json === undefined ? init.body : JSON.stringify(init.json);
  const method = init.method?.toUpperCase() ?? (body === undefined ? 'GET' : 'POST');
  const headers: HeaderRecord = init.headers === undefined ? {} : checkedHeaders(where, init.headers);
  const defaults = {
    ...(settings.decompress ? { 'accept-encoding': acceptedEncodings } : {}),
    ...(init.json === undefined ? {} : { 'content-type': 'application/json' }),
  };
  const isPromised = init.idempotent ?? settings.idempotent;
  const hasKey = init.idempotent !== false && headers['idempotency-key'] !== undefined;
  const repeatable = init.idempotent !== false && isRepeatable(method, isPromised, hasKey);
  return { ...target, method, isRepeatable: repeatable, defaults, headers, body };
}

/** As undici takes it. The call's own headers count before the service's. */
function dispatchable(request: PreparedRequest, own: HeaderRecord | undefined): WireOptions {
  const { origin, path, method, body } = request;
  return {
    origin,
    path,
    method,
    headers: { ...request.defaults, ...own, ...request.headers },
    body: (body ?? null) as Dispatcher.DispatchOptions['body'] & HttpBody,
    idempotent: request.isRepeatable,
  };
}

function askedOf(request: PreparedRequest, init: HttpRequestInit | undefined, { clock }: CallHost): Asked {
  const context = currentContext();
  const outerDeadline = context?.deadline ?? Number.POSITIVE_INFINITY;
  const timeoutMs = init?.timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(init.timeout);
  const isBounded = outerDeadline !== Number.POSITIVE_INFINITY || timeoutMs !== Number.POSITIVE_INFINITY;
  const beganAt = isBounded ? clock.now() : 0;
  const { method, isRepeatable, body } = request;
  const signals = signalsOf(init?.signal, context?.signal);
  return {
    method,
    isRepeatable,
    body,
    signals,
    beganAt,
    endsAt: Math.min(outerDeadline, beganAt + timeoutMs),
    bodyEndsAt: wholeDeadlineOf(context),
  };
}

function statsOf(wire: Wire, cache: HttpCacheInterceptor | undefined): HttpPoolStats {
  const { sockets, inFlight, running, ok, redialled } = wire;
  const { dialled, sent, reused, h2, open, bytes } = sockets;
  return {
    dialled,
    sent,
    reused,
    reuseRate: sent === 0 ? 0 : reused / sent,
    inFlight,
    queued: inFlight - running,
    open,
    ok,
    errors: { ...wire.errors },
    bytesSent: bytes.sent,
    bytesReceived: bytes.received,
    redialled,
    cache: cache?.stats(),
    protocols: { h1: sent - h2, h2 },
  };
}

/** undici's own graceful close cannot be cut short: an Agent that is closing forgets what it would have to destroy. */
async function closeWithin(wire: Wire, cache: HttpCacheInterceptor | undefined, drainMs: number): Promise<void> {
  await wire.drained(drainMs);
  await cache?.settled();
  await wire.transport.destroy();
  wire.sockets.stop();
}
