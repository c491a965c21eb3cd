import { AsyncLocalStorage } from 'node:async_hooks';
import type { CallContext, Warmpath } from '@warmpath/core';
import { runInContext } from '@warmpath/core';
import { callerRetriesFrom, tenantFrom } from '@warmpath/core/kernel';
import { responseSignal } from '@warmpath/core/streaming';
import type { Request, RequestHandler, Response } from 'express';

/** What every later handler of a request can know, as `res.locals.warmpath` or through `warmpathOf(res)`. */
export interface RequestState {
  readonly runtime: Warmpath;
  readonly tenant: string | undefined;
  /** Aborted when the client leaves before the answer has been sent. */
  readonly signal: AbortSignal;
}

const states = new WeakMap<Response, RequestState>();

/** The tenant of a request, where it has passed `warmpath()` and that knows one. */
export function tenantOf(res: Response): string | undefined {
  return states.get(res)?.tenant;
}

/** The state of a request that has passed `warmpath()`. */
export function warmpathOf(res: Response): RequestState {
  const state = states.get(res);
  if (!state) throw new TypeError('This response has not passed warmpath(): put app.use(warmpath()) before the route.');
  return state;
}

/** Runs the rest of the request in a CallContext: who asks, for which time, until when, and a signal for when nobody does any more. */
export function requestContext(options: {
  readonly runtime: Warmpath;
  readonly tenant: ((req: Request) => string | undefined) | undefined;
  readonly timeoutMs: number | undefined;
}): RequestHandler {
  const { runtime, timeoutMs } = options;
  return function warmpathContext(req, res, next) {
    const tenant = tenantFrom('warmpath()', options.tenant?.(req));
    const signal = responseSignal(res);
    const state = { runtime, tenant, signal };
    states.set(res, state);
    res.locals.warmpath = state;
    const context: Partial<CallContext> = {
      tenant,
      signal,
      deadline: timeoutMs === undefined ? undefined : runtime.clock.now() + timeoutMs,
      callerRetries: callerRetriesFrom(req.headers['x-stainless-retry-count']),
    };
    runInContext(context, () => {
      keepInEvents(req);
      next();
    });
  };
}

const snapshots = new WeakMap<Request, <T>(run: () => T) => T>();

/** Events come from the socket, outside any context: a parser that calls `next` from one of them would lose it. */
function keepInEvents(req: Request): void {
  const first = !snapshots.has(req);
  snapshots.set(req, AsyncLocalStorage.snapshot());
  if (!first) return;
  const { emit } = req;
  req.emit = (...event: Parameters<typeof emit>) => snapshots.get(req)?.(() => emit.apply(req, event)) ?? false;
}
