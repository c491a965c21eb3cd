import type { ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import { exceptionProblem } from './exception-problem.js';
import type { PlatformResponse } from './http-response.js';

/** What a handler may have said of the answer that it then could not give. */
const answerHeaders = [
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Range',
  'ETag',
  'Expires',
];

interface Replying {
  status(code: number): this;
  header(name: string, value: string): this;
  send(body: string): unknown;
}

/**
 * Answers every error over HTTP as a problem document (RFC 9457, `application/problem+json`): an HttpException with its
 * status, a WarmpathError with the one that fits its code, anything else with 500 and no details. What is the server's
 * fault is logged, once. Optional: `app.useGlobalFilters(new ProblemFilter())`.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger = new Logger('ProblemFilter');

  catch(error: unknown, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<ServerResponse & PlatformResponse & Replying>();
    const raw = response.raw ?? response;
    if (raw.destroyed) return; // the client has left, and what it left is no failure of ours
    const { retryAfterMs, ...problem } = exceptionProblem(error);
    if (problem.status >= 500) this.#logger.error(error);
    if (raw.headersSent) {
      raw.destroy(); // a truncated answer must not look complete
      return;
    }
    for (const name of answerHeaders) raw.removeHeader(name);
    if (retryAfterMs !== undefined) response.header('Retry-After', seconds(retryAfterMs));
    response.status(problem.status).header('Cache-Control', 'no-store');
    response.header('Content-Type', 'application/problem+json').send(JSON.stringify(problem));
  }
}

function seconds(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)));
}
