import { createLimiter, type Decision, type Duration, type Limiter, rateLimitHeaders } from '@warmpath/core';
import { checkOptions, type Rules, rule, stringFrom } from '@warmpath/core/kernel';
import type { Request, RequestHandler, Response } from 'express';
import { clientKey } from './client-key.js';
import { sendProblem } from './problem.js';

export interface RateLimitOptions {
  /** Requests that one client may make in each window. */
  readonly limit: number;
  readonly window: Duration;
  /** Requests that may come at once after a pause. Default: the limit. */
  readonly burst?: number;
  /** Names the policy in headers, metrics and errors. Default `'http'`. */
  readonly name?: string;
  /** Who counts as one client; not asynchronous. Default: the tenant, else the address (an IPv6 client is its /56). */
  readonly key?: (req: Request, res: Response) => string;
  /** What one request costs. Default 1. */
  readonly weight?: (req: Request) => number;
  /** Requests that are not counted. */
  readonly skip?: (req: Request) => boolean;
}

const rules: Rules<RateLimitOptions> = {
  limit: rule.required(rule.positive),
  window: rule.required(rule.positiveDuration),
  burst: rule.positive,
  name: rule.text,
  key: rule.function,
  weight: rule.function,
  skip: rule.function,
};

/**
 * Counts each client's requests and answers those over the limit with 429, `Retry-After` and a problem document; every
 * answer says what is left (`RateLimit`, `RateLimit-Policy`).
 * @param makeLimiter where the counting happens; `warmpath()` passes its runtime's, so that the snapshot shows it
 */
export function rateLimit(
  options: RateLimitOptions,
  makeLimiter: (name: string, options: { limit: number; window: Duration; burst?: number }) => Limiter = standalone,
): RequestHandler {
  checkOptions('rateLimit()', options, rules);
  const { limit, window, burst, name = 'http', key = clientKey, weight = () => 1, skip = () => false } = options;
  const limiter = makeLimiter(name, { limit, window, ...(burst === undefined ? {} : { burst }) });

  return function warmpathRateLimit(req, res, next) {
    if (skip(req)) return next();
    const decision = limiter.tryTake(stringFrom('rateLimit()', 'key', key(req, res)), weight(req));
    const { 'Retry-After': retryAfter, ...standing } = rateLimitHeaders(limiter, decision);
    for (const [header, value] of Object.entries(standing)) res.append(header, value);
    if (decision.ok) return next();
    if (retryAfter !== undefined) res.setHeader('Retry-After', retryAfter);
    sendProblem(res, refusal(limiter, decision));
  };
}

function standalone(name: string, options: { limit: number; window: Duration; burst?: number }): Limiter {
  return createLimiter({ name, ...options });
}

/** The problem type is the one that the RateLimit draft registers. */
function refusal(limiter: Limiter, decision: Extract<Decision, { ok: false }>) {
  const seconds = Math.max(1, Math.ceil(decision.waitMs / 1000));
  const impossible = decision.reason === 'impossible';
  const detail = impossible
    ? `This request costs more than '${limiter.name}' ever allows at once.`
    : `'${limiter.name}' allows ${limiter.limit} requests in ${limiter.windowMs / 1000} s. Try again in ${seconds} s.`;
  return {
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    status: 429,
    detail,
    'violated-policies': [limiter.name],
  };
}
