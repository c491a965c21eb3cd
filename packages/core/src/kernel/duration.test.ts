import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Duration, durationMs, parseDuration } from './index.js';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unit = fc.constantFrom(...(Object.keys(unitMs) as (keyof typeof unitMs)[]));

describe('parseDuration', () => {
  it.each<[Duration, number]>([
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    ['0s', 0],
    ['1.001s', 1_001],
    [0, 0],
    [12.5, 12.5],
  ])('reads %s as %d ms', (duration, ms) => {
    expect(parseDuration(duration)).toBe(ms);
    expect(durationMs(duration)).toBe(ms);
  });

  it('reads any whole number of any unit exactly', () => {
    fc.assert(
      fc.property(fc.nat(100_000), unit, (count, name) => {
        expect(parseDuration(`${count}${name}`)).toBe(count * unitMs[name]);
      }),
    );
  });

  it('reads thousandths of a second as the milliseconds they are, without the noise of binary fractions', () => {
    fc.assert(
      fc.property(fc.nat(10_000_000), (ms) => {
        expect(parseDuration(`${ms / 1_000}s`)).toBe(ms);
      }),
    );
  });

  it.each([
    ...[
      '',
      ' ',
      '5',
      's',
      '5 s',
      ' 5s',
      '5s ',
      '5s\n',
      '-5s',
      '+5s',
      '1e3ms',
      '.5s',
      '5.s',
      '5S',
      '5sec',
      '1h30m',
      '0x5s',
      '٥s',
    ],
    `${'9'.repeat(400)}d`,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    5n,
    null,
    undefined,
    true,
    ['5s'],
    { ms: 5 },
    new Date(5),
  ])('refuses %o', (value) => {
    expect(parseDuration(value)).toBeUndefined();
  });

  it('gives a finite number of 0 or more, or nothing, for anything at all', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string(), fc.stringMatching(/^[0-9.]{1,400}(ms|s|m|h|d)$/)), (value) => {
        const ms = parseDuration(value);
        expect(ms === undefined || (Number.isFinite(ms) && ms >= 0)).toBe(true);
      }),
    );
  });
});

describe('durationMs', () => {
  it('throws for what no check has let through', () => {
    expect(() => durationMs('soon' as Duration)).toThrow(RangeError);
    expect(() => durationMs('soon' as Duration)).toThrow("'soon' is not a duration such as '250ms'");
  });
});
