import {
  type Cost,
  createLimiter,
  type Decision,
  type Duration,
  type Lease,
  type Limiter,
  type LimiterOptions,
  type Refused,
  rateLimitHeaders,
} from '@warmpath/core';
import { checkOptions, type Problem, type Rules, rule, stringFrom } from '@warmpath/core/kernel';
import { limiterRules } from '@warmpath/core/limiter';
import type { Request, RequestHandler, Response } from 'express';
import { clientKey } from './client-key.js';
import { sendProblem } from './problem.js';

/** What a limiter takes, and what a request is to it. */
export interface RateLimitOptions
  extends Omit<LimiterOptions, 'name' | 'timeout' | 'clock' | 'random' | 'onEvent' | 'adaptive' | 'leaseTtl'> {
  /** Names the policy in headers, metrics and errors. Default `'http'`. */
  readonly name?: string;
  /** Who counts as one client; not asynchronous. Default: the tenant, else the address (an IPv6 client is its /56). */
  readonly key?: (req: Request, res: Response) => string;
  /** What one request costs. Default 1. */
  readonly cost?: (req: Request) => Cost;
  /** Requests that are not counted. */
  readonly skip?: (req: Request) => boolean;
  /** How long a request over the limit may wait for its turn, instead of being refused. Default 0. */
  readonly wait?: Duration;
}

type OwnOptions = 'key' | 'cost' | 'skip' | 'wait' | 'name';

const {
  name: _name,
  timeout: _timeout,
  clock: _clock,
  random: _random,
  onEvent: _onEvent,
  adaptive: _adaptive,
  leaseTtl: _leaseTtl,
  ...limitRules
} = limiterRules;
const rules: Rules<RateLimitOptions> = {
  ...limitRules,
  name: rule.text,
  key: rule.function,
  cost: rule.function,
  skip: rule.function,
  wait: rule.duration,
};

/**
 * Counts each client's requests and answers those over the limit with 429, `Retry-After` and a problem document; every
 * answer says what is left (`RateLimit`, `RateLimit-Policy`). Where nobody can tell, since the store of the limits is away and
 * `onStoreError` says to refuse, the answer is 503.
 * A limit with `concurrent` counts requests until they are answered.
 * @param makeLimiter where the counting happens; `warmpath()` passes its runtime's, so that the snapshot shows it
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function rateLimit(
  options: RateLimitOptions,
  makeLimiter: (name: string, options: Omit<RateLimitOptions, OwnOptions>) => Limiter = standalone,
): RequestHandler {
  checkOptions('rateLimit()', options, rules);
  const { name = 'http', key = clientKey, cost, skip = () => false, wait = 0, ...limits } = options;
  const limiter = makeLimiter(name, limits);
  const holds = limits.limits?.some((limit) => 'concurrent' in limit) ?? false;

  return function warmpathRateLimit(req, res, next) {
    if (skip(req)) return next();
    const answer = (decision: Decision): void => {
      const { 'Retry-After': retryAfter, ...standing } = rateLimitHeaders(limiter, decision);
      for (const [header, value] of Object.entries(standing)) res.append(header, value);
      if (decision.ok) {
        next();
      } else {
        if (retryAfter !== undefined) res.setHeader('Retry-After', retryAfter);
        sendProblem(res, refusal(limiter, decision));
      }
    };
    const payer = stringFrom('rateLimit()', 'key', key(req, res));
    if (holds) {
      const reserving = limiter.reserve(payer, cost?.(req), { timeout: wait });
      reserving
        .then((reservation) => {
          if (reservation.ok) untilAnswered(res, reservation.lease);
          answer(reservation);
        })
        .catch(next);
    } else if (wait === 0 && !limiter.isShared) answer(limiter.tryTake(payer, cost?.(req)));
    else limiter.take(payer, cost?.(req), { timeout: wait }).then(answer).catch(next);
  };
}

/** Its place is free again when the answer is out, or its client has left. */
function untilAnswered(res: Response, lease: Lease): void {
  if (res.closed) lease.settle();
  else res.once('close', () => lease.settle());
}

function standalone(name: string, options: Omit<RateLimitOptions, OwnOptions>): Limiter {
  return createLimiter({ name, ...options });
}

/** The problem types are those that the RateLimit draft registers. */
function refusal(limiter: Limiter, decision: Refused): Problem & { readonly 'violated-policies'?: readonly string[] } {
  const { waitMs, reason, dimensions } = decision;
  const again = Number.isFinite(waitMs) ? ` Try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s.` : '';
  if (reason === 'store-unavailable') {
    return {
      type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
      title: 'Service unavailable',
      status: 503,
      detail: `Whether '${limiter.name}' has room cannot be told at the moment.${again}`,
    };
  }
  const several = dimensions.length > 1;
  return {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail: `${reason === 'impossible' ? `This request costs more than '${limiter.name}' ever allows at once.` : said(limiter.name, decision)}${again}`,
    'violated-policies': [several ? `${limiter.name}:${decision.dimension}` : limiter.name],
  };
}

function said(name: string, { dimension, dimensions }: Refused): string {
  const binding = dimensions.find((each) => each.dimension === dimension);
  const { limit = 0, unit = 'requests', windowMs = 0 } = binding ?? {};
  if (windowMs === 0) return `'${name}' allows ${limit} requests at a time.`;
  return `'${name}' allows ${limit} ${unit} in ${windowMs / 1000} s.`;
}
