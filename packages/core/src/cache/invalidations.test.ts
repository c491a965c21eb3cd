import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Invalidations } from './invalidations.js';

/** Remembers everything: what must count as invalidated, and nothing else may as long as no name was forgotten. */
class Model {
  readonly #told: (readonly string[] | 'all')[] = [];

  get now(): number {
    return this.#told.length;
  }

  add(names: readonly string[] | 'all'): void {
    this.#told.push(names);
  }

  hasTouched(names: readonly string[], since: number): boolean {
    return this.#told.slice(since).some((told) => told === 'all' || names.some((name) => told.includes(name)));
  }
}

const mostNames = 100_000;

describe('invalidations', () => {
  it('are known of each name, from the moment on that something began, as an endless list would know them', () => {
    const names = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', ''), { maxLength: 3 });
    const steps = fc.array(
      fc.oneof({ weight: 6, arbitrary: names }, { weight: 1, arbitrary: fc.constant('all' as const) }),
    );
    fc.assert(
      fc.property(steps, fc.array(fc.tuple(names, fc.nat(30)), { minLength: 1 }), (told, questions) => {
        const [invalidations, model] = [new Invalidations(), new Model()];
        const sequences = [invalidations.sequence];
        for (const each of told) {
          if (each === 'all') invalidations.addAll();
          else invalidations.add(each);
          model.add(each);
          sequences.push(invalidations.sequence);
        }
        for (const [asked, at] of questions) {
          const since = at % sequences.length;
          expect(invalidations.hasTouched(asked, sequences[since] ?? 0)).toBe(model.hasTouched(asked, since));
        }
      }),
    );
  });

  it('go by the order alone: something that begins later is touched by nothing before', () => {
    const invalidations = new Invalidations();
    invalidations.add(['a']);
    invalidations.addAll();
    expect(invalidations.hasTouched(['a'], invalidations.sequence)).toBe(false);
    const began = invalidations.sequence;
    invalidations.add(['b']);
    expect([invalidations.hasTouched(['a'], began), invalidations.hasTouched(['b'], began)]).toEqual([false, true]);
  });

  it('of more than 100,000 names cost misses and are never missed', () => {
    const invalidations = new Invalidations();
    const began = invalidations.sequence;
    invalidations.add(['first']);
    const later = invalidations.sequence;
    for (let index = 0; index < mostNames - 1; index++) invalidations.add([`name ${index}`]);
    expect(invalidations.hasTouched(['other'], began)).toBe(false); // all of them are known one by one
    invalidations.add(['one too many']);
    expect(invalidations.hasTouched(['first'], began)).toBe(true);
    expect(invalidations.hasTouched(['other'], began)).toBe(true); // nobody knows any more: a miss
    expect(invalidations.hasTouched([], began)).toBe(false); // what goes by no name was not meant
    expect(invalidations.hasTouched(['other'], later)).toBe(false);
    expect(invalidations.hasTouched(['name 0'], later)).toBe(true);
  });

  it('of more names at once than it can remember are all known', () => {
    const invalidations = new Invalidations();
    const began = invalidations.sequence;
    const names = Array.from({ length: mostNames + 10 }, (_, index) => `name ${index}`);
    invalidations.add(names);
    expect(names.every((name) => invalidations.hasTouched([name], began))).toBe(true);
    const after = invalidations.sequence;
    invalidations.add(['another']);
    expect(invalidations.hasTouched(['name 0'], after)).toBe(false);
  });

  it('forget first what was invalidated longest ago', () => {
    const invalidations = new Invalidations();
    invalidations.add(['again and again']);
    for (let index = 0; index < mostNames - 1; index++) invalidations.add([`name ${index}`]);
    const began = invalidations.sequence;
    invalidations.add(['again and again']);
    invalidations.add(['one too many']);
    const touched = ['again and again', 'one too many', 'other'].map((name) => invalidations.hasTouched([name], began));
    expect(touched).toEqual([true, true, false]);
  });

  it('of one name over and over take the place of one', () => {
    const invalidations = new Invalidations();
    const began = invalidations.sequence;
    for (let round = 0; round < 2 * mostNames; round++) invalidations.add(['a', 'b']);
    expect(invalidations.hasTouched(['c'], began)).toBe(false);
  });
});
