import { isDeepStrictEqual } from 'node:util';
import { serialize } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../kernel/index.js';
import { type CodecOptions, createCodec } from './codec.js';

const keys = { one: Buffer.alloc(32, 1), two: Buffer.alloc(32, 2).toString('base64') };
const forms: readonly [string, CodecOptions][] = [
  ['as it is', {}],
  ['compressed', { compression: 1 }],
  ['encrypted', { encryption: { current: 'one', keys } }],
  ['compressed and encrypted', { compression: 1, encryption: { current: 'two', keys } }],
];

function roundTrip(value: unknown, options: CodecOptions = {}): unknown {
  const codec = createCodec(options);
  const decoded = codec.decode(encoded(value, options), 'key');
  if ('rejected' in decoded) throw new Error(decoded.rejected);
  return decoded.value;
}

function encoded(value: unknown, options: CodecOptions = {}): Uint8Array {
  const bytes = createCodec(options).encode(value, 'key');
  if (!bytes) throw new Error('has no bytes');
  return bytes;
}

const holed = [undefined, 0, 1.5];
delete holed[1];

const data = fc.anything({
  maxDepth: 4,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
});

describe('a value in bytes', () => {
  it.each(forms)('comes back as structuredClone gives it (%s)', (_form, options) => {
    fc.assert(
      fc.property(data, fc.string(), (value, key) => {
        const codec = createCodec(options);
        const bytes = codec.encode(value, key);
        const decoded = bytes && codec.decode(bytes, key);
        return decoded !== undefined && 'value' in decoded && isDeepStrictEqual(decoded.value, structuredClone(value));
      }),
      { numRuns: 300 },
    );
  });

  it.each<[string, unknown]>([
    ['undefined', undefined],
    ['null', null],
    ['-0', -0],
    ['NaN', Number.NaN],
    ['a bigint', -(2n ** 200n)],
    ['text of both widths', ['ascii', 'ÿ', 'Ā€😀', '\ud800']],
    ['a Date', new Date(1e12)],
    ['a RegExp', /a+/giu],
    ['an Error', new RangeError('far')],
    ['a Buffer', Buffer.from('bytes')],
    ['a DataView', new DataView(new ArrayBuffer(3))],
    ['each typed array', [Float32Array, Float64Array, BigInt64Array, Uint8ClampedArray].map((kind) => new kind(3))],
    ['undefined and holes inside', { a: undefined, list: holed }],
  ])('can be %s', (_what, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
  });

  it('keeps what is one object one object', () => {
    const shared = new Float32Array([1.5]);
    const value: Record<string, unknown> = { left: shared, right: shared };
    value.itself = value;
    const copy = roundTrip(value) as typeof value;
    expect(copy.left).toBe(copy.right);
    expect(copy.itself).toBe(copy);
  });

  it('cannot be a function, a symbol, shared memory or a handle', () => {
    for (const value of [() => 1, Symbol('a'), { run() {} }, new SharedArrayBuffer(1), Promise.resolve()]) {
      expect(createCodec({}).encode(value, 'key')).toBeUndefined();
    }
  });

  it('takes four bytes for each number of a Float32Array and a few more, also cut from a large buffer', () => {
    const cut = new Float32Array(new ArrayBuffer(1_000_000), 400, 1_536);
    expect(encoded(cut).length).toBeLessThan(4 * 1_536 + 16);
    expect(encoded(Buffer.from('pooled')).length).toBeLessThan(6 + 16);
  });

  it('shares no memory with its bytes, and a small view keeps no large buffer', () => {
    const value = { name: 'x'.repeat(100_000), view: new Uint8Array([1, 2, 3]), buffer: Buffer.from('abc') };
    const bytes = encoded(value);
    const decoded = createCodec({}).decode(bytes, 'key') as { value: typeof value };
    bytes.fill(0);
    expect(decoded.value).toStrictEqual(value);
    expect(decoded.value.view.buffer.byteLength).toBe(3);
    expect(decoded.value.buffer.buffer.byteLength).toBe(3);
  });

  it('is read where it lies in larger memory, at any address', () => {
    const bytes = encoded(new Float64Array([1, 2]));
    for (let shift = 0; shift < 8; shift++) {
      const memory = new Uint8Array(bytes.length + 8);
      memory.set(bytes, shift);
      const decoded = createCodec({}).decode(memory.subarray(shift, shift + bytes.length), 'key');
      expect(decoded).toStrictEqual({ value: new Float64Array([1, 2]) });
    }
  });
});

describe('bytes that are no value', () => {
  const plain = createCodec({});
  const altered = (at: number, byte: number): Uint8Array => Uint8Array.from(encoded({ a: 1 })).fill(byte, at, at + 1);

  it('are foreign unless they begin as ours do', () => {
    for (const bytes of [Buffer.of(), Buffer.of(0xf7), Buffer.from('{"a":1}'), serialize({ a: 1 }), altered(0, 0)]) {
      expect(plain.decode(bytes, 'key')).toEqual({ rejected: 'foreign' });
    }
  });

  it('are of another version when their form, a flag, the format of V8 or a kind of view is not known', () => {
    const kind = Uint8Array.from(encoded(new Uint8Array(1)));
    expect(kind[7]).toBe(3);
    kind[7] = 100;
    for (const bytes of [altered(2, 2), altered(3, 4), altered(5, 16), altered(5, 14), kind]) {
      expect(plain.decode(bytes, 'key')).toEqual({ rejected: 'version' });
    }
  });

  it('are corrupt when they end too early', () => {
    const bytes = encoded({ list: [1, 'two', new Float32Array(3)] });
    for (let end = 4; end < bytes.length - 1; end++) {
      expect(plain.decode(bytes.subarray(0, end), 'key')).toEqual({ rejected: 'corrupt' });
    }
  });

  it.each(forms)('do no harm, whatever they are (%s)', (_form, options) => {
    const random = seededRandom(7);
    const upTo = (end: number) => Math.floor(random() * end);
    const codec = createCodec(options);
    const value = { text: 'text', list: holed, map: new Map([[1, { a: 1n }]]), view: new Float32Array(2) };
    const good = [encoded(value, options), encoded(['x'.repeat(500), /a/, new Date(0), new Error('e')], options)];
    for (let round = 0; round < 5_000; round++) {
      const bytes = Uint8Array.from(good[round % 2] ?? []);
      const [from, header] = [upTo(bytes.length), bytes.slice(0, 6)];
      for (let flips = upTo(3); flips >= 0; flips--) bytes[upTo(bytes.length)] = upTo(256);
      if (round % 3 === 0)
        bytes.set(
          Uint8Array.from({ length: bytes.length - from }, () => upTo(256)),
          from,
        );
      if (round % 2 === 0) bytes.set(header);
      const noise = bytes.subarray(0, round % 5 === 0 ? from : bytes.length);
      const decoded = codec.decode(noise, 'key');
      if (options.encryption) expect('rejected' in decoded).toBe(Buffer.compare(noise, good[round % 2] ?? noise) !== 0);
    }
  });
});
