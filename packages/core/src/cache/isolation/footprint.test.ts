import { describe, expect, it } from 'vitest';
import { type Isolation, keep } from './isolation.js';

describe('the bytes of what is kept', () => {
  const bytes = (value: unknown, mode: Isolation = 'frozen') => keep(value, mode)?.bytes;

  it('are one for each character, two where a character of the text needs two', () => {
    expect(bytes('x'.repeat(1_000))).toBe(1_016);
    expect(bytes('ÿ'.repeat(1_000))).toBe(1_016);
    expect(bytes(`${'x'.repeat(999)}Ā`)).toBe(2_016);
    expect(bytes('x')).toBe(0);
  });

  it('are those of numbers and of slots', () => {
    expect([1, -1, 2 ** 31 - 1, 2 ** 31, 0.5, -0, Number.NaN].map((value) => bytes(value))).toEqual([
      0, 0, 0, 16, 16, 16, 16,
    ]);
    expect(bytes(5n)).toBe(24);
    expect(bytes(2n ** 640n)).toBe(104);
    expect(bytes({ a: 1, b: 'texttext' })).toBe(40 + 24);
    expect(
      bytes(
        Array.from({ length: 1_000 }, () => 0.5),
        'copy',
      ),
    ).toBe(8_048);
    expect(bytes(Array.from({ length: 1_000 }, () => 0.5))).toBe(24_048);
  });

  it('count the names of properties only where there are so many that they are data', () => {
    const counts = (words: number) =>
      Object.fromEntries(Array.from({ length: words }, (_, at) => [`word ${at + 10_000}`, 1]));
    expect(bytes(counts(64))).toBe(67 * 8);
    expect(bytes(counts(100))).toBeGreaterThan(100 * 150);
    expect(bytes(counts(2_000))).toBeGreaterThan(2_000 * 80);
    expect(bytes(counts(2_000))).toBe(bytes(counts(2_000), 'shared'));
  });

  it('are four for each number of a Float32Array, in every mode', () => {
    for (const mode of ['frozen', 'copy', 'shared'] as const) {
      expect(bytes(new Float32Array(1_536), mode)).toBe(6_344);
    }
  });

  it('count what occurs twice once, in every mode', () => {
    const part = { text: 'x'.repeat(1_000) };
    const twice: unknown[] = [part, part];
    twice.push(twice);
    for (const mode of ['frozen', 'copy', 'shared'] as const) expect(bytes(twice, mode)).toBe(1_016 + 32 + 72);
  });

  it('of a shared value come from looking alone: nothing of it is called, and a huge one is not walked to its end', () => {
    const seen = (): never => {
      throw new Error('called');
    };
    const shy = Object.defineProperty({ text: 'x'.repeat(1_000) }, 'lazy', { get: seen, enumerable: true });
    expect(bytes(shy, 'shared')).toBe(1_056);
    expect(bytes(new Proxy({}, { get: seen, ownKeys: seen, getPrototypeOf: seen }), 'shared')).toBeLessThan(100);
    const huge = Array.from({ length: 200_000 }, () => ({}));
    expect(bytes(huge, 'shared')).toBeLessThan(8 * 200_000 + 100_000 * 24 + 100);
  });

  it('of a shared view are those of the buffer that it keeps alive', () => {
    expect(bytes(new Uint8Array(new ArrayBuffer(1_000_000), 0, 10), 'shared')).toBeGreaterThan(1_000_000);
    expect(bytes(Buffer.from('cut from the pool'), 'shared')).toBeLessThan(300);
  });
});
