import { HttpException } from '@nestjs/common';
import { type Problem, problemOf } from '@warmpath/core/kernel';
import { RateLimitedException } from './rate-limited-exception.js';

/**
 * What a client may be told of an exception: an HttpException and a refusal of Fastify's parsers speak for themselves, also as the last of
 * several failures (AggregateError).
 */
export function exceptionProblem(error: unknown): Problem {
  const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  if (last instanceof RateLimitedException) {
    return { ...problemOf(speaking(error, last.message, last.getStatus())), ...last.problem };
  }
  if (last instanceof HttpException) return problemOf(speaking(error, saidBy(last), last.getStatus()));
  if (isFastifyRefusal(last)) return problemOf(speaking(error, last.message, last.statusCode));
  return problemOf(error);
}

/** Its message; what it lists in place of one, as a validation does, is not in its `message`. */
function saidBy(exception: HttpException): string {
  const { message } = Object(exception.getResponse()) as { message?: unknown };
  const listed = Array.isArray(message) ? message.filter((each) => typeof each === 'string') : [];
  return listed.length > 0 ? listed.join('; ') : exception.message;
}

/** An error that clients may read, in the place of one whose causes are not forgotten: our own retries may be behind it. */
function speaking(cause: unknown, message: string, status: number): Error {
  return Object.assign(new Error(message, { cause }), { status, expose: true });
}

function isFastifyRefusal(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error && 'code' in error && 'statusCode' in error)) return false;
  const { code, statusCode } = error;
  return typeof code === 'string' && code.startsWith('FST_') && typeof statusCode === 'number' && statusCode < 500;
}
