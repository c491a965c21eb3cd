import { describe, expect, it } from 'vitest';
import { failedError, kindOf } from './errors.js';

const facts = { service: 'gpt', method: 'GET', phase: 'responding', isRepeatable: true } as const;

describe('errors of undici', () => {
  it.each([
    ['UND_ERR_HEADERS_TIMEOUT', 'timeout', true],
    ['UND_ERR_HEADERS_OVERFLOW', 'tooLarge', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls', false],
  ])('%s is of the kind %s, and retryable: %s', (code, kind, retryable) => {
    const error = Object.assign(new Error('as undici says'), { code });
    expect(failedError(facts, kindOf(error), error).details).toMatchObject({ kind, retryable });
  });
});
