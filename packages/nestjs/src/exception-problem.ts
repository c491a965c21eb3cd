import { HttpException } from '@nestjs/common';
import { type Problem, problemOf } from '@warmpath/core/kernel';

/** What a client may be told of an exception: an HttpException and a refusal of Fastify's parsers speak for themselves. */
export function exceptionProblem(error: unknown): Problem {
  if (error instanceof HttpException) return problemOf(speaking(error, error.getStatus()));
  if (isFastifyRefusal(error)) return problemOf(speaking(error, error.statusCode));
  return problemOf(error);
}

function speaking({ message }: Error, status: number): Error {
  return Object.assign(new Error(message), { status, expose: true });
}

function isFastifyRefusal(error: unknown): error is Error & { statusCode: number } {
  if (!(error instanceof Error && 'code' in error && 'statusCode' in error)) return false;
  const { code, statusCode } = error;
  return typeof code === 'string' && code.startsWith('FST_') && typeof statusCode === 'number' && statusCode < 500;
}
