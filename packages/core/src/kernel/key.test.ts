import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalKey, compactKey, digestKey, digestText, isWarmpathError } from './index.js';

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
const shortText = fc.oneof(
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
/** Of lengths at which the form of a text or of its length changes. */
const longText = fc
  .tuple(shortText, fc.constantFrom('a', 'é', '–', '\ud800'), fc.constantFrom(47, 48, 49, 127, 128, 129), shortText)
  .map(([start, filler, length, end]) => start + filler.repeat(length - start.length) + end);
const text = fc.oneof({ weight: 8, arbitrary: shortText }, { weight: 1, arbitrary: longText });
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

  it('tells texts apart at every length, and takes them by their characters, not by how the engine holds them', () => {
    const fillers = ['–', 'ā', '\ud800', 'a', '\0', '\x7f', 'é', '\xff'];
    const lengths = [...Array(300).keys(), 16_383, 16_384, 150_000];
    const endings = ['', 'b', 'c', '“', '”'];
    const texts = fillers.flatMap((filler) =>
      lengths.flatMap((length) => endings.map((ending) => filler.repeat(length) + ending)),
    );
    const apart = new Set(texts).size;
    expect(new Set(texts.map((each) => canonicalKey([each]))).size).toBe(apart);
    expect(new Set(texts.map((each) => digestKey([each]))).size).toBe(apart);
    for (const length of [3, 60, 5_000]) {
      const plain = 'x'.repeat(length);
      const cut = `–${plain}`.slice(1); // still held in two bytes a character
      expect(digestKey({ [cut]: cut })).toBe(digestKey({ [plain]: plain }));
    }
  });

  it('tells numbers apart at every size', () => {
    const around = [0, 127, 128, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53];
    const numbers = around.flatMap((each) => [each - 1, each - 0.5, each, each + 0.5, each + 1, -each]);
    const apart = new Set(numbers.map((each) => model(each)[1])).size;
    expect(new Set(numbers.map((each) => canonicalKey([each]))).size).toBe(apart);
    expect(new Set(numbers.map(canonicalKey)).size).toBe(apart);
    const odd = new Float64Array(BigUint64Array.of(0x7ff8_0000_0000_0001n, 0xfff8_0000_0000_0000n).buffer);
    expect(new Set([Number.NaN, odd[0], odd[1]].map((each) => canonicalKey([each]))).size).toBe(1);
  });

  it('writes each thing whole, wherever it falls', () => {
    const things: unknown[] = [true, 5, 300, 70_000, 2 ** 31 - 1, 0.5, 10n, 'ab', '–', new Date(0), [], [1], { a: '' }];
    things.push(new Map([[1, 2]]), Uint8Array.of(1, 2), ...['a', 'é', '–'].map((filler) => filler.repeat(130)));
    const formOf = (each: unknown) => canonicalKey([each]).slice(2);
    for (const thing of things) {
      const form = formOf(thing);
      for (let shift = 0; shift < 16; shift++) {
        digestKey('x'.repeat(300_000)); // the room of a key so long is given back, so that the next has to grow
        const count = Math.ceil(9_000 / form.length);
        const list = ['x'.repeat(shift), ...Array.from({ length: count }, () => thing)];
        expect(canonicalKey(list).endsWith(formOf('x'.repeat(shift)) + form.repeat(count))).toBe(true);
      }
    }
  });

  it('sorts few names and many', () => {
    const name = fc.oneof(shortText, fc.string({ maxLength: 2 }), fc.nat(30).map(String));
    const names = fc.uniqueArray(name, { maxLength: 40, size: 'max' });
    fc.assert(
      fc.property(names, (given) => {
        const record = (order: readonly string[]) => Object.fromEntries(order.map((name) => [name, `is ${name}`]));
        const key = canonicalKey(record(given));
        expect(canonicalKey(record(given.toReversed()))).toBe(key);
        expect(canonicalKey(record(given.toSorted()))).toBe(key);
      }),
    );
  });

  it('is not disturbed by a getter that makes keys, and refuses, within a key', () => {
    const inner = { deep: [{ b: 'x'.repeat(100_000), a: 2 }] };
    const plain = { a: 1, inner: canonicalKey(inner), z: [3] };
    const busy = {
      a: 1,
      get inner() {
        expect(refusal({ list: [Symbol('s')] })).toContain('key.list[0] is the symbol');
        return canonicalKey(inner);
      },
      z: [3],
    };
    expect(canonicalKey(busy)).toBe(canonicalKey(plain));
    expect(digestKey([busy, busy])).toBe(digestKey([plain, plain]));
    const late = {
      a: { b: 1 },
      get c() {
        return canonicalKey([[inner]]);
      },
      d: () => {},
    };
    expect(refusal([late])).toContain("key[0].d is the function 'd'");
  });

  it('is the same after a refusal and after a key of any size', () => {
    const request = { b: [1, 'two', { three: 3 }], a: 'x'.repeat(60) };
    const [key, digest] = [canonicalKey(request), digestKey(request)];
    for (const other of ['', 'y'.repeat(10_000), '–'.repeat(1_000_000)]) {
      digestKey([other, other]);
      expect(canonicalKey(request)).toBe(key);
      expect(refusal([other, { deep: [Symbol('s')] }])).toContain('key[1].deep[0] is the symbol');
      expect(digestKey(request)).toBe(digest);
    }
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
    const request = {
      model: 'llama3.2',
      seed: 2 ** 40,
      temperature: 0.2,
      limits: [1, -1, 300, -0, Number.NaN, null, undefined, true, false, 10n],
      messages: [
        { role: 'user', content: 'Why?' },
        { content: `“Because” ${'x'.repeat(60)}`, role: 'assistant' },
      ],
      seen: new Map<unknown, unknown>([
        [new Date(5), new Set(['b', 'a'])],
        [/a/g, new URL('https://a.example')],
      ]),
      vector: Float32Array.of(1, 2),
      ...{ holes: new Array(2), thumbnail: new ArrayBuffer(2) },
    };
    expect(digestKey(request)).toMatchInlineSnapshot(`"dFuPW0RBfgC-y_h78Rfj_PoyAlNnTn_yywNHTeSYFW8"`);
  });
});

describe('digestText', () => {
  const parts = fc.array(fc.option(text, { nil: undefined }), { maxLength: 4 });

  it('is 43 characters of base64url, the same for the same parts and no others', () => {
    fc.assert(
      fc.property(parts, parts, (left, right) => {
        expect(digestText(...left)).toMatch(/^[A-Za-z0-9_-]{43}$/);
        expect(digestText(...left) === digestText(...right)).toBe(sameData(left, right));
      }),
      { numRuns: 2_000 },
    );
  });

  it('knows where a part ends, and one that is missing', () => {
    const alike = [
      ...[['ab'], ['a', 'b'], ['', 'ab'], ['ab', ''], ['a', '', 'b'], [], [''], [undefined], ['u'], [undefined, '']],
      ...[['', undefined], ['s\u0001a'], ['\ud800'], ['\ufffd'], ['a'.repeat(48), 'b'], [`${'a'.repeat(48)}b`]],
    ];
    expect(new Set(alike.map((each) => digestText(...each))).size).toBe(alike.length);
  });

  it('is the same in every version', () => {
    expect(digestText('answers', undefined, canonicalKey({ a: 1 }))).toMatchInlineSnapshot(
      `"RhfMlHjbfiH98SUDUKZ2IIkCH53XjyRUp4TTq3KH1Dg"`,
    );
  });
});

describe('compactKey', () => {
  it('is the canonical key as long as that is short enough, else a digest', () => {
    fc.assert(
      fc.property(value, fc.integer({ min: 0, max: 40 }), (each, longest) => {
        const key = canonicalKey(each);
        const compact = compactKey(each, longest);
        if (typeof each !== 'number') expect(compact === key).toBe(key.length <= longest);
        expect(compact.length).toBeLessThanOrEqual(Math.max(longest, 44));
        if (compact !== key) expect(compact).toBe(`#${digestKey(each)}`);
        expect(key.startsWith('#')).toBe(false);
      }),
    );
    const edges: [unknown, number][] = ['', 'four', 'x'.repeat(60), [], { a: 'x'.repeat(60) }, new Map()].map(
      (each) => [each, canonicalKey(each).length],
    );
    for (const [each, length] of edges) {
      expect(compactKey(each, length)).toBe(canonicalKey(each));
      expect(compactKey(each, length - 1)).toBe(`#${digestKey(each)}`);
    }
  });
});
