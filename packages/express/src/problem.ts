import { type Problem, problemOf } from '@warmpath/core';
import type { ErrorRequestHandler, Request, Response } from 'express';

/** An error that tells its client everything: thrown by a route, sent as a problem document. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly status: number;
  readonly title: string;
  readonly expose = true;

  /** @param detail what is wrong, why, and how to mend it */
  constructor(status: number, title: string, detail: string) {
    super(detail);
    this.status = status;
    this.title = title;
  }
}

/** Sends a problem document (RFC 9457), with `Retry-After` where the problem knows when to come back. */
export function sendProblem(res: Response, problem: Problem): void {
  const { retryAfterMs, ...document } = problem;
  if (retryAfterMs !== undefined) res.setHeader('Retry-After', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  res.status(problem.status).type('application/problem+json').send(JSON.stringify(document));
}

export interface ProblemHandlerOptions {
  /** Hears of each failure (status 500 and above) once. Default: console.error. */
  readonly log?: (error: unknown, req: Request) => void;
}

/**
 * The last handler of an app: turns whatever a route threw into a problem document. A failure after the first byte
 * cannot be told any more: the connection is cut, so that the client sees a broken answer and not a short one.
 */
export function problemHandler({ log = logFailure }: ProblemHandlerOptions = {}): ErrorRequestHandler {
  return function warmpathProblem(error, req, res, _next) {
    if (req.destroyed && res.closed) return; // the client has left: nobody to tell, nothing to mend
    const problem = bodyProblem(error) ?? problemOf(error);
    if (problem.status >= 500) log(error, req);
    if (res.headersSent) res.destroy();
    else sendProblem(res, problem);
  };
}

/** The body parsers of Express say what went wrong by `type`, in words that are not meant for a client. */
function bodyProblem(error: unknown): Problem | undefined {
  const { type, message, limit, status } = (error ?? {}) as Record<string, unknown>;
  const details: Record<string, () => string> = {
    'entity.parse.failed': () => `The body is not the JSON that its Content-Type promises: ${message}.`,
    'entity.too.large': () => `The body is over the limit of ${limit} bytes. Send a shorter one.`,
    'encoding.unsupported': () => 'The Content-Encoding is not one that this server reads. Send the body uncompressed.',
    'charset.unsupported': () => 'The charset is not one that this server reads. Send the body in UTF-8.',
  };
  const detail = typeof type === 'string' ? details[type]?.() : undefined;
  return detail ? { ...problemOf({ status }), detail } : undefined;
}

function logFailure(error: unknown, req: Request): void {
  console.error(`${req.method} ${req.originalUrl.split('?')[0]} failed:`, error);
}
