import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalKey, digestKey, isWarmpathError } from './index.js';

/** How `model` below tells two values apart: nothing but nested arrays and texts that any eye can compare. */
type Model = readonly [kind: string, ...parts: (string | Model)[]];

const viewKinds = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];

/** A union of constructors cannot be called as one. */
const viewOf = (View: (typeof viewKinds)[number], buffer: ArrayBuffer): ArrayBufferView =>
  Reflect.construct(View, [buffer]);

/** The data in a value, in the slow and obvious way; it shares nothing with the encoder. Unordered things are sorted. */
function model(value: unknown): Model {
  if (typeof value === 'number') return ['number', Object.is(value, -0) ? '-0' : String(value)];
  if (typeof value === 'string')
    return ['string', ...Array.from({ length: value.length }, (_, at) => String(value.charCodeAt(at)))];
  if (typeof value !== 'object' || value === null) return [typeof value, String(value)];
  if (value instanceof Date) return ['date', String(value.getTime())];
  if (value instanceof RegExp) return ['regexp', model(value.source), model(value.flags)];
  if (value instanceof URL) return ['url', value.href];
  if (value instanceof ArrayBuffer) return ['buffer', ...Array.from(new Uint8Array(value), String)];
  for (const kind of viewKinds) {
    if (value instanceof kind)
      return [kind.name, ...Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), String)];
  }
  if (Array.isArray(value))
    return [
      'array',
      ...Array.from({ length: value.length }, (_, at): Model => (at in value ? model(value[at]) : ['hole'])),
    ];
  if (value instanceof Map)
    return ['map', ...sorted([...value].map(([key, each]): Model => ['entry', model(key), model(each)]))];
  if (value instanceof Set) return ['set', ...sorted([...value].map(model))];
  return ['object', ...sorted(Object.entries(value).map(([name, each]): Model => ['entry', model(name), model(each)]))];
}

const sorted = (models: readonly Model[]): readonly Model[] =>
  models.toSorted((left, right) => (JSON.stringify(left) < JSON.stringify(right) ? -1 : 1));

const sameData = (left: unknown, right: unknown): boolean =>
  JSON.stringify(model(left)) === JSON.stringify(model(right));

/** Few letters, among them all that the encoding is made of, so that unlucky neighbours are likely. */
const text = fc.oneof(
  fc.string({
    unit: fc.constantFrom(
      'a',
      '1',
      ':',
      ';',
      's',
      'n',
      '[',
      ']',
      '{',
      '}',
      'é',
      '😀',
      '\ud800',
      '\udc00',
      '\ufffd',
      '\0',
    ),
    maxLength: 4,
  }),
  fc.string({ maxLength: 3 }),
);
const number = fc.oneof(
  fc.constantFrom(0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1, -1),
  fc.double(),
  fc.integer({ min: 0, max: 20 }),
);
const bytes = fc.array(fc.constantFrom(0, 1, 255), { maxLength: 2 }).map((list) => {
  const buffer = new ArrayBuffer(list.length * 8);
  const view = new Uint8Array(buffer);
  for (const [at, byte] of list.entries()) view.set([byte], at * 8);
  return buffer;
});
const leaf = fc.oneof(
  text,
  number,
  fc.boolean(),
  fc.constantFrom(null, undefined),
  fc.bigInt({ min: -2n, max: 20n }),
  fc.integer({ min: 0, max: 3 }).map((ms) => new Date(ms)),
  fc.constantFrom('a', 'b:1', '').map((source) => new RegExp(source, 'g')),
  fc.constantFrom('https://a.example/', 'https://a.example/?q=1').map((href) => new URL(href)),
  bytes,
  fc.tuple(bytes, fc.constantFrom(...viewKinds)).map(([buffer, View]) => viewOf(View, buffer)),
  fc.constantFrom(
    [undefined],
    new Array(1),
    new Array(2),
    Object.assign(new Array(2), { 1: 1 }),
    Object.assign(new Array(2), { 0: 1 }),
  ),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 3 }).map((members) => new Set(members)),
    fc.array(fc.tuple(text, tie('value')), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
  ),
}));

const refusal = (of: unknown): string => {
  try {
    canonicalKey(of);
  } catch (error) {
    if (isWarmpathError(error, 'WP_BAD_KEY')) return error.message;
    throw error;
  }
  throw new Error('It was given a key.');
};

describe('canonicalKey', () => {
  it('is the same for two values exactly when their data is the same', () => {
    fc.assert(
      fc.property(value, value, (left, right) => {
        expect(canonicalKey(left) === canonicalKey(right)).toBe(sameData(left, right));
      }),
      { numRuns: 5_000 },
    );
  });

  it('never meets among thousands of small values, all different', () => {
    const seen = new Map<string, string>();
    fc.assert(
      fc.property(value, (each) => {
        const key = canonicalKey(each);
        const known = JSON.stringify(model(each));
        expect(seen.get(key) ?? known).toBe(known);
        seen.set(key, known);
      }),
      { numRuns: 10_000 },
    );
    expect(new Set(seen.values()).size).toBe(seen.size);
  });

  it('does not depend on the order in which properties, entries and members were added', () => {
    const shuffled = fc.array(fc.tuple(text, value), { maxLength: 6 }).chain((entries) => {
      const once = [...new Map(entries)];
      return fc.tuple(fc.constant(once), fc.shuffledSubarray(once, { minLength: once.length }));
    });
    fc.assert(
      fc.property(shuffled, ([entries, others]) => {
        expect(canonicalKey(Object.fromEntries(entries))).toBe(canonicalKey(Object.fromEntries(others)));
        expect(canonicalKey(new Map(entries))).toBe(canonicalKey(new Map(others)));
        const members = (list: typeof entries) => new Set(list.map(([name]) => name));
        expect(canonicalKey(members(entries))).toBe(canonicalKey(members(others)));
      }),
    );
  });

  it('keeps apart what looks alike', () => {
    const eight = new ArrayBuffer(8);
    const alike: unknown[] = [
      ...[0, -0, '0', 0n, false, null, undefined, '', 'null', 'undefined', Number.NaN, 'NaN', Number.POSITIVE_INFINITY],
      ...[[], {}, new Map(), new Set(), [[]], [{}], [undefined], new Array(1), new Array(2), [null], [new Array(1)]],
      ...[{ a: undefined }, { a: null }, { a: [] }, { a: {} }, { '': undefined }],
      ...[
        new Map([['a', undefined]]),
        new Map([[1, 2]]),
        new Map([['1', 2]]),
        new Map([[2, 1]]),
        new Set([1, 2]),
        [1, 2],
        [12],
      ],
      ...[['a', 'b'], ['ab'], ['a,b'], ['a', ['b']], [['a'], 'b'], 'a', ['s1:a'], 's1:a'],
      ...[new Set([{}]), new Set([{}, {}]), new Set([[]])],
      ...[
        new Date(0),
        new Date(Number.NaN),
        '1970-01-01T00:00:00.000Z',
        /a/,
        /a/g,
        '/a/',
        new URL('https://a.example'),
      ],
      ...[
        'https://a.example/',
        '\ud800',
        '\ud801',
        '\udc00',
        '\ufffd',
        '\ud800\ud800',
        { '\ud800': 1 },
        { '\ufffd': 1 },
      ],
      ...viewKinds.map((View) => viewOf(View, eight)),
      ...[eight, new ArrayBuffer(9), new Uint8Array(9), [0, 0, 0, 0, 0, 0, 0, 0], new Uint8Array(0), new Int8Array(0)],
      ...['é', 'e\u0301', Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, 9007199254740991n],
    ];
    expect(new Set(alike.map(canonicalKey)).size).toBe(alike.length);
    expect(new Set(alike.map(digestKey)).size).toBe(alike.length);
  });

  it('takes for one what holds the same data', () => {
    const bytes = Uint8Array.of(9, 1, 2, 9);
    const pairs: [unknown, unknown][] = [
      [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
      [Buffer.from([1, 2]), Uint8Array.of(1, 2)],
      [bytes.subarray(1, 3), Uint8Array.of(1, 2)],
      [new DataView(bytes.buffer, 1, 2), new DataView(Uint8Array.of(1, 2).buffer)],
      [new URL('https://a.example'), new URL('https://a.example/')],
      [new Map([[-0, 1]]), new Map([[0, 1]])],
      [
        structuredClone({ a: [new Date(5), new Map([[1, new Set([2n])]])] }),
        { a: [new Date(5), new Map([[1, new Set([2n])]])] },
      ],
      [Object.defineProperty({ a: 1 }, 'hidden', { value: 2, enumerable: false }), { a: 1 }],
      [JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')],
    ];
    for (const [left, right] of pairs) expect(canonicalKey(left)).toBe(canonicalKey(right));
    expect(canonicalKey(JSON.parse('{"__proto__":{"a":1}}'))).not.toBe(canonicalKey({}));
  });

  it('takes a Map or Set apart from every other, however deep the difference', () => {
    fc.assert(
      fc.property(value, value, (left, right) => {
        const wrap = (each: unknown) => new Map([[new Set([[each]]), { deep: new Map([[{ each }, 1]]) }]]);
        expect(canonicalKey(wrap(left)) === canonicalKey(wrap(right))).toBe(sameData(left, right));
      }),
      { numRuns: 500 },
    );
  });

  it('leaves the value as it was', () => {
    const request = Object.freeze({ b: Object.freeze([3, 1, 2]), a: 1 });
    canonicalKey(request);
    expect(Object.keys(request)).toEqual(['b', 'a']);
    expect(request.b).toEqual([3, 1, 2]);
  });
});

describe('canonicalKey refuses what has no canonical form, by name and place', () => {
  class Passage {
    text = 'x';
  }
  class Tagged extends Map {
    tag = 'x';
  }
  class Row extends Array {}
  class Vector extends Float32Array {}
  // As a bundler may rename it: its name says nothing of what it is.
  Object.defineProperty(Vector, 'name', { value: 'Float64Array' });
  const transferred = new Uint8Array(4);
  structuredClone(transferred, { transfer: [transferred.buffer] });

  it.each<[string, unknown, string]>([
    ['a function', { tools: [{ run: function search() {} }] }, "key.tools[0].run is the function 'search'"],
    ['an arrow function', [() => {}], "key[0] is the function 'anonymous'"],
    [
      'a function with an odd name',
      Object.defineProperty(() => {}, 'name', { value: Symbol('x') }),
      "key is the function 'anonymous'",
    ],
    ['a symbol', { a: Symbol('id') }, "key.a is the symbol 'Symbol(id)'"],
    ['a symbol as a property', { a: { [Symbol('id')]: 1 } }, 'key.a has a symbol as a property'],
    ['an instance of a class', { passages: [new Passage()] }, 'key.passages[0] is an instance of Passage'],
    ['an instance of a nameless class', new (class {})(), 'key is an instance of an unnamed class'],
    ['an object made from another', Object.create({ inherited: 1 }), 'key is an instance of Object'],
    ['a boxed text', Object('text'), 'key is an instance of String'],
    ['a promise', { a: Promise.resolve(1) }, 'key.a is an instance of Promise'],
    ['an error', new Error('x'), 'key is an instance of Error'],
    ['a class that extends Map', new Tagged(), 'key is an instance of Tagged'],
    ['a class that extends Array', new Row(), 'key is an instance of Row'],
    ['a class that extends a typed array', new Vector(1), 'key is an instance of Float64Array'],
    ['an object that only claims to be a Map', Object.create(Map.prototype), 'key is an instance of Map'],
    ['a list with a property', Object.assign([1], { total: 5 }), "key has the property 'total' beside its items"],
    ['a match, which is such a list', /a/.exec('a'), "key has the property 'index' beside its items"],
    [
      'a Map with a property',
      { m: Object.assign(new Map(), { total: 5 }) },
      "key.m has the property 'total' beside its items",
    ],
    [
      'a Date with a symbol',
      Object.assign(new Date(0), { [Symbol('zone')]: 1 }),
      "key has the property 'Symbol(zone)' beside its items",
    ],
    ['bytes that were transferred', transferred, 'key has given its bytes away (it was transferred)'],
    ['a transferred buffer', transferred.buffer, 'key has given its bytes away (it was transferred)'],
    ['a function inside a Map', { m: new Map([['k', () => {}]]) }, "key.m.(Map) is the function 'anonymous'"],
  ])('%s', (_, of, why) => {
    expect(refusal(of).startsWith(`${why} and has no canonical form. `)).toBe(true);
  });

  it('cycles, through any kind of container', () => {
    const record: Record<string, unknown> = {};
    record.self = record;
    const list: unknown[] = [];
    list.push([list]);
    const map = new Map<unknown, unknown>();
    map.set('self', map);
    const set = new Set<unknown>();
    set.add(set);
    for (const cyclic of [record, list, map, set, { deep: [map] }]) {
      expect(refusal(cyclic)).toMatch(
        /^key.* nests deeper than 256 levels or contains itself and has no canonical form/,
      );
      expect(refusal(cyclic).length).toBeLessThan(300);
    }
  });

  it('what is nested too deeply, while 256 levels are fine', () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
    expect(() => canonicalKey(nested(256))).not.toThrow();
    expect(refusal(nested(257))).toContain('nests deeper than 256 levels');
  });

  it('without printing long names in full', () => {
    expect(refusal({ ['q'.repeat(5_000)]: Symbol('s'.repeat(5_000)) }).length).toBeLessThan(250);
  });

  it('or gives a key, and never fails in any other way', () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withMap: true,
          withSet: true,
          withDate: true,
          withTypedArray: true,
          withSparseArray: true,
          withNullPrototype: true,
          withBoxedValues: true,
          withUnicodeString: true,
        }),
        (any) => {
          try {
            expect(typeof canonicalKey(any)).toBe('string');
          } catch (error) {
            expect(isWarmpathError(error, 'WP_BAD_KEY')).toBe(true);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe('digestKey', () => {
  it('is 43 characters of base64url, and as equal as the keys are', () => {
    fc.assert(
      fc.property(value, value, (left, right) => {
        expect(digestKey(left)).toMatch(/^[A-Za-z0-9_-]{43}$/);
        expect(digestKey(left) === digestKey(right)).toBe(canonicalKey(left) === canonicalKey(right));
      }),
    );
  });

  it('is the same in every version, for stores outlive processes', () => {
    expect(digestKey({ model: 'x', messages: [{ role: 'user', content: 'Why?' }], n: 1n })).toMatchInlineSnapshot(
      `"ZtoPCyUitV0C8UI8uY14lyaO1-0mrhILBgqEWNs0Tns"`,
    );
  });
});
