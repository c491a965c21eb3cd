import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  failureClass,
  isRetryable,
  isSpent,
  markSpent,
  nonRetryable,
  retryAfterMs,
  WarmpathError,
  type WarmpathErrorCode,
  wasNotSent,
} from './index.js';

const failing = (fields: object, message = 'x'): Error => Object.assign(new Error(message), fields);
const own = (code: WarmpathErrorCode, details: object = {}, cause?: unknown): Error =>
  new WarmpathError(code, 'x', { details: { ...details }, cause });
const fetchFailed = (code: string): Error => new TypeError('fetch failed', { cause: failing({ code }) });

class APIUserAbortError extends Error {}
class APIConnectionTimeoutError extends Error {}

describe('what is never tried again', () => {
  it.each<[string, unknown]>([
    ['a marked error', nonRetryable(new Error('x'))],
    ['an error caused by a marked one', new Error('x', { cause: nonRetryable(failing({ status: 503 })) })],
    ['an abort', new DOMException('x', 'AbortError')],
    ["an abort of OpenAI's SDK", new APIUserAbortError('Request was aborted.')],
    ['an abort of axios', Object.assign(new Error('canceled'), { name: 'CanceledError', code: 'ERR_CANCELED' })],
    ['a bug', new TypeError('x is not a function')],
    ['a RangeError', new RangeError('x')],
    ['a ReferenceError', new ReferenceError('x')],
    ['a certificate', fetchFailed('CERT_HAS_EXPIRED')],
    ['a certificate of its own making', fetchFailed('DEPTH_ZERO_SELF_SIGNED_CERT')],
    ['a certificate of another name', fetchFailed('ERR_TLS_CERT_ALTNAME_INVALID')],
    ['a chain of certificates that ends nowhere', fetchFailed('UNABLE_TO_VERIFY_LEAF_SIGNATURE')],
    ['no address', fetchFailed('ERR_INVALID_URL')],
    ['a bad argument', failing({ code: 'UND_ERR_INVALID_ARG' })],
    ['a response too large', failing({ code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' })],
    ['a client that is closed', failing({ code: 'UND_ERR_CLOSED' })],
    ['one that says no', failing({ status: 503, retryable: false })],
    ["a model's refusal that says no", own('WP_MODEL_REQUEST', { retryable: false })],
    ["a model's 401", own('WP_MODEL_REQUEST', { status: 401 })],
    ['a service behind a bad certificate', own('WP_HTTP_FAILED', {}, failing({ code: 'CERT_HAS_EXPIRED' }))],
    ['our own: a bad option', own('WP_BAD_OPTION')],
    ['our own: an open breaker', own('WP_BREAKER_OPEN', { retryAfterMs: 1_000, retryable: false })],
    ['our own: no room', own('WP_OVERLOADED')],
    ['our own: too large', own('WP_RESPONSE_TOO_LARGE')],
  ])('is %s', (_, error) => {
    expect(failureClass(error)).toBe('permanent');
    expect(isRetryable(error)).toBe(false);
  });

  it.each([400, 401, 402, 403, 404, 405, 409, 410, 413, 422, 424, 451, 501, 505, 511])('is status %i', (status) => {
    expect(failureClass(failing({ status }))).toBe('permanent');
  });
});

describe('what says that the other side is in trouble', () => {
  it.each<[string, unknown]>([
    ['any error', new Error('x')],
    ['something thrown that is no error', 'text'],
    ['nothing', undefined],
    ['a network failure of fetch', new TypeError('fetch failed', { cause: new Error('ECONNRESET') })],
    ['a reset', failing({ code: 'ECONNRESET' })],
    ['a parser that met garbage', failing({ code: 'HPE_INVALID_CONSTANT' })],
    ['a stalled body', failing({ code: 'UND_ERR_BODY_TIMEOUT' })],
    ['a timeout of the platform', new DOMException('x', 'TimeoutError')],
    ["a timeout of OpenAI's SDK", new APIConnectionTimeoutError('x', { cause: new DOMException('x', 'AbortError') })],
    ['a deadline', own('WP_DEADLINE')],
    ['a deadline that something was aborted by', own('WP_DEADLINE', {}, new DOMException('x', 'AbortError'))],
    ['a model that could not be reached', own('WP_MODEL_REQUEST')],
    ['a service that broke off', own('WP_HTTP_FAILED', { phase: 'responding' })],
    ['one that says so', failing({ status: 400, retryable: true })],
    ['503 with Retry-After', failing({ status: 503, headers: { 'retry-after': '1' } })],
    ['an object with a status', { status: 503 }],
  ])('is %s', (_, error) => {
    expect(failureClass(error)).toBe('transient');
    expect(isRetryable(error)).toBe(true);
  });

  it.each([408, 425, 500, 502, 503, 504, 507, 520, 522, 524, 530])('is status %i', (status) => {
    expect(failureClass(failing({ status }))).toBe('transient');
  });
});

describe('a status is found', () => {
  it.each<[string, object]>([
    ['by most clients', { status: 429 }],
    ['by the AI SDK', { statusCode: 429, responseHeaders: {}, isRetryable: true }],
    ['by ollama-js', { status_code: 529 }],
    ['by axios and ky', { response: { status: 429, headers: {} } }],
    ['by got', { response: { statusCode: 429 } }],
    ['by the AWS SDK', { $metadata: { httpStatusCode: 429 } }],
    ['by the AWS SDK, where it is 400', { $metadata: { httpStatusCode: 400 }, $retryable: { throttling: true } }],
    ['by name, where it is 400', { name: 'ThrottlingException', $metadata: { httpStatusCode: 400 } }],
    ["by Google's clients", { code: 429 }],
    ['in the middle of a stream', { error: { code: 429, message: 'slow down' } }],
  ])('where it is kept %s', (_, fields) => {
    expect(failureClass(failing(fields))).toBe('throttled');
    expect(failureClass(new Error('x', { cause: failing(fields) }))).toBe('throttled');
  });

  it('in our own details, and in the last attempt of the AI SDK', () => {
    expect(failureClass(own('WP_HTTP_STATUS', { status: 429 }))).toBe('throttled');
    expect(failureClass(own('WP_MODEL_REQUEST', { status: 529, retryable: true }))).toBe('throttled');
    const attempts = { reason: 'maxRetriesExceeded', lastError: failing({ statusCode: 401, isRetryable: false }) };
    expect(failureClass(failing(attempts))).toBe('permanent');
  });

  it.each([200, 304, 9, 700])('and %i is none', (code) => {
    expect(failureClass(failing({ status: code, code }))).toBe('transient');
  });
});

describe('x-should-retry', () => {
  it.each<[string, object]>([
    ['Headers', { headers: new Headers({ 'X-Should-Retry': 'false' }) }],
    ['a record', { responseHeaders: { 'x-should-retry': 'false' } }],
    ['a record of names as they were sent', { response: { headers: { 'X-Should-Retry': ['false'] } } }],
  ])('decides against what an error says of itself: %s', (_, fields) => {
    expect(failureClass(failing({ status: 503, retryable: true, ...fields }))).toBe('permanent');
  });

  it('decides for it, whatever the status', () => {
    const headers = { 'x-should-retry': 'true' };
    expect(failureClass(failing({ status: 409, headers }))).toBe('transient');
    expect(failureClass(failing({ status: 429, code: 'insufficient_quota', headers }))).toBe('throttled');
  });
});

describe('of several failures', () => {
  const down = failing({ status: 503 });
  const busy = failing({ status: 429, headers: { 'retry-after': '9' } });
  const wrong = failing({ status: 400 });
  it.each<[string, Error[], string]>([
    ['trouble', [wrong, busy, down], 'transient'],
    ['rate control', [wrong, busy], 'throttled'],
    ['no hope', [wrong, wrong], 'permanent'],
  ])('the most hopeful counts: %s', (_, errors, found) => {
    expect(failureClass(new AggregateError(errors))).toBe(found);
    expect(failureClass(new Error('x', { cause: new AggregateError(errors) }))).toBe(found);
  });

  it('none has been sent if none of them has', () => {
    const refused = failing({ code: 'ECONNREFUSED' });
    expect(wasNotSent(new AggregateError([refused, own('WP_BREAKER_OPEN')]))).toBe(true);
    expect(wasNotSent(new AggregateError([refused, down]))).toBe(false);
    expect(wasNotSent(new AggregateError([]))).toBe(false);
  });

  it('one comes back the soonest', () => {
    expect(retryAfterMs(new AggregateError([busy, down, own('WP_RATE_LIMITED', { retryAfterMs: 400 })]))).toBe(400);
    expect(retryAfterMs(new AggregateError([down]))).toBeUndefined();
  });

  it('the mark on all of them counts', () => {
    expect(failureClass(nonRetryable(new AggregateError([down])))).toBe('permanent');
  });
});

describe('wasNotSent', () => {
  it.each<[string, unknown, boolean]>([
    ['a refused connection', fetchFailed('ECONNREFUSED'), true],
    ['a name that is not found', fetchFailed('ENOTFOUND'), true],
    ['a connection too slow', fetchFailed('UND_ERR_CONNECT_TIMEOUT'), true],
    ['a network away', failing({ code: 'ENETUNREACH', syscall: 'connect' }), true],
    ['a model behind a closed port', own('WP_MODEL_REQUEST', { retryable: true }, fetchFailed('ECONNREFUSED')), true],
    ['an open breaker', own('WP_BREAKER_OPEN'), true],
    ['a limit of ours', own('WP_RATE_LIMITED'), true],
    ['a bulkhead that is full', own('WP_OVERLOADED', { phase: 'not-sent' }), true],
    ['a stream that fell behind', own('WP_OVERLOADED'), false],
    ['what says so', own('WP_HTTP_FAILED', { phase: 'not-sent' }), true],
    ['what says so and is none of ours', Object.assign(new Error('limit'), { status: 503, phase: 'not-sent' }), true],
    ['what says that it was sent', own('WP_HTTP_FAILED', { phase: 'sent' }, fetchFailed('ECONNREFUSED')), false],
    ['a reset', fetchFailed('ECONNRESET'), false],
    ['an answer', failing({ status: 503, cause: failing({ code: 'ECONNREFUSED' }) }), false],
    ['nobody knows', new Error('x'), false],
    ['a text', 'ECONNREFUSED', false],
  ])('%s: see the table', (_, error, expected) => {
    expect(wasNotSent(error)).toBe(expected);
  });
});

describe('retryAfterMs', () => {
  it.each<[string, unknown, number | undefined]>([
    ['our own details', own('WP_MODEL_REQUEST', { retryAfterMs: 250 }), 250],
    ['Headers', failing({ headers: new Headers({ 'Retry-After': '2' }) }), 2_000],
    ['headers of the AI SDK', failing({ responseHeaders: { 'retry-after-ms': '70' } }), 70],
    ['headers of axios', failing({ response: { headers: new Map([['retry-after', '3']]) } }), 3_000],
    ['names as they were sent', failing({ response: { headers: { 'Retry-After': 4 } } }), 4_000],
    [
      'the last attempt of the AI SDK',
      failing({ lastError: failing({ responseHeaders: { 'retry-after': '5' } }) }),
      5_000,
    ],
    ['its cause', new Error('x', { cause: failing({ headers: { 'retry-after': '6' } }) }), 6_000],
    ['a negative number', own('WP_MODEL_REQUEST', { retryAfterMs: -1 }), undefined],
    ['no number', own('WP_MODEL_REQUEST', { retryAfterMs: Number.NaN }), undefined],
    ['nothing', new Error('x'), undefined],
    ['a text', 'x', undefined],
  ])('reads %s', (_, error, ms) => {
    expect(retryAfterMs(error)).toBe(ms);
  });

  it('counts a date from the clock that it is given', () => {
    const error = failing({ headers: { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' } });
    expect(retryAfterMs(error, Date.UTC(1994, 10, 6, 8, 49, 30))).toBe(7_000);
    expect(retryAfterMs(error)).toBeUndefined();
  });
});

describe('isSpent', () => {
  it('knows what was marked, what it caused, and what is one of several', () => {
    const error = markSpent(new Error('x'));
    expect([error, new Error('y', { cause: error }), new AggregateError([new Error('z'), error])].map(isSpent)).toEqual(
      [true, true, true],
    );
    expect(isSpent(new Error('x'))).toBe(false);
    expect([markSpent('text'), markSpent(undefined)].map(isSpent)).toEqual([false, false]);
  });
});

describe('any failure at all', () => {
  it('has a class, also where errors cause each other or hold themselves', () => {
    const round = new Error('one');
    round.cause = new Error('two', { cause: round });
    const nested = new AggregateError([]);
    nested.errors.push(nested, nested, round);
    for (const error of [round, nested]) {
      expect(failureClass(error)).toBe('transient');
      expect([wasNotSent(error), retryAfterMs(error), isSpent(error)]).toEqual([false, undefined, false]);
    }
  });

  it('is read without throwing', () => {
    const fields = fc.record(
      Object.fromEntries(
        ['status', 'code', 'headers', 'response', 'cause', 'error', 'details', 'message', '$retryable', 'errors'].map(
          (name) => [name, fc.anything()],
        ),
      ),
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fields.map((each) => Object.assign(new Error('x'), each)),
        ),
        (error) => {
          expect(['permanent', 'throttled', 'transient']).toContain(failureClass(error));
          expect(typeof wasNotSent(error)).toBe('boolean');
          expect(retryAfterMs(error, 0) ?? 0).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});
