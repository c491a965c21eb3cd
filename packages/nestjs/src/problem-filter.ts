import type { ServerResponse } from 'node:http';
import { type ArgumentsHost, Catch, type ExceptionFilter, Logger } from '@nestjs/common';
import { answerHeaders, problemHeaders } from '@warmpath/core/kernel';
import { exceptionProblem } from './exception-problem.js';
import type { PlatformResponse } from './http-response.js';

interface Replying {
  status(code: number): this;
  removeHeader(name: string): unknown;
  header(name: string, value: string): this;
  send(body: string): unknown;
}

/**
 * Answers every error over HTTP as a problem document (RFC 9457, `application/problem+json`): an HttpException with its
 * status, a WarmpathError with the one that fits its code, anything else with 500 and no details. What is the server's
 * fault is logged, once. Errors of other transports are thrown on. Optional: `app.useGlobalFilters(new ProblemFilter())`.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  readonly #logger = new Logger('ProblemFilter');

  catch(error: unknown, host: ArgumentsHost): void {
    if (host.getType() !== 'http') throw error;
    const response = host.switchToHttp().getResponse<ServerResponse & PlatformResponse & Replying>();
    const raw = response.raw ?? response;
    if (raw.destroyed) return; // the client has left, and what it left is no failure of ours
    const problem = exceptionProblem(error);
    if (problem.status >= 500) this.#logger.error(error);
    if (raw.headersSent) {
      raw.destroy(); // a truncated answer must not look complete
      return;
    }
    for (const name of answerHeaders) response.removeHeader(name);
    for (const [name, value] of Object.entries(problemHeaders(problem))) response.header(name, value);
    const { retryAfterMs: _wait, shouldRetry: _again, ...document } = problem;
    response.status(problem.status).send(JSON.stringify(document));
  }
}
