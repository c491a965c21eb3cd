import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  errorCodes,
  markSpent,
  type Problem,
  problemHeaders,
  problemOf,
  WarmpathError,
  type WarmpathErrorCode,
} from './index.js';

const refusing = (extra: object): Error => Object.assign(new Error('The body is no JSON.'), extra);

describe('problemOf', () => {
  it.each<[WarmpathErrorCode, number, string]>([
    ['WP_TENANT_REQUIRED', 401, 'Unauthorized'],
    ['WP_MODEL_REQUEST', 502, 'Bad gateway'],
    ['WP_HTTP_STATUS', 502, 'Bad gateway'],
    ['WP_OVERLOADED', 503, 'Service unavailable'],
    ['WP_BREAKER_OPEN', 503, 'Service unavailable'],
    ['WP_DEADLINE', 504, 'Gateway timeout'],
    ['WP_BAD_OPTION', 500, 'Internal server error'],
  ])('tells %s as status %d', (code, status, title) => {
    const problem = problemOf(new WarmpathError(code, 'The key sk-1234 was refused.'));
    expect(problem).toMatchObject({ type: `urn:warmpath:${code}`, title, status, code });
    expect(problem.detail).not.toContain('sk-1234');
  });

  it('has a status for every code, and says when to come back where that is known', () => {
    for (const code of Object.keys(errorCodes) as WarmpathErrorCode[]) {
      const problem = problemOf(new WarmpathError(code, 'It is so.', { details: { retryAfterMs: 250 } }));
      expect(problem.status).toBeGreaterThanOrEqual(400);
      expect(problem.retryAfterMs).toBe(250);
    }
    const never = problemOf(new WarmpathError('WP_OVERLOADED', 'Full.', { details: { retryAfterMs: Number.NaN } }));
    expect(never).not.toHaveProperty('retryAfterMs');
  });

  it.each([
    ['a status', { status: 415, expose: true }, 415],
    ['a statusCode', { statusCode: 413, expose: true }, 413],
    ['a status above 500', { status: 503, expose: true }, 503],
    ['no status', { expose: true }, 500],
  ])('lets an error with leave to be shown and %s speak for itself', (_, extra, status) => {
    expect(problemOf(refusing(extra))).toMatchObject({ status, detail: 'The body is no JSON.' });
  });

  it.each([
    ['an error of nobody', new Error('password=1234'), 500],
    ['a 5xx', refusing({ status: 502 }), 500],
    ['a 4xx that is not to be shown', refusing({ status: 404, expose: false }), 500],
    ["another service's refusal", refusing({ status: 401 }), 500],
    ['a text', 'password=1234', 500],
    ['nothing', undefined, 500],
    ['an object with a status', { status: 404, expose: true, message: 'password=1234' }, 500],
    ['a status of another kind', refusing({ status: Symbol('404') }), 500],
    ['a status that is none', refusing({ status: 200 }), 500],
    ['a status out of range', refusing({ status: 700 }), 500],
  ])('tells of %s only that it happened', (_, error, status) => {
    const problem = problemOf(error);
    expect(problem.status).toBe(status);
    expect(problem.detail).toBe('The request failed on the server. Its log says why.');
  });

  it('knows an address that Express could not decode', () => {
    const error = Object.assign(new URIError("Failed to decode param '%E0'"), { status: 400 });
    expect(problemOf(error)).toMatchObject({ status: 400, detail: "Failed to decode param '%E0'" });
  });

  it('takes title and type from an error that may speak, when they are what they should be', () => {
    const type = 'https://docs.example/too-large';
    expect(problemOf(refusing({ status: 413, expose: true, title: 'Too large', type }))).toMatchObject({
      title: 'Too large',
      type,
    });
    // A body parser's `type` is a word of its own, not an address.
    expect(problemOf(refusing({ status: 400, expose: true, type: 'entity.parse.failed' }))).toMatchObject({
      title: 'Bad request',
      type: 'about:blank',
    });
  });

  it('tells the last of several failures, with the shortest wait of all', () => {
    const busy = new WarmpathError('WP_MODEL_REQUEST', 'x', { details: { status: 429, retryAfterMs: 900 } });
    const open = new WarmpathError('WP_BREAKER_OPEN', 'x', { details: { retryAfterMs: 5_000 } });
    expect(problemOf(new AggregateError([busy, open]))).toMatchObject({ code: 'WP_BREAKER_OPEN', retryAfterMs: 900 });
    expect(problemOf(new AggregateError([open, new AggregateError([busy])]))).toMatchObject({ status: 502 });
    expect(problemOf(new AggregateError([open, new Error('password=1234')]))).toMatchObject({ status: 500 });
    expect(problemOf(new AggregateError([]))).toMatchObject({ status: 500 });
    expect(problemOf(Object.assign(new AggregateError([busy]), { errors: undefined }))).toMatchObject({ status: 500 });
  });

  it('makes a complete document of anything that can be thrown', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.object().map(refusing)), (thrown) => {
        const { type, title, status, detail }: Problem = problemOf(thrown);
        expect([type, title, detail].every((text) => typeof text === 'string' && text !== '')).toBe(true);
        expect(Number.isInteger(status) && status >= 400 && status <= 599).toBe(true);
      }),
    );
  });
});

describe('X-Should-Retry', () => {
  const own = (code: WarmpathErrorCode, details = {}): Error => new WarmpathError(code, 'x', { details });
  const told = (error: unknown): string | undefined => problemHeaders(problemOf(error))['X-Should-Retry'];

  it.each<[string, unknown]>([
    ['retries are spent', markSpent(own('WP_MODEL_REQUEST', { status: 503 }))],
    ['retries are spent in time', markSpent(own('WP_DEADLINE'))],
    ['retries are spent on a stream', markSpent(own('WP_STREAM_INCOMPLETE', { retryable: true }))],
    ['retries are spent behind an error of the route', new Error('x', { cause: markSpent(new Error('y')) })],
    [
      'retries are spent at one of several',
      new AggregateError([markSpent(own('WP_HTTP_FAILED')), own('WP_HTTP_STATUS')]),
    ],
    ['the model refuses us', own('WP_MODEL_REQUEST', { status: 401 })],
    ['an option is bad', own('WP_BAD_OPTION')],
    ['the program is wrong', new TypeError('x is not a function')],
  ])('is false where %s', (_, error) => {
    expect(told(error)).toBe('false');
  });

  it.each<[string, unknown]>([
    ['a failure may pass and nobody has tried again', own('WP_MODEL_REQUEST', { status: 503 })],
    ['nobody knows', new Error('x')],
    ['a quota of ours is used up', own('WP_RATE_LIMITED', { retryAfterMs: 100 })],
    ['a breaker is open', markSpent(own('WP_BREAKER_OPEN', { retryAfterMs: 100 }))],
    ['there is too much to do', own('WP_OVERLOADED')],
    ['this process shuts down', own('WP_CLOSED')],
    ['an answer broke off', own('WP_STREAM_LOST')],
    ['the request is refused', own('WP_TENANT_REQUIRED')],
    ['the request is refused in the words of a parser', refusing({ status: 400, expose: true })],
  ])('is not sent where %s', (_, error) => {
    expect(told(error)).toBeUndefined();
  });
});
