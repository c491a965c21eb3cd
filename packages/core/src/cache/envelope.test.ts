import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packEntry, unpackEntry } from './envelope.js';
import type { StoredEntry } from './store.js';

const sample: StoredEntry = {
  bytes: Uint8Array.of(1, 2, 3, 250),
  storedAt: 1_760_000_000_000.25,
  freshUntil: 1_760_000_060_000.5,
  keptUntil: 1_760_000_120_000.75,
  computeMs: 12.125,
  tags: ['user:1', 'größe 🙂', ''],
};

const time = fc.double({ noDefaultInfinity: true, noNaN: true });
const anyEntry: fc.Arbitrary<StoredEntry> = fc
  .record({
    bytes: fc.uint8Array({ maxLength: 200 }),
    storedAt: time,
    ends: fc.tuple(time, time),
    computeMs: time,
    tags: fc.array(fc.string({ unit: 'binary', maxLength: 12 }), { maxLength: 5 }),
  })
  .map(({ ends: [one, other], ...rest }) => ({
    ...rest,
    freshUntil: Math.min(one, other),
    keptUntil: Math.max(one, other),
  }));

function plain(entry: StoredEntry | undefined): unknown {
  return entry && { ...entry, bytes: [...entry.bytes] };
}

/** What is wrong in it is found by its own check, not by the checksum. */
function resealed(packed: Uint8Array, change: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.from(packed);
  change(bytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

describe('packEntry and unpackEntry', () => {
  it('bring back every entry as it was', () =>
    fc.assert(
      fc.property(anyEntry, (entry) => {
        expect(plain(unpackEntry(packEntry(entry)))).toEqual(plain(entry));
      }),
    ));

  it('take 52 bytes, 4 for each tag, and the text of the tags beside the value', () => {
    expect(packEntry({ ...sample, tags: [] })).toHaveLength(52 + 4);
    expect(packEntry({ ...sample, tags: ['ab', 'c'] })).toHaveLength(52 + 2 * 4 + 3 + 4);
  });

  it('write the same bytes for the same entry, in a form that does not change by chance', () => {
    expect(Buffer.from(packEntry(sample)).toString('base64')).toBe(
      'V1BFASY02iQABADMgpx5QgAIptqCnHlCAAxM6YKceUIAAAAAAEAoQAMAAAASAAAABAAAAAYAAAAIAAAAAAAAAHVzZXI6MWdyw7bDn2Ug8J+ZggECA/o=',
    );
  });

  it('read from the middle of a larger buffer, at any alignment, and hand out a view of it', () => {
    const packed = packEntry(sample);
    for (let offset = 0; offset < 9; offset++) {
      const around = new Uint8Array(packed.length + 20);
      around.set(packed, offset);
      const inside = around.subarray(offset, offset + packed.length);
      const entry = unpackEntry(inside);
      expect(plain(entry)).toEqual(plain(sample));
      expect(entry?.bytes.buffer).toBe(around.buffer);
    }
  });

  it('turn a lone surrogate in a tag into U+FFFD', () => {
    expect(unpackEntry(packEntry({ ...sample, tags: ['a\ud800b', 'c'] }))?.tags).toEqual(['a\ufffdb', 'c']);
  });
});

describe('unpackEntry', () => {
  const packed = packEntry(sample);

  it('refuses every cut, and everything that is too long', () => {
    for (let length = 0; length < packed.length; length++)
      expect(unpackEntry(packed.subarray(0, length))).toBeUndefined();
    for (let from = 1; from < packed.length; from++) expect(unpackEntry(packed.subarray(from))).toBeUndefined();
    expect(unpackEntry(Buffer.concat([packed, Uint8Array.of(0)]))).toBeUndefined();
  });

  it('refuses it when any one bit has changed', () => {
    for (let bit = 0; bit < packed.length * 8; bit++) {
      const damaged = Buffer.from(packed);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(unpackEntry(damaged)).toBeUndefined();
    }
  });

  it('refuses noise, also behind a head of ours with a right checksum', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (noise) => {
        expect(unpackEntry(noise)).toBeUndefined();
        const sealed = resealed(Buffer.concat([packed.subarray(0, 8), noise]), () => {});
        const entry = unpackEntry(sealed);
        // What chance has made whole is whole.
        if (entry) expect(Buffer.from(packEntry(entry)).equals(sealed)).toBe(true);
      }),
      { numRuns: 2_000 },
    ));

  it('never throws, and never brings back what packEntry would write otherwise, whatever few bytes were changed', () =>
    fc.assert(
      fc.property(
        anyEntry,
        fc.array(fc.tuple(fc.nat(51), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        (entry, changes) => {
          const sealed = resealed(packEntry(entry), (bytes) => {
            for (const [at, byte] of changes) bytes[at] = byte;
          });
          const read = unpackEntry(sealed);
          if (read) expect(Buffer.from(packEntry(read)).equals(sealed)).toBe(true);
        },
      ),
      { numRuns: 2_000 },
    ));

  it.each<[string, (bytes: Buffer) => void]>([
    ['another version', (bytes) => bytes.writeUInt8(2, 3)],
    ['another magic', (bytes) => bytes.write('XPE', 0)],
    ['a time that is NaN', (bytes) => bytes.writeDoubleLE(Number.NaN, 8)],
    ['an infinite time', (bytes) => bytes.writeDoubleLE(Number.POSITIVE_INFINITY, 24)],
    ['an infinite computeMs', (bytes) => bytes.writeDoubleLE(Number.NEGATIVE_INFINITY, 32)],
    ['a freshUntil of minus infinity', (bytes) => bytes.writeDoubleLE(Number.NEGATIVE_INFINITY, 16)],
    ['a freshUntil after its keptUntil', (bytes) => bytes.writeDoubleLE(sample.keptUntil + 1, 16)],
    ['more tags than there are', (bytes) => bytes.writeUInt32LE(4, 40)],
    ['fewer tags than there are', (bytes) => bytes.writeUInt32LE(2, 40)],
    ['billions of tags', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 40)],
    ['more text than there is', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 44)],
    ['more bytes than there are', (bytes) => bytes.writeUInt32LE(0xffff_ffff, 48)],
    ['tags that are longer than their text', (bytes) => bytes.writeUInt32LE(7, 52)],
    ['tags that are shorter than their text', (bytes) => bytes.writeUInt32LE(5, 52)],
    ['text that is not UTF-8', (bytes) => bytes.writeUInt8(0xff, 64)],
  ])('refuses %s', (_, change) => {
    expect(unpackEntry(resealed(packed, () => {}))).toBeDefined();
    expect(unpackEntry(resealed(packed, change))).toBeUndefined();
  });

  it('refuses text without tags', () => {
    const untagged = packEntry({ ...sample, tags: [] });
    const change = (bytes: Buffer): void => {
      bytes.writeUInt32LE(2, 44);
      bytes.writeUInt32LE(2, 48);
    };
    expect(unpackEntry(resealed(untagged, change))).toBeUndefined();
  });
});
