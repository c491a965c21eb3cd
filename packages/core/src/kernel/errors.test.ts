import { describe, expect, it } from 'vitest';
import { errorCodes, isWarmpathError, WarmpathError, type WarmpathErrorCode } from './index.js';

describe('WarmpathError', () => {
  it('carries a code, a message, the numbers that explain it and the cause', () => {
    const cause = new Error('socket closed');
    const error = new WarmpathError('WP_DEADLINE', 'Too late.', { details: { timeoutMs: 5 }, cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'WarmpathError', code: 'WP_DEADLINE', message: 'Too late.', cause });
    expect(error.details).toEqual({ timeoutMs: 5 });
    expect(String(error)).toBe('WarmpathError: Too late.');
    expect(error.stack).toContain('errors.test');
  });

  it('has no cause and no details unless they are given', () => {
    const error = new WarmpathError('WP_CLOSED', 'It is closed.');
    expect('cause' in error).toBe(false);
    expect(error.details).toEqual({});
  });

  it('keeps a cause of undefined, since anything can be thrown', () => {
    expect('cause' in new WarmpathError('WP_CLOSED', 'It is closed.', { cause: undefined })).toBe(true);
  });
});

describe('isWarmpathError', () => {
  it('knows an error of ours, and its code', () => {
    const error: unknown = new WarmpathError('WP_CLOSED', 'It is closed.');
    expect(isWarmpathError(error)).toBe(true);
    expect(isWarmpathError(error, 'WP_CLOSED')).toBe(true);
    expect(isWarmpathError(error, 'WP_DEADLINE')).toBe(false);
  });

  it('knows one made by another copy of the package', () => {
    class WarmpathError extends Error {
      override readonly name = 'WarmpathError';
      readonly code = 'WP_CLOSED';
    }
    expect(isWarmpathError(new WarmpathError('It is closed.'), 'WP_CLOSED')).toBe(true);
  });

  it.each([undefined, null, 'WP_CLOSED', new Error('x'), { name: 'WarmpathError', code: 'WP_CLOSED' }])(
    'does not take %o for one',
    (value) => expect(isWarmpathError(value)).toBe(false),
  );
});

describe('errorCodes', () => {
  it('names each code WP_UPPER_SNAKE and says what it means in a sentence', () => {
    for (const [code, meaning] of Object.entries(errorCodes) as [WarmpathErrorCode, string][]) {
      expect(code).toMatch(/^WP_[A-Z]+(_[A-Z]+)*$/);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
  });
});
