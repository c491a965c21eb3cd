import { describe, expect, it } from 'vitest';
import { readProviderHeaders } from './provider-headers.js';

const wallMs = Date.UTC(2026, 10, 21, 12, 0, 0);
const minuteMs = 60_000;
const dayMs = 86_400_000;

function read(headers: Record<string, string>) {
  return readProviderHeaders(headers, wallMs);
}

describe('fields of providers', () => {
  it.each([
    ['6m0s', 360_000],
    ['20ms', 20],
    ['1s', 1_000],
    ['1h2m3s', 3_723_000],
    ['7.66s', 7_660],
    ['1d', dayMs],
    ['1m30.5s', 90_500],
    ['12.382', 12_382],
    ['55', 55_000],
    ['0', 0],
    [String(wallMs / 1_000 + 60), minuteMs],
    [`${wallMs / 1_000 + 60}.25`, 60_250],
    [String(wallMs + 60_000), minuteMs],
    [String(wallMs - 60_000), 0],
    ['2026-11-21T12:01:00Z', minuteMs],
    ['2026-11-21T13:01:00.250+01:00', 60_250],
    ['2026-11-21t07:01:00-05:00', minuteMs],
    ['Sat, 21 Nov 2026 12:01:00 GMT', minuteMs],
  ])('understand a reset of %s', (reset, expected) => {
    expect(read({ 'x-ratelimit-reset-tokens': reset }).dimensions).toMatchObject([
      { unit: 'tokens', resetMs: expected },
    ]);
  });

  it.each(['', '-1', '6m0', 's', '1m-2s', '2026-13-01T00:00:00Z', '2026-11-21', '2026-11-21T12:00:00+99:00', 'never'])(
    'take a reset of %j for absent',
    (reset) => {
      expect(read({ 'x-ratelimit-reset-tokens': reset }).dimensions).toEqual([]);
    },
  );

  it('OpenAI: a reset for each dimension, when its bucket is full again', () => {
    const headers = {
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-requests': '1s',
      'x-ratelimit-reset-tokens': '6m0s',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', limit: 60, remaining: 59, resetMs: 1_000, isRefilling: true },
      { unit: 'tokens', limit: 150_000, remaining: 0, resetMs: 360_000, isRefilling: true },
    ]);
  });

  it('Azure: -1 for what is not known, and its own spelling', () => {
    const headers = {
      'x-ratelimit-limit-tokens': '-1',
      'x-ratelimit-remaining-tokens': '-1',
      'x-ratelimit-reset-tokens': '0',
      'x-ratelimit-remaining-requests': '79',
      'x-rate-limit-reset-tokens': '55',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'tokens', resetMs: 0 },
      { unit: 'requests', remaining: 79 },
      { unit: 'tokens', resetMs: 55_000 },
    ]);
  });

  it('Cerebras: the minute and the day apart', () => {
    const headers = {
      'x-ratelimit-limit-requests-day': '14400',
      'x-ratelimit-remaining-requests-day': '0',
      'x-ratelimit-reset-requests-day': '33011.382867',
      'x-ratelimit-limit-tokens-minute': '60000',
      'x-ratelimit-remaining-tokens-minute': '59000',
      'x-ratelimit-reset-tokens-minute': '11.382867',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', windowMs: dayMs, limit: 14_400, remaining: 0, resetMs: 33_011_383 },
      { unit: 'tokens', windowMs: minuteMs, limit: 60_000, remaining: 59_000, resetMs: 11_383 },
    ]);
  });

  it('Mistral: both of its families', () => {
    const headers = {
      'x-ratelimit-limit-req-minute': '60',
      'x-ratelimit-remaining-req-minute': '59',
      'x-ratelimit-tokens-query-cost': '2804',
      'x-ratelimitbysize-limit-month': '4000000',
      'x-ratelimitbysize-remaining-month': '3950246',
      'ratelimitbysize-reset': '46',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', windowMs: minuteMs, limit: 60, remaining: 59 },
      { unit: 'tokens', windowMs: 30 * dayMs, limit: 4_000_000, remaining: 3_950_246 },
      { unit: 'tokens', resetMs: 46_000 },
    ]);
  });

  it('Anthropic: instants at which a bucket is full again', () => {
    const headers = {
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': '2026-11-21T12:00:02Z',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-11-21T12:00:30Z',
      'anthropic-ratelimit-output-tokens-limit': '8000',
      'anthropic-ratelimit-unified-reset': '1795262430',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', limit: 50, remaining: 49, resetMs: 2_000, isRefilling: true },
      { unit: 'inputTokens', remaining: 0, resetMs: 30_000, isRefilling: true },
      { unit: 'outputTokens', limit: 8_000 },
    ]);
  });

  it('GitHub: seconds since 1970, and fields that are none of this', () => {
    const headers = {
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': '4999',
      'x-ratelimit-reset': String(wallMs / 1_000 + 3_600),
      'x-ratelimit-used': '1',
      'x-ratelimit-resource': 'core',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', limit: 5_000, remaining: 4_999, resetMs: 3_600_000 },
    ]);
  });

  it('other orders of the words, other units, and windows beside the limit', () => {
    const headers = {
      'x-ratelimit-day-remaining': '5',
      'x-ratelimit-limit-audio-seconds': '7200',
      'x-ratelimit-remaining-tokens-generated': '36000',
      'x-rate-limit-remaining': '847',
      'x-ratelimit-limit': '100, 100;window=60, 10000;window=86400',
      'x-ratelimit-remaining': '98',
      'x-ratelimit-reset-after': '3',
    };
    expect(read(headers).dimensions).toEqual([
      { unit: 'requests', windowMs: dayMs, remaining: 5 },
      { unit: 'audioSeconds', limit: 7_200 },
      { unit: 'outputTokens', remaining: 36_000 },
      { unit: 'requests', remaining: 847 },
      { unit: 'requests', windowMs: minuteMs, limit: 100, remaining: 98 },
    ]);
  });
});
