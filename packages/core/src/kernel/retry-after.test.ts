import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRetryAfter } from './index.js';

const parse = (headers: Record<string, string | null>, wallMs?: number): number | undefined =>
  parseRetryAfter((name) => headers[name], wallMs);

const sent = Date.UTC(1994, 10, 6, 8, 49, 30);
const fixdate = 'Sun, 06 Nov 1994 08:49:37 GMT';
const rfc850 = 'Sunday, 06-Nov-94 08:49:37 GMT';
const asctime = 'Sun Nov  6 08:49:37 1994';

describe('parseRetryAfter', () => {
  it.each<[string, Record<string, string | null>, number | undefined]>([
    ['whole seconds', { 'retry-after': '7' }, 7_000],
    ['fractions of a second, without noise', { 'retry-after': '1.1' }, 1_100],
    ['nothing to wait for', { 'retry-after': '0' }, 0],
    ['spaces around', { 'retry-after': ' 7 ' }, 7_000],
    ['milliseconds', { 'retry-after-ms': '1250.5' }, 1_250.5],
    ['milliseconds of Azure', { 'x-ms-retry-after-ms': '300' }, 300],
    ['milliseconds before seconds', { 'retry-after': '9', 'x-ms-retry-after-ms': '2', 'retry-after-ms': '1' }, 1],
    ['seconds where the milliseconds are none', { 'retry-after': '9', 'retry-after-ms': 'soon' }, 9_000],
    ['more than a day, as it is', { 'retry-after': '864000' }, 864_000_000],
    ['endless digits, as a number', { 'retry-after': '9'.repeat(400) }, Number.MAX_SAFE_INTEGER],
  ])('reads %s', (_, headers, ms) => {
    expect(parse(headers)).toBe(ms);
  });

  it.each(['-1', 'NaN', 'Infinity', '1e3', '0x10', '', ' ', 'soon', '1m30s', '7 s', '3,4', '1994-11-06T08:49:37Z'])(
    'takes %j for nothing',
    (text) => {
      expect(parse({ 'retry-after': text, 'retry-after-ms': text }, sent)).toBeUndefined();
    },
  );

  it.each([fixdate, rfc850, asctime])(
    'counts the date %j from the date of the response, whatever the clock says',
    (text) => {
      const date = 'Sun, 06 Nov 1994 08:49:30 GMT';
      expect(parse({ 'retry-after': text, date })).toBe(7_000);
      expect(parse({ 'retry-after': text, date }, sent + 86_400_000)).toBe(7_000);
    },
  );

  it.each([fixdate, rfc850, asctime])('counts the date %j from the clock where the response has none', (text) => {
    expect(parse({ 'retry-after': text }, sent + 2_000)).toBe(5_000);
    expect(parse({ 'retry-after': text, date: 'yesterday' }, sent)).toBe(7_000);
    expect(parse({ 'retry-after': text, date: null })).toBeUndefined();
  });

  it('is 0 for a date that is past', () => {
    expect(parse({ 'retry-after': fixdate }, sent + 60_000)).toBe(0);
  });

  it.each(['Sun, 31 Feb 1994 08:49:37 GMT', 'Sun, 06 Nov 1994 25:00:00 GMT', 'Sun, 06 Now 1994 08:49:37 GMT'])(
    'takes what is in no calendar for nothing: %s',
    (text) => {
      expect(parse({ 'retry-after': text }, sent)).toBeUndefined();
    },
  );

  it('gives a wait that is finite and not negative, or nothing, for any text', () => {
    const text = fc.oneof(
      fc.string(),
      fc.float().map(String),
      fc.stringMatching(/^[\d.eE+-]{1,12}$/),
      fc.constant(fixdate),
    );
    fc.assert(
      fc.property(text, text, text, fc.option(fc.integer(), { nil: undefined }), (after, ms, date, wallMs) => {
        const found = parse({ 'retry-after': after, 'retry-after-ms': ms, date }, wallMs);
        expect(found === undefined || (Number.isFinite(found) && found >= 0)).toBe(true);
      }),
    );
  });
});
