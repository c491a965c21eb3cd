import { createWarmpath, type Duration, type Warmpath } from '@warmpath/core';
import { badOption, checkOptions, durationMs, type Rules, rule } from '@warmpath/core/kernel';
import type { Request, RequestHandler } from 'express';
import { gzip } from './gzip.js';
import { performancePage } from './performance-page.js';
import { type RateLimitOptions, rateLimit } from './rate-limit.js';
import { requestContext } from './request-context.js';

export interface WarmpathMiddlewareOptions {
  /** What the routes share. Default: a new runtime without models. */
  readonly runtime?: Warmpath;
  /** Who asks; part of every cache key and the default client of the rate limit. Default: nobody in particular. */
  readonly tenant?: (req: Request) => string | undefined;
  /** How long a request may take; what waits on its behalf gives up then. Default: as long as it likes. */
  readonly timeout?: Duration;
  /** Default: no limit. */
  readonly rateLimit?: false | RateLimitOptions;
  /** Compress answers, letting streams through. Default true. */
  readonly gzip?: boolean;
  /** Where the snapshot is served as JSON; false: nowhere. Default `'/performance'`. */
  readonly performance?: false | string;
}

const where = 'warmpath()';
const rules: Rules<WarmpathMiddlewareOptions> = {
  runtime: rule.withMethods('a runtime made by createWarmpath()', 'cache', 'limiter', 'snapshot', 'close'),
  tenant: rule.function,
  timeout: rule.positiveDuration,
  rateLimit: rule.either(rule.oneOf(false), rule.object),
  gzip: rule.boolean,
  performance: rule.either(rule.oneOf(false), rule.text),
};

/**
 * One line that gives every request its context, compresses answers, serves the snapshot and keeps to a rate limit, in
 * this order: `app.use(warmpath({ rateLimit: { limit: 60, window: '1m' } }))`.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function warmpath(options: WarmpathMiddlewareOptions = {}): RequestHandler {
  checkOptions(where, options, rules);
  const { tenant, timeout, performance = '/performance' } = options;
  const runtime = options.runtime ?? createWarmpath();
  if (performance !== false && !/^\/[^?#]*$/.test(performance)) {
    throw badOption(where, 'performance', "a path that begins with '/' and has no '?' or '#', or false", performance);
  }
  const handlers: RequestHandler[] = [
    requestContext({ runtime, tenant, timeoutMs: timeout === undefined ? undefined : durationMs(timeout) }),
  ];
  if (options.gzip ?? true) handlers.push(gzip());
  if (performance !== false) handlers.push(performancePage(runtime, performance));
  if (options.rateLimit) handlers.push(rateLimit(options.rateLimit, runtime.limiter));
  return inOrder(handlers);
}

/** One handler that runs these after each other, each inside what the one before it has set up. */
function inOrder(handlers: readonly RequestHandler[]): RequestHandler {
  return function warmpathMiddleware(req, res, next) {
    const step = (index: number): void => {
      const handler = handlers[index];
      if (!handler) next();
      else handler(req, res, (error?: unknown) => (error === undefined ? step(index + 1) : next(error)));
    };
    step(0);
  };
}
