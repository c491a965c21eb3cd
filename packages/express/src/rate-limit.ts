import {
  type Cost,
  createLimiter,
  type Decision,
  type Duration,
  type Limit,
  type Limiter,
  type LimiterOptions,
  type Reservation,
  rateLimitHeaders,
} from '@warmpath/core';
import { checkOptions, type Rules, rule, stringFrom } from '@warmpath/core/kernel';
import { checkLimiter, limiterRules } from '@warmpath/core/limiter';
import { responseSignal } from '@warmpath/core/streaming';
import type { Request, RequestHandler, Response } from 'express';
import { clientKey } from './client-key.js';
import { choiceOfPlan, plansRule } from './plans.js';
import { sendProblem } from './problem.js';
import { refusalProblem } from './refusal-problem.js';

/** What a limiter takes, and what a request is to it. */
export interface RateLimitOptions
  extends Omit<LimiterOptions, 'name' | 'timeout' | 'clock' | 'random' | 'onEvent' | 'adaptive'> {
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
  /** Who goes first where several wait for one key: from 0, the most urgent, to 9. Default 5. */
  readonly priority?: (req: Request) => number;
  /** In the place of limits for all: those of each plan, which counts by itself and is named `name.plan`. */
  readonly plans?: Readonly<Record<string, readonly Limit[]>>;
  /** Which of the plans is that of a request; not asynchronous. */
  readonly plan?: (req: Request, res: Response) => string;
}

type OwnOptions = 'name' | 'key' | 'cost' | 'skip' | 'wait' | 'priority' | 'plans' | 'plan';

type MakeLimiter = (name: string, options: Omit<RateLimitOptions, OwnOptions>) => Limiter;

const {
  name: _name,
  timeout: _timeout,
  clock: _clock,
  random: _random,
  onEvent: _onEvent,
  adaptive: _adaptive,
  ...limitRules
} = limiterRules;
const rules: Rules<RateLimitOptions> = {
  ...limitRules,
  name: rule.text,
  key: rule.function,
  cost: rule.function,
  skip: rule.function,
  wait: rule.duration,
  priority: rule.function,
  plans: plansRule,
  plan: rule.function,
};
const where = 'rateLimit()';

/**
 * Counts each client's requests and answers those over the limit with 429, `Retry-After` and a problem document; every
 * answer says what is left (`RateLimit`, `RateLimit-Policy`). Where nobody can tell, since the store of the limits is away and
 * `onStoreError` says to refuse, the answer is 503. A limit with `concurrent` counts requests until they are answered or their
 * client has left, but none for longer than `leaseTtl`.
 * @param makeLimiter where the counting happens; `warmpath()` passes its runtime's, so that the snapshot shows it
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function rateLimit(options: RateLimitOptions, makeLimiter: MakeLimiter = standalone): RequestHandler {
  checkOptions(where, options, rules);
  const { name = 'http', key = clientKey, cost, skip = () => false, wait = 0, priority, plans, plan, ...own } = options;
  const policy = (policyName: string, limits: typeof own): Policy => {
    checkLimiter({ ...limits, name: policyName }, where);
    const holds = limits.limits?.some((limit) => 'concurrent' in limit) ?? false;
    return { limiter: makeLimiter(policyName, limits), holds };
  };
  const policyOf =
    choiceOfPlan(where, { plans, plan }, (its, limits) => policy(`${name}.${its}`, { ...own, limits })) ??
    always(policy(name, own));

  return function warmpathRateLimit(req, res, next) {
    if (skip(req)) return next();
    const { limiter, holds } = policyOf(req, res);
    const answer = (decision: Decision): void => {
      if (res.headersSent) return; // while it waited, somebody else has answered
      const { 'Retry-After': retryAfter, ...standing } = rateLimitHeaders(limiter, decision);
      for (const [header, value] of Object.entries(standing)) res.append(header, value);
      if (decision.ok) {
        next();
      } else {
        if (retryAfter !== undefined) res.setHeader('Retry-After', retryAfter);
        sendProblem(res, refusalProblem(limiter.name, decision));
      }
    };
    const payer = stringFrom(where, 'key', key(req, res));
    const price = cost?.(req);
    if (wait === 0 && !holds && !limiter.isShared) return answer(limiter.tryTake(payer, price));
    const call = { timeout: wait, signal: responseSignal(res), ...(priority && { priority: priority(req) }) };
    const turn = holds ? hold(limiter.reserve(payer, price, call), res) : limiter.take(payer, price, call);
    turn.then(answer, next);
  };
}

interface Policy {
  readonly limiter: Limiter;
  /** Whether requests take a place until they are answered. */
  readonly holds: boolean;
}

function always<T>(value: T): () => T {
  return () => value;
}

/** Its place is free again when the answer is out, or its client has left. */
async function hold(reserving: Promise<Reservation>, res: Response): Promise<Decision> {
  const reservation = await reserving;
  if (reservation.ok) {
    const { lease } = reservation;
    if (res.closed) lease.settle();
    else res.once('close', () => lease.settle());
  }
  return reservation;
}

function standalone(name: string, options: Omit<RateLimitOptions, OwnOptions>): Limiter {
  return createLimiter({ name, ...options });
}
