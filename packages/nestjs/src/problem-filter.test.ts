import { type ArgumentsHost, BadGatewayException, BadRequestException, NotFoundException } from '@nestjs/common';
import { markSpent, WarmpathError } from '@warmpath/core/kernel';
import { describe, expect, it } from 'vitest';
import { exceptionProblem, ProblemFilter } from './index.js';

describe('ProblemFilter', () => {
  it.each(['rpc', 'ws', 'graphql'])('leaves errors of %s to whatever answers there', (type) => {
    const host = {
      getType: () => type,
      switchToHttp: () => ({ getResponse: () => undefined }),
    } as unknown as ArgumentsHost;
    const error = new Error('not ours');
    expect(() => new ProblemFilter().catch(error, host)).toThrow(error);
  });
});

describe('exceptionProblem()', () => {
  it.each([
    ['one sentence', new BadRequestException('name is missing'), 'name is missing'],
    ['a list', new BadRequestException(['a must be x', 'b must be y']), 'a must be x; b must be y'],
    ['a body of its own', new BadRequestException({ message: ['a must be x'], extra: 1 }), 'a must be x'],
    ['an empty list', new BadRequestException([]), 'Bad Request Exception'],
    ['a list of no sentences', new BadRequestException([{ property: 'a' }] as never), 'Bad Request Exception'],
    ['a body without a message', new BadRequestException({ extra: 1 }), 'Bad Request Exception'],
  ])('tells what an exception says: %s', (_what, error, detail) => {
    expect(exceptionProblem(error)).toMatchObject({ status: 400, detail });
  });

  it('lets the last of several failures speak, as a fallback tells them', () => {
    const open = new WarmpathError('WP_BREAKER_OPEN', 'x', { details: { retryAfterMs: 900 } });
    const spent = markSpent(new Error('The model is down.'));
    expect(exceptionProblem(new AggregateError([spent, new NotFoundException('No such image.')]))).toMatchObject({
      status: 404,
      detail: 'No such image.',
    });
    expect(exceptionProblem(new AggregateError([spent, new BadGatewayException('No model answers.')]))).toMatchObject({
      status: 502,
      detail: 'No model answers.',
      shouldRetry: false,
    });
    expect(exceptionProblem(new AggregateError([spent, open]))).toMatchObject({ status: 503, retryAfterMs: 900 });
  });

  it('says that our own retries are behind an exception', () => {
    const cause = markSpent(new Error('The model is down.'));
    expect(exceptionProblem(new BadGatewayException('No model answers.', { cause }))).toMatchObject({
      shouldRetry: false,
    });
    expect(exceptionProblem(new BadGatewayException('No model answers.'))).not.toHaveProperty('shouldRetry');
  });
});
