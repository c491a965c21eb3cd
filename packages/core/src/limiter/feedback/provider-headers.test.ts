import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longestMs } from './header-values.js';
import { readProviderHeaders } from './provider-headers.js';

const wallMs = Date.UTC(2026, 10, 21, 12, 0, 0);
const minuteMs = 60_000;

function read(headers: Record<string, string>) {
  return readProviderHeaders(headers, wallMs);
}

describe('Retry-After', () => {
  it.each([
    ['30', 30_000],
    [' 30 ', 30_000],
    ['0', 0],
    ['1.5', 1_500],
    ['Sat, 21 Nov 2026 12:00:30 GMT', 30_000],
    ['Saturday, 21-Nov-26 12:00:30 GMT', 30_000],
    ['Sat Nov 21 12:00:30 2026', 30_000],
    ['Sun Nov  1 12:00:30 2026', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['99999999999999999999', longestMs],
    ['9'.repeat(400), longestMs],
  ])('%s', (value, expected) => {
    expect(read({ 'Retry-After': value })).toEqual({ retryAfterMs: expected, dimensions: [] });
  });

  it.each(['', '-5', 'soon', '1e3', '0x10', 'NaN', 'Infinity', '5, 5', '5s', 'Sat, 31 Feb 2026 12:00:00 GMT'])(
    'counts as absent when it is %j',
    (value) => {
      expect(read({ 'Retry-After': value })).toEqual({ dimensions: [] });
    },
  );

  it.each(['Sat, 21 Nov 2026 25:00:00 GMT', 'Sat, 21 Foo 2026 12:00:00 GMT', 'Sat, 21 Nov 2026 12:00:00 CET'])(
    'counts as absent when its date is %j',
    (value) => {
      expect(read({ 'Retry-After': value })).toEqual({ dimensions: [] });
    },
  );

  it('counts from the date of the answer, whatever the clock here says', () => {
    const headers = { Date: 'Fri, 01 Jan 2027 00:00:00 GMT', 'Retry-After': 'Fri, 01 Jan 2027 00:01:00 GMT' };
    expect(read(headers).retryAfterMs).toBe(minuteMs);
  });

  it('gives way to retry-after-ms, if that is well formed', () => {
    expect(read({ 'retry-after': '2', 'retry-after-ms': '1250' }).retryAfterMs).toBe(1_250);
    expect(read({ 'retry-after': '2', 'retry-after-ms': 'soon' }).retryAfterMs).toBe(2_000);
  });
});

describe('RateLimit and RateLimit-Policy', () => {
  it('reads several policies of the drafts from 8 on, with units, windows and partitions', () => {
    const headers = {
      'RateLimit-Policy':
        '"burst";q=100;w=60,"tokens";q=5000;w=60;qu="warmpath-tokens","in";q=9;qu="acme-input-tokens"',
      RateLimit: '"burst";r=50;t=30;pk=:cGs=:, "tokens";r=0;t=12',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', windowMs: minuteMs, limit: 100, remaining: 50, resetMs: 30_000 },
      { unit: 'tokens', windowMs: minuteMs, limit: 5_000, remaining: 0, resetMs: 12_000 },
      { unit: 'inputTokens', limit: 9 },
    ]);
  });

  it.each([
    ['"content-bytes"', 'contentBytes'],
    ['"concurrent-requests"', 'concurrency'],
    ['"requests"', 'requests'],
    ['"__proto__"', '__proto__'],
    ['7', 'requests'],
  ])('takes the unit %s for %s', (qu, unit) => {
    expect(read({ 'RateLimit-Policy': `"p";q=1;qu=${qu}` }).dimensions).toEqual([{ unit, limit: 1 }]);
  });

  it('reads draft 7, with the window of the policy that has the same limit', () => {
    const headers = { 'RateLimit-Policy': '10;w=1, 100;w=60', RateLimit: 'limit=100, remaining=50, reset=5' };
    const expected = [{ unit: 'requests', windowMs: minuteMs, limit: 100, remaining: 50, resetMs: 5_000 }];
    expect(read(headers).dimensions).toEqual(expected);
  });

  it('reads the three fields of the drafts before', () => {
    const three = { 'RateLimit-Limit': '100', 'RateLimit-Remaining': '50', 'RateLimit-Reset': '5' };
    const expected = { unit: 'requests', limit: 100, remaining: 50, resetMs: 5_000 };
    expect(read(three).dimensions).toEqual([expected]);
    const withWindow = [{ ...expected, windowMs: minuteMs }];
    expect(read({ ...three, 'RateLimit-Policy': '100;w=60' }).dimensions).toEqual(withWindow);
    expect(read({ ...three, 'RateLimit-Limit': '100, 10;w=1, 100;w=60' }).dimensions).toEqual(withWindow);
  });

  it.each<Record<string, string>>([
    { RateLimit: '"burst";r=50;t=30,' },
    { RateLimit: '"burst";r=-1;t=30' },
    { RateLimit: '"burst";t=30' },
    { RateLimit: 'burst;r=50' },
    { RateLimit: 'limit=100, remaining=many' },
    { 'RateLimit-Policy': '"burst";w=60' },
    { 'RateLimit-Policy': '"burst";q="100"' },
    { 'RateLimit-Policy': '100;w=60' },
  ])('counts as absent: %j', (headers) => {
    expect(read(headers).dimensions).toEqual([]);
  });

  it('has no window where w is 0', () => {
    expect(read({ 'RateLimit-Policy': '"p";q=5;w=0' }).dimensions).toEqual([{ unit: 'requests', limit: 5 }]);
  });
});

describe('headers as they come', () => {
  it.each(['retry-after: 3', 3, null, [null], ['ab'], [[3, 4]], [], new Set([undefined])])(
    'are as if absent where they are none: %j',
    (headers) => {
      expect(readProviderHeaders(headers as unknown as Headers, wallMs)).toEqual({ dimensions: [] });
    },
  );

  const expected = { retryAfterMs: 1_000, dimensions: [{ unit: 'requests', remaining: 3 }] };

  it('may be Headers, a record, pairs or a Map, in any case', () => {
    const pairs: [string, string][] = [
      ['RETRY-AFTER', '1'],
      ['X-RateLimit-Remaining', '3'],
      ['content-type', 'text/plain'],
    ];
    const record = { 'Retry-After': ['1'], 'x-ratelimit-remaining': '3', etag: undefined };
    for (const headers of [new Headers(pairs), record, pairs, new Map(pairs)]) {
      expect(readProviderHeaders(headers, wallMs)).toEqual(expected);
    }
  });

  it('are one list where a name comes twice, so a number that does counts as absent', () => {
    expect(read({ 'X-RateLimit-Remaining': '3', 'x-ratelimit-remaining': '4' }).dimensions).toEqual([]);
    const twice = { ratelimit: ['"a";r=1', '"b";r=2'] };
    expect(readProviderHeaders(twice, wallMs).dimensions.map(({ remaining }) => remaining)).toEqual([1, 2]);
  });

  it('are read up to a number of fields and a length', () => {
    const many = Array.from({ length: 10_000 }, (_, index): [string, string] => [`x-ratelimit-limit-u${index}`, '1']);
    expect(readProviderHeaders(many, wallMs).dimensions.length).toBe(64);
    expect(read({ 'x-ratelimit-limit': `1${' '.repeat(2_000)}` }).dimensions).toEqual([]);
  });

  it('hold numbers that fit, however long they are written', () => {
    expect(read({ 'x-ratelimit-remaining': '9'.repeat(400) }).dimensions).toEqual([
      { unit: 'requests', remaining: Number.MAX_SAFE_INTEGER },
    ]);
  });

  it('never throw, and give nothing that is negative, infinite or no number, whatever they say', () => {
    const names = [
      'date',
      'retry-after',
      'retry-after-ms',
      'ratelimit',
      'ratelimit-policy',
      'ratelimit-limit',
      'x-ratelimit-reset',
      'x-ratelimit-remaining-tokens-day',
      'anthropic-ratelimit-requests-reset',
    ];
    const name = fc.oneof(
      fc.constantFrom(...names),
      fc.string().map((end) => `x-ratelimit-${end}`),
      fc.string(),
    );
    const piece = fc.constantFrom(
      '"a"',
      ';',
      'r=',
      'q=',
      't=',
      '1',
      '9e99',
      '-1',
      's',
      'm',
      ',',
      ' ',
      '9'.repeat(30),
      ':',
      '%',
    );
    const value = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece).map((pieces) => pieces.join('')),
      fc.date({ noInvalidDate: false }).map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
      fc.double().map(String),
    );
    const wall = fc.double({ min: -1e15, max: 1e15, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), wall, (headers, now) => {
        const { retryAfterMs = 0, dimensions } = readProviderHeaders(headers, now);
        expect(dimensions.length).toBeLessThanOrEqual(1_000);
        const times = [retryAfterMs, ...dimensions.flatMap(({ windowMs = 0, resetMs = 0 }) => [windowMs, resetMs])];
        for (const ms of times) expect(ms >= 0 && ms <= longestMs).toBe(true);
        for (const { limit = 0, remaining = 0 } of dimensions) {
          for (const count of [limit, remaining]) expect(count >= 0 && count <= Number.MAX_SAFE_INTEGER).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
