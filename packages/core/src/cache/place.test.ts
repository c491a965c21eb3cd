import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeOf, placeText, streamTextOf, tenantOf, textOf } from './place.js';

const texts = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    '\u0000',
    '\u0001',
    '\u0002',
    '\u0003',
    '#',
    'n5',
    '\u0001n5',
    '\u0001s',
    's',
    'u',
    'x'.repeat(1_024),
  ),
  fc.constantFrom(
    'x'.repeat(1_023),
    'x'.repeat(1_025),
    `${'x'.repeat(1_024)}y`,
    'é'.repeat(1_024),
    '\ud800',
    '\ud801',
    '\ufffd',
  ),
);
const keys = fc.oneof(texts, fc.integer(), fc.constantFrom(null, undefined, true, 5, '5', 5n, [], {}), fc.array(texts));
const tenants = fc.option(fc.oneof(texts, fc.constantFrom('a', '1:a', '\u00001:a')), { nil: undefined });

describe('the text of a key', () => {
  it('is the key itself where that is text, which costs nothing', () => {
    for (const key of ['key', 'user:1', 'x'.repeat(1_024), '\u0004', '\ud83d\ude00']) expect(textOf(key)).toBe(key);
  });

  it('is different for different keys, and for a stream of the same key', () => {
    fc.assert(
      fc.property(fc.uniqueArray(keys, { maxLength: 30, comparator: 'SameValue' }), (all) => {
        const distinct = new Map(
          all.map((key) => [JSON.stringify([typeof key, key === undefined ? 0 : key], json), key]),
        );
        const seen = [...distinct.values()].flatMap((key) => [textOf(key), streamTextOf(key)]);
        expect(new Set(seen).size).toBe(2 * distinct.size);
      }),
      { numRuns: 500 },
    );
  });

  it('is the same for equal keys, in whatever order they were written', () => {
    expect(textOf({ a: 1, b: [2] })).toBe(textOf({ b: [2], a: 1 }));
    expect(textOf('x'.repeat(5_000))).toBe(textOf(Array(5_000).fill('x').join('')));
  });

  it('is short, however long the key', () => {
    const long = { prompt: 'tell me '.repeat(10_000), list: Array(1_000).fill(1) };
    for (const key of [long, long.prompt]) expect(textOf(key).length).toBeLessThan(60);
    const [one, other] = [`${long.prompt}.`, `${long.prompt},`];
    expect(textOf(one)).not.toBe(textOf(other));
  });
});

describe('a place', () => {
  it('has one text and one digest for each tenant and key, and no other place has them', () => {
    const placed = fc.tuple(tenants, texts);
    fc.assert(
      fc.property(
        fc.uniqueArray(placed, { maxLength: 30, selector: ([tenant, key]) => JSON.stringify([tenant ?? 0, key]) }),
        (all) => {
          const places = all.map(([tenant, key]) => placeOf(tenant, textOf(key)));
          expect(new Set(places.map(({ tenant, text }) => placeText(tenant, text))).size).toBe(all.length);
          expect(new Set(places.map(({ id }) => id)).size).toBe(all.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('has a digest that says nothing of either, the same each time', () => {
    const { id } = placeOf('acme', textOf('user:1'));
    expect(id).toMatch(/^[\w-]{43}$/);
    expect(placeOf('acme', textOf('user:1')).id).toBe(id);
  });
});

describe('the tenant of a call', () => {
  const options = { name: 'test', scope: 'caller' } as Parameters<typeof tenantOf>[0];

  it('is nobody’s where everybody shares', () => {
    expect(tenantOf({ ...options, scope: 'shared' }, { tenant: 'acme' })).toBeUndefined();
  });

  it('must be a string', () => {
    const call = { tenant: 5 } as unknown as { tenant: string };
    expect(() => tenantOf(options, call)).toThrow(expect.objectContaining({ code: 'WP_BAD_OPTION' }));
  });
});

function json(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
