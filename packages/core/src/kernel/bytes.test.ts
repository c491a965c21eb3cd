import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteSize, byteSizeOf, parseByteSize } from './index.js';

const unitBytes = { kB: 1_000, MB: 1_000_000, GB: 1_000_000_000 } as const;
const unit = fc.constantFrom(...(Object.keys(unitBytes) as (keyof typeof unitBytes)[]));

describe('parseByteSize', () => {
  it.each<[ByteSize, number]>([
    ['64kB', 64_000],
    ['100MB', 100_000_000],
    ['2GB', 2_000_000_000],
    ['1.5MB', 1_500_000],
    ['0.001kB', 1],
    ['1.0010kB', 1_001],
    ['0kB', 0],
    ['9007199.254740991GB', Number.MAX_SAFE_INTEGER],
    [0, 0],
    [4_096, 4_096],
  ])('reads %s as %d bytes', (size, bytes) => {
    expect(parseByteSize(size)).toBe(bytes);
    expect(byteSizeOf(size)).toBe(bytes);
  });

  it('reads any whole number of any unit exactly', () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), unit, (count, name) => {
        expect(parseByteSize(`${count}${name}`)).toBe(count * unitBytes[name]);
      }),
    );
  });

  it('reads any number of bytes written in any unit as the bytes that it is', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), unit, (bytes, name) => {
        const places = String(unitBytes[name]).length - 1;
        const digits = String(bytes).padStart(places + 1, '0');
        expect(parseByteSize(`${digits.slice(0, -places)}.${digits.slice(-places)}${name}`)).toBe(bytes);
      }),
    );
  });

  it.each([
    ...[
      '',
      ' ',
      '5',
      '5B',
      'kB',
      '5 kB',
      ' 5kB',
      '5kB ',
      '5kB\n',
      '-5kB',
      '+5kB',
      '1e3kB',
      '.5kB',
      '5.kB',
      '0x5kB',
      '٥kB',
    ],
    ...['5KB', '5kb', '5K', '5k', '5KiB', '5MiB', '5mb', '5Mb', '5gb', '5TB', '1GB500MB'],
    ...['0.0005kB', '1.0005kB', '0.0000001MB', '9007199.254740992GB', `${'9'.repeat(400)}GB`],
    ...[-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY],
    ...[5n, null, undefined, true, ['5kB'], { bytes: 5 }, new Date(5)],
  ])('refuses %o', (value) => {
    expect(parseByteSize(value)).toBeUndefined();
  });

  it('gives a whole number of 0 or more, or nothing, for anything at all', () => {
    fc.assert(
      fc.property(fc.oneof(fc.anything(), fc.string(), fc.stringMatching(/^[0-9.]{1,400}(kB|MB|GB)$/)), (value) => {
        const bytes = parseByteSize(value);
        expect(bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
      }),
    );
  });
});

describe('byteSizeOf', () => {
  it('throws for what no check has let through', () => {
    expect(() => byteSizeOf('64 kB' as ByteSize)).toThrow(RangeError);
    expect(() => byteSizeOf('64 kB' as ByteSize)).toThrow("'64 kB' is not a size such as '64kB'");
  });
});
