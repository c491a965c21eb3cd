import { answerHeaders, checkOptions, type Problem, problemHeaders, problemOf, rule } from '@warmpath/core/kernel';
import { responseSignal } from '@warmpath/core/streaming';
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

/**
 * Sends a problem document (RFC 9457), never to be cached, with `Retry-After` where the problem knows when to come back, and with
 * `X-Should-Retry: false` where SDKs are not to ask again by themselves.
 */
export function sendProblem(res: Response, problem: Problem): void {
  const { retryAfterMs: _wait, shouldRetry: _again, ...document } = problem;
  for (const name of answerHeaders) res.removeHeader(name);
  res.status(problem.status).set(problemHeaders(problem)).send(JSON.stringify(document));
}

export interface ProblemHandlerOptions {
  /** Hears of each failure (status 500 and above) once. Default: console.error. */
  readonly log?: (error: unknown, req: Request) => void;
  /** Hears of each refusal (status below 500) once, with what its client was told. Default: nobody. */
  readonly logRefusal?: (problem: Problem, req: Request) => void;
}

/**
 * The last handler of an app: turns whatever a route threw into a problem document. A failure in the middle of an
 * answer cannot be told any more: the connection is cut, so that the client sees a broken answer and not a short one.
 */
export function problemHandler(options: ProblemHandlerOptions = {}): ErrorRequestHandler {
  checkOptions('problemHandler()', options, { log: rule.function, logRefusal: rule.function });
  const { log = logFailure, logRefusal } = options;
  return function warmpathProblem(error, req, res, _next) {
    if (responseSignal(res).aborted) return; // the client has left: nobody to tell, nothing to mend
    const problem = bodyProblem(error) ?? problemOf(error);
    if (problem.status >= 500) log(error, req);
    else logRefusal?.(problem, req);
    if (res.writableEnded) return; // the answer was complete before the failure
    if (res.headersSent) res.destroy();
    else sendProblem(res, problem);
  };
}

/** The body parsers of Express say what went wrong by `type`, in words that are not meant for a client. */
function bodyProblem(error: unknown): Problem | undefined {
  const { type, message, limit } = (error ?? {}) as Record<string, unknown>;
  const details: Record<string, () => string> = {
    'entity.parse.failed': () => `The body is not the JSON that its Content-Type promises: ${message}.`,
    'entity.too.large': () => `The body is over the limit of ${limit} bytes. Send a shorter one.`,
    'encoding.unsupported': () => 'The Content-Encoding is not one that this server reads. Send the body uncompressed.',
    'charset.unsupported': () => 'The charset is not one that this server reads. Send the body in UTF-8.',
  };
  const detail = typeof type === 'string' && Object.hasOwn(details, type) ? details[type]?.() : undefined;
  return detail ? { ...problemOf(error), detail } : undefined;
}

export function logFailure(error: unknown, req: Request): void {
  console.error(`${req.method} ${req.originalUrl.split('?')[0]} failed:`, error);
}
