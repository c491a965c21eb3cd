import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../kernel/index.js';
import { createCodec } from './codec.js';
import { compress, decompress } from './compression.js';

const size = (value: unknown, compression?: boolean | number) =>
  createCodec({ compression }).encode(value, 'key')?.length ?? 0;

describe('compression', () => {
  it('is off, begins at 1 kB when it is on, or at the size that is asked for', () => {
    const short = 'text '.repeat(150);
    const long = 'text '.repeat(250);
    expect(size(long)).toBeGreaterThan(long.length);
    expect(size(long, true)).toBeLessThan(100);
    expect(size(short, true)).toBe(size(short));
    expect(size(short, 500)).toBeLessThan(100);
    expect(size(long, 2_000)).toBe(size(long));
  });

  it('is left out where it would gain nothing', () => {
    const random = seededRandom(1);
    const noise = Uint8Array.from({ length: 5_000 }, () => 256 * random());
    expect(size(noise, true)).toBe(size(noise));
  });

  it('is read whatever the options of the reader are', () => {
    const value = 'text '.repeat(1_000);
    const bytes = createCodec({ compression: true }).encode(value, 'key') ?? Buffer.of();
    expect(createCodec({}).decode(bytes, 'key')).toEqual({ value });
  });

  it('gives back what it took, of any size', () => {
    for (const length of [1, 100, 64_000, 3_000_000]) {
      const bytes = Buffer.from('so many words '.repeat(length / 14 + 1));
      expect(decompress(compress(bytes) ?? Buffer.of())?.equals(bytes) ?? length === 1).toBe(true);
    }
  });

  it('opens no frame to more than it was said to hold, and none to gigabytes', () => {
    const zeros = zstdCompressSync(Buffer.alloc(20_000_000));
    expect(zeros.length).toBeLessThan(10_000);
    for (const claim of [0, 1, 1_000, 15_000_000, 20_000_000, 0xffff_ffff]) {
      const bomb = Buffer.concat([Buffer.alloc(4), zeros]);
      bomb.writeUInt32LE(claim);
      expect(decompress(bomb)).toBeUndefined();
    }
    expect(compress(Buffer.alloc(20_000_000))).toBeUndefined();
    expect(decompress(compress(Buffer.alloc(16_000_000)) ?? Buffer.of())?.length).toBe(16_000_000);
  });

  /** RFC 8878: the claimed length, then magic, no options, the window's exponent from 10 up, and blocks. */
  const framed = (claim: number, exponent: number, blocks: Uint8Array) => {
    const head = Buffer.of(0, 0, 0, 0, 0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3);
    head.writeUInt32LE(claim);
    return Buffer.concat([head, blocks]);
  };

  it('takes no memory for what a frame holds beyond what it was said to', () => {
    const zeros = Buffer.of(2, 0, 0x10, 0); // 128 kB of one byte
    const gigabyte = framed(1_000, 11, Buffer.alloc(8_192 * zeros.length, zeros));
    const before = process.resourceUsage().maxRSS;
    expect(decompress(gigabyte)).toBeUndefined();
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(200_000);
  });

  it('refuses a frame that asks for a window of more than 2 MB', () => {
    const lastRawBlock = Buffer.concat([Buffer.of(5 * 8 + 1, 0, 0), Buffer.from('small')]);
    expect(decompress(framed(5, 11, lastRawBlock))?.toString()).toBe('small');
    expect(decompress(framed(5, 12, lastRawBlock))).toBeUndefined();
  });

  it('refuses a frame that is cut, damaged or missing', () => {
    const packed = compress(Buffer.from('so many words '.repeat(100))) ?? Buffer.of();
    for (let end = 0; end < packed.length; end++) expect(decompress(packed.subarray(0, end))).toBeUndefined();
    for (let at = 0; at < 8; at++) {
      const damaged = Buffer.from(packed);
      damaged[at] = (damaged[at] ?? 0) ^ 0xff;
      expect(decompress(damaged)).toBeUndefined();
    }
  });
});
