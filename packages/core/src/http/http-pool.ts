import { Agent, fetch as undiciFetch } from 'undici';
import {
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Rules,
  rule,
  systemClock,
  WarmpathError,
} from '../kernel/index.js';
import { meterReuse } from './reuse-meter.js';

/** The part of the standard `fetch` that a pool offers. */
export type PoolFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export interface HttpPoolOptions {
  /** In errors. Default `'http'`. */
  readonly name?: string;
  /** The most sockets to one origin; further requests wait for one. Default 16, where undici has no limit. */
  readonly connections?: number;
  /** How long an idle socket stays open when the server says nothing else. Default `'30s'`; keep it below the server's. */
  readonly keepAlive?: Duration;
  /** How long the opening of a socket may take, 0 for no limit. Default `'10s'`. */
  readonly connectTimeout?: Duration;
  /**
   * How long the headers of an answer may take, 0 for no limit. Default 0: the caller's signal decides. undici's own 300 s
   * end a slow answer of a model that is still at work.
   */
  readonly headersTimeout?: Duration;
  /** The longest pause between two pieces of a body, 0 for no limit. Default `'2m'`: a body that has begun and stops is dead. */
  readonly bodyTimeout?: Duration;
  readonly clock?: Clock;
}

export interface HttpPoolStats {
  /** Sent on a socket so far. */
  readonly requests: number;
  /** Sockets opened so far. */
  readonly dials: number;
  /** The share of requests that went over a socket already open, from 0 to 1; 0 before the first. */
  readonly reuse: number;
}

export interface HttpPool {
  readonly fetch: PoolFetch;
  stats(): HttpPoolStats;
  /** Takes no further requests, gives those under way 5 s to end, then ends all sockets. Idempotent. */
  close(): Promise<void>;
}

const rules: Rules<HttpPoolOptions> = {
  name: rule.text,
  connections: rule.integer(1, 10_000),
  keepAlive: rule.positiveDuration,
  connectTimeout: rule.duration,
  headersTimeout: rule.duration,
  bodyTimeout: rule.duration,
  clock: ambientRules.clock,
};

const closingMs = 5_000;

/** A pool keeps sockets to this many origins; a request to one more fails. */
const mostOrigins = 100;

/**
 * Sockets that stay open between requests, bounded per origin, behind the standard `fetch`. Its `fetch` rejects as the standard says (a TypeError when the server cannot be reached, the
 * signal's reason), and with `WP_CLOSED` after `close`.
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function createHttpPool(options?: HttpPoolOptions): HttpPool {
  checkOptions('createHttpPool()', options, rules);
  const { name = 'http', connections = 16, keepAlive = '30s', connectTimeout = '10s' } = options ?? {};
  const { headersTimeout = 0, bodyTimeout = '2m', clock = systemClock } = options ?? {};
  const meter = meterReuse();
  const agent = new Agent({
    connections,
    keepAliveTimeout: durationMs(keepAlive),
    connect: meter.connector({ timeout: durationMs(connectTimeout) }),
    headersTimeout: durationMs(headersTimeout),
    bodyTimeout: durationMs(bodyTimeout),
    maxOrigins: mostOrigins,
    pipelining: 1,
  });
  let closing: Promise<void> | undefined;

  return {
    async fetch(url, init) {
      if (closing) {
        throw new WarmpathError('WP_CLOSED', `The HTTP pool '${name}' has been closed.`, { details: { pool: name } });
      }
      // The same standard in two sets of types: undici's own and those of the platform.
      const pooled = { ...init, dispatcher: agent } as unknown as Parameters<typeof undiciFetch>[1];
      return (await undiciFetch(url, pooled)) as unknown as Response;
    },
    stats: meter.stats,
    close() {
      closing ??= closeWithin(agent, closingMs, clock).finally(meter.stop);
      return closing;
    },
  };
}

/** A body that nobody reads any more would keep a graceful close waiting for ever. */
async function closeWithin(agent: Agent, limitMs: number, clock: Clock): Promise<void> {
  const timer = clock.schedule(limitMs, () => void agent.destroy());
  try {
    await agent.close();
  } finally {
    timer.cancel();
  }
}
