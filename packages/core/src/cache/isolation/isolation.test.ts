import { setFlagsFromString } from 'node:v8';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { copyOf, type Isolation, type Kept, keep } from './isolation.js';

/** What the next reader gets. */
function handOut(kept: Kept | undefined): unknown {
  if (!kept) throw new Error('was not kept');
  return kept.isShareable ? kept.value : copyOf(kept.value);
}

const bytesOf = (view: ArrayBufferView) => Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('hex');

/** Throws unless both graphs have the same data, kinds, holes and shared references, in the same order. */
function assertSame(left: unknown, right: unknown, pairs = new Map<object, object>(), path = '$'): void {
  if (typeof left !== 'object' || left === null || typeof right !== 'object' || right === null) {
    if (!Object.is(left, right)) throw new Error(`${path}: ${String(left)} is not ${String(right)}`);
    return;
  }
  if (pairs.has(left) || [...pairs.values()].includes(right)) {
    if (pairs.get(left) !== right) throw new Error(`${path}: another object`);
    return;
  }
  pairs.set(left, right);
  if (Object.getPrototypeOf(left) !== Object.getPrototypeOf(right)) throw new Error(`${path}: another kind`);
  if (ArrayBuffer.isView(left) && ArrayBuffer.isView(right)) {
    if (bytesOf(left) !== bytesOf(right)) throw new Error(`${path}: other bytes`);
    return;
  }
  for (const [a, b] of partsOf(left, right, path)) assertSame(a, b, pairs, `${path}/`);
}

function partsOf(left: object, right: object, path: string): [unknown, unknown][] {
  const names = Reflect.ownKeys(left);
  const others = Reflect.ownKeys(right);
  if (names.join('\0') !== others.join('\0')) throw new Error(`${path}: has ${names.join()}, not ${others.join()}`);
  const pairs: [unknown, unknown][] = names
    .filter((name) => name !== 'stack')
    .map((name) => [Reflect.get(left, name), Reflect.get(right, name)]);
  if (left instanceof Map && right instanceof Map) pairs.push([[...left].flat(), [...right].flat()]);
  if (left instanceof Set && right instanceof Set) pairs.push([[...left], [...right]]);
  if (left instanceof Date || left instanceof Number || left instanceof Boolean || left instanceof String) {
    pairs.push([left.valueOf(), right.valueOf()]);
  }
  if (left instanceof ArrayBuffer && right instanceof ArrayBuffer) {
    pairs.push([new Uint8Array(left), new Uint8Array(right)]);
  }
  return pairs;
}

/** Changes all that can be changed of a value, as the worst caller would. */
function vandalise(value: unknown, seen = new Set<unknown>()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  const parts: unknown[] = [...Reflect.ownKeys(value).map((name) => Reflect.get(value, name))];
  if (value instanceof Map) parts.push(...[...value].flat());
  if (value instanceof Set) parts.push(...value);
  for (const part of parts) vandalise(part, seen);
  if (value instanceof Map) value.clear();
  if (value instanceof Set) value.clear();
  if (value instanceof Date) value.setTime(-1);
  if (value instanceof ArrayBuffer) new Uint8Array(value).fill(0xee);
  if (ArrayBuffer.isView(value)) {
    const { buffer } = value;
    new Uint8Array(buffer).fill(0xee); // not only its own bytes: a shared pool shows
    return;
  }
  for (const name of Reflect.ownKeys(value)) {
    Reflect.set(value, name, name === 'length' ? 0 : 'changed');
    Reflect.deleteProperty(value, name);
  }
  Reflect.set(value, 'added', true);
}

const name = fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('__proto__', 'constructor', 'length', '0', '12'));

/** Buffers cut from the middle of a larger one, and views that start within their buffer. */
const cutViews = fc.uint8Array({ minLength: 8, maxLength: 24 }).chain((bytes) =>
  fc.constantFrom(
    () => Buffer.from(Uint8Array.from(bytes).buffer, 2, 5),
    () => new Float32Array(Uint8Array.from(bytes).buffer, 4, 1),
    () => new DataView(Uint8Array.from(bytes).buffer, 1, 5),
    () => Uint8Array.from(bytes).buffer,
  ),
);

const data = fc.anything({
  key: name,
  maxDepth: 4,
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withSparseArray: true,
  withTypedArray: true,
});

/** Data with objects that occur twice or contain themselves: containers filled with parts and with one another. */
const graph = fc
  .record({
    parts: fc.array(fc.oneof(data, cutViews), { maxLength: 5 }),
    containers: fc.array(fc.constantFrom('record', 'list', 'map', 'set'), { minLength: 1, maxLength: 30 }),
    links: fc.array(fc.tuple(fc.nat(), fc.nat(), name), { maxLength: 60 }),
  })
  .map(({ parts, containers, links }) => {
    const made = containers.map((kind) =>
      kind === 'record' ? {} : kind === 'list' ? [] : kind === 'map' ? new Map() : new Set(),
    );
    const all = [...made, ...parts.map((part) => (typeof part === 'function' ? part() : part))];
    for (const [from, to, key] of links) {
      const container = made[from % made.length];
      const part = all[to % all.length];
      if (container instanceof Map) container.set(part, all[(to + 1) % all.length]);
      else if (container instanceof Set) container.add(part);
      else if (Array.isArray(container)) container.push(part);
      else Object.defineProperty(container, key, { value: part, enumerable: true, writable: true, configurable: true });
    }
    return made[0];
  });

/** The model: structuredClone, which makes a Uint8Array of a Buffer and keeps what a view was cut from. */
function expected(value: unknown): unknown {
  const buffers = new Map<unknown, Buffer>();
  const walk = (part: unknown, clone: unknown, seen = new Set<unknown>()): unknown => {
    if (Buffer.isBuffer(part) && clone instanceof Uint8Array) {
      const known = buffers.get(part) ?? Buffer.from(Uint8Array.from(clone).buffer);
      buffers.set(part, known);
      return known;
    }
    if (typeof part !== 'object' || part === null || typeof clone !== 'object' || clone === null) return clone;
    if (seen.has(part)) return clone;
    seen.add(part);
    if (part instanceof Map && clone instanceof Map) {
      const pairs = [...part].map((pair, at) => pair.map((each, side) => walk(each, [...clone][at]?.[side], seen)));
      clone.clear();
      for (const [key, content] of pairs) clone.set(key, content);
    } else if (part instanceof Set && clone instanceof Set) {
      const members = [...part].map((each, at) => walk(each, [...clone][at], seen));
      clone.clear();
      for (const member of members) clone.add(member);
    } else if (!ArrayBuffer.isView(part)) {
      for (const each of Object.keys(part)) {
        if (typeof Reflect.get(part, each) !== 'object') continue;
        Reflect.set(clone, each, walk(Reflect.get(part, each), Reflect.get(clone, each), seen));
      }
    }
    return clone;
  };
  return walk(value, structuredClone(value));
}

const modes: readonly Isolation[] = ['frozen', 'copy'];

describe('a value that is kept', () => {
  it.each(modes)('is what structuredClone makes of it (%s)', (mode) => {
    fc.assert(
      fc.property(fc.oneof(data, graph), (value) => {
        assertSame(handOut(keep(value, mode)), expected(value));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(modes)('is changed neither by who gave it nor by who gets it (%s)', (mode) => {
    fc.assert(
      fc.property(fc.oneof(data, graph), (value) => {
        const model = expected(value);
        const kept = keep(value, mode);
        vandalise(value);
        const first = handOut(kept);
        assertSame(first, model);
        vandalise(first);
        assertSame(handOut(kept), model);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is one frozen object for all readers where freezing protects all of it', () => {
    const kept = keep({ text: 'a', list: [1, { deep: [true, null, undefined, 5n] }] }, 'frozen');
    expect(kept?.isShareable).toBe(true);
    const { list } = handOut(kept) as { list: [number, { deep: unknown[] }] };
    expect(handOut(kept)).toHaveProperty('list', list);
    expect(() => list[1].deep.push(1)).toThrow(TypeError);
    expect(() => Object.assign(list[1], { deep: 1 })).toThrow(TypeError);
  });

  it.each([
    ['Map', new Map()],
    ['Set', new Set()],
    ['Date', new Date(0)],
    ['RegExp', /a/],
    ['Error', new Error('a')],
    ['ArrayBuffer', new ArrayBuffer(1)],
    ['Float32Array', new Float32Array(1)],
    ['Buffer', Buffer.from('a')],
    ['DataView', new DataView(new ArrayBuffer(1))],
    ['Blob', new Blob(['a'])],
  ])('is copied for each reader where it holds a %s, which freezing does not protect', (_kind, part) => {
    const kept = keep({ deep: [part] }, 'frozen');
    expect(kept?.isShareable).toBe(false);
    expect(handOut(kept)).not.toBe(handOut(kept));
    expect(handOut(kept)).toEqual({ deep: [part] });
  });

  it('is copied for each reader when that is asked for, but never where there is nothing to change', () => {
    expect(keep({}, 'copy')?.isShareable).toBe(false);
    for (const value of ['text', 0, -0, Number.NaN, true, null, undefined, 5n]) {
      expect(keep(value, 'copy')).toMatchObject({ value, isShareable: true });
    }
  });

  it('is the very value in shared mode, class, functions and all', () => {
    class Model {
      readonly run = () => 1;
    }
    const model = new Model();
    expect(keep(model, 'shared')).toMatchObject({ value: model, isShareable: true });
    expect(keep(Symbol.iterator, 'shared')?.value).toBe(Symbol.iterator);
  });

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('a')],
    ['a function inside', { run: () => 1 }],
    ['a symbol in a list', ['a', Symbol('a')]],
    ['a symbol in a Map', new Map([[Symbol('a'), 1]])],
    ['a promise', { answer: Promise.resolve() }],
    ['a WeakMap', new WeakMap()],
    ['a generator', (function* () {})()],
    ['a URL', new URL('http://localhost')],
    ['a proxy', new Proxy({}, {})],
    ['a proxy of a list', [new Proxy([], {})]],
    ['shared memory', new SharedArrayBuffer(1)],
    [
      'a getter that throws',
      {
        get broken(): number {
          throw new Error('no');
        },
      },
    ],
    ['bytes given away', given(new Uint8Array(3))],
    ['a DataView given away', given(new DataView(new ArrayBuffer(3)))],
  ])('cannot be %s', (_what, value) => {
    expect(keep(value, 'frozen')).toBeUndefined();
    expect(keep(value, 'copy')).toBeUndefined();
    expect(keep(value, 'shared')).toBeDefined();
  });

  it('may nest 499 levels deep, and 10,000 levels do no harm', () => {
    const deep = (levels: number) => {
      let value: unknown = 'end';
      for (let level = 0; level < levels; level++) value = level % 2 ? { value } : [value];
      return value;
    };
    for (const mode of modes) {
      expect(JSON.stringify(handOut(keep(deep(499), mode)))).toBe(JSON.stringify(deep(499)));
      expect(keep(deep(10_000), mode)).toBeUndefined();
    }
    expect(() => copyOf(deep(10_000))).toThrow(expect.objectContaining({ name: 'DataCloneError' }));
  });
});

function given<View extends ArrayBufferView<ArrayBuffer>>(view: View): View {
  structuredClone(view.buffer, { transfer: [view.buffer] });
  return view;
}

describe('a copy', () => {
  const copied = <V>(value: V): V => handOut(keep(value, 'copy')) as V;

  it('keeps a property called __proto__ as a property, and no prototype changes', () => {
    const value: unknown = JSON.parse('{"__proto__": {"isAdmin": true}, "a": {"__proto__": 1}}');
    const copy = copied(value) as Record<string, unknown>;
    expect(JSON.stringify(copy)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(copy)).toBe(Object.prototype);
    expect(Reflect.get({}, 'isAdmin')).toBeUndefined();
  });

  it('does not take what somebody hung onto Object.prototype', () => {
    Object.defineProperty(Object.prototype, 'hung', {
      value: new Date(0),
      enumerable: true,
      configurable: true,
      writable: true,
    });
    try {
      expect(Object.keys(copied({ a: {} }))).toEqual(['a']);
      expect(keep({ a: {} }, 'frozen')?.isShareable).toBe(true);
    } finally {
      Reflect.deleteProperty(Object.prototype, 'hung');
    }
  });

  it('reads each getter once', () => {
    let reads = 0;
    const value = {
      get counted() {
        return { reads: ++reads };
      },
    };
    const kept = keep(value, 'copy');
    expect(handOut(kept)).toEqual({ counted: { reads: 1 } });
    expect(reads).toBe(1);
  });

  it('leaves symbols behind', () => {
    expect(Reflect.ownKeys(copied({ [Symbol('a')]: 1, b: 2 }))).toEqual(['b']);
  });

  it('makes plain objects of instances, at any depth and each time', () => {
    class Page {
      readonly #secret = 1;
      readonly bytes = Buffer.from('page');
      constructor(readonly next?: Page) {}
      text(): string {
        return `${this.bytes}${this.#secret}`;
      }
    }
    for (let time = 0; time < 2; time++) {
      const copy = copied(new Page(new Page()));
      expect(copy).toStrictEqual({ bytes: Buffer.from('page'), next: { bytes: Buffer.from('page'), next: undefined } });
      expect(copy.bytes.buffer.byteLength).toBe(4);
    }
  });

  it('of an instance of a class that extends a list, Map, Set, Date, Error or typed array is of what it extends', () => {
    class List extends Array<number> {}
    class Table extends Map<number, number> {}
    class Bag extends Set<number> {}
    class Day extends Date {}
    class Vector extends Float32Array {}
    expect(copied(List.from([1, 2]))).toStrictEqual([1, 2]);
    expect(copied(new Table([[1, 2]]))).toStrictEqual(new Map([[1, 2]]));
    expect(copied(new Bag([1]))).toStrictEqual(new Set([1]));
    expect(copied(new Day(5))).toStrictEqual(new Date(5));
    expect(copied(new Vector([1]))).toStrictEqual(new Float32Array([1]));
    expect(copied(new RangeError('far'))).toBeInstanceOf(RangeError);
  });

  it('keeps holes and properties of lists, short and long, and what a match says', () => {
    for (const length of [3, 200]) {
      const list = Array.from({ length }, (_, at) => at);
      delete list[1];
      expect(Object.keys(copied(list))).toEqual(Object.keys(list));
      const named = Object.assign(list, { total: { of: 5 } });
      expect(copied(named).total).toEqual({ of: 5 });
      expect(Object.keys(copied(named))).toEqual(Object.keys(named));
    }
    expect({ ...copied(/b(?<c>c)/.exec('abc')) }).toEqual({
      0: 'bc',
      1: 'c',
      index: 1,
      input: 'abc',
      groups: { c: 'c' },
    });
    const oneForAnother = Object.assign([1, 2], { name: 3 });
    delete oneForAnother[0];
    expect(Object.keys(copied(oneForAnother))).toEqual(['1', 'name']);
  });

  it('of a list of four thousand million holes takes no time', () => {
    const list: unknown[] = [];
    list[4_000_000_000] = { last: true };
    list[7] = 'seven';
    for (const mode of modes) {
      const copy = handOut(keep(list, mode)) as unknown[];
      expect(copy.length).toBe(list.length);
      expect(Object.entries(copy)).toEqual(Object.entries(list));
    }
  });

  it('holds of a view no byte but its own', () => {
    const pooled = Buffer.from('pooled');
    const cut = new Float64Array(new ArrayBuffer(800_000), 8, 2);
    expect(pooled.buffer.byteLength).toBeGreaterThan(6);
    for (const view of [
      pooled,
      cut,
      new DataView(new ArrayBuffer(100), 10, 5),
      new Uint8Array(new SharedArrayBuffer(8)),
    ]) {
      const copy = copied(view);
      expect(copy).toStrictEqual(view);
      expect(copy.buffer.byteLength).toBe(view.byteLength);
      expect(copy.buffer).toBeInstanceOf(ArrayBuffer);
    }
  });

  it('has a buffer of its own for each view, also where two were of one', () => {
    const buffer = new ArrayBuffer(8);
    const copy = copied({ bytes: new Uint8Array(buffer), same: new Uint8Array(buffer), buffer });
    copy.bytes.fill(1);
    expect(copy.same).toStrictEqual(new Uint8Array(8));
    expect(copy.buffer).toStrictEqual(new ArrayBuffer(8));
  });

  it('of a part of what is kept is right too where the part contains itself, or another part twice', () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.itself = cyclic;
    const date = new Date(0);
    const kept = keep([cyclic, { left: date, right: date }], 'copy')?.value as [
      typeof cyclic,
      { left: Date; right: Date },
    ];
    const copies = [copyOf(kept[0]), copyOf(kept[1])] as const;
    expect(copies[0].itself).toBe(copies[0]);
    expect(copies[0]).not.toBe(kept[0]);
    expect(copies[1].left).toBe(copies[1].right);
    expect(copies[1].left).not.toBe(kept[1].left);
  });

  it('may hold more objects than may nest', () => {
    const rows = Array.from({ length: 5_000 }, (_, at) => ({ at, part: {} }));
    expect(copied(rows)).toStrictEqual(rows);
  });

  it('leaves a list of numbers a run of doubles, of the caller and of the cache, after any other lists', () => {
    setFlagsFromString('--allow-natives-syntax');
    const isUnboxed = new Function('list', 'return %HasDoubleElements(list)') as (list: unknown) => boolean;
    const numbers = Array.from({ length: 1_536 }, (_, at) => at / 3);
    const lists = [numbers, ['a', {}], [1, 'a'], [1, 2, 3], [{ deep: numbers }], [[], 'b', null]];
    for (let round = 0; round < 3_000; round++) {
      for (const list of lists) for (const mode of ['copy', 'shared'] as const) handOut(keep(list, mode));
    }
    expect(isUnboxed(numbers)).toBe(true);
    expect(isUnboxed(keep(numbers, 'copy')?.value)).toBe(true);
    expect(isUnboxed(copied(numbers))).toBe(true);
  });
});
