import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CallContext, type Clock, callerRetriesFrom, runInContext, tenantFrom } from '@warmpath/core/kernel';
import { responseSignal } from '@warmpath/core/streaming';

export type TenantOf = (request: IncomingMessage) => string | undefined;

/** Middleware on the raw request and response, which Express and Fastify both hand out. */
export type RawMiddleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void;

const responses = new AsyncLocalStorage<ServerResponse>();
const refusals = new WeakMap<
  ServerResponse,
  { readonly status: number; readonly headers: Readonly<Record<string, string>> }
>();

/** Gives each request its CallContext: its tenant, its deadline, and a signal that is aborted when the client leaves. */
export function requestContext(options: {
  readonly tenantOf: TenantOf | undefined;
  readonly timeoutMs: number | undefined;
  readonly clock: Clock;
}): RawMiddleware {
  const { tenantOf, timeoutMs, clock } = options;
  return function warmpathContext(req, res, next) {
    let tenant: string | undefined;
    try {
      tenant = tenantFrom('WarmpathModule', tenantOf?.(req));
    } catch (error) {
      next(error);
      return;
    }
    const deadline = timeoutMs === undefined ? undefined : clock.now() + timeoutMs;
    const callerRetries = callerRetriesFrom(req.headers['x-stainless-retry-count']);
    const context: Partial<CallContext> = { tenant, deadline, callerRetries, signal: responseSignal(res) };
    responses.run(res, () => runInContext(context, next));
  };
}

/**
 * Has the headers of a refusal sent if the request is answered with it: only an answer with its status carries them, so a
 * refusal that a fallback has mended leaves no trace, and whichever filter of the app answers needs to know nothing.
 */
export function announceRefusal(status: number, headers: Readonly<Record<string, string>>): void {
  const response = responses.getStore();
  if (!response || response.headersSent) return;
  if (!refusals.has(response)) sendWithRefusal(response);
  refusals.set(response, { status, headers });
}

function sendWithRefusal(response: ServerResponse): void {
  const writeHead = response.writeHead;
  response.writeHead = function writeHeadWithRefusal(this: ServerResponse, ...args: [status: number]) {
    const refusal = refusals.get(this);
    if (args[0] === refusal?.status && !this.headersSent) {
      for (const [name, value] of Object.entries(refusal.headers)) this.setHeader(name, value);
    }
    return writeHead.apply(this, args);
  } as ServerResponse['writeHead'];
}
