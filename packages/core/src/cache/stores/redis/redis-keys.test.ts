import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keySlot } from '../../../redis/connection/key-slot.js';
import { redisKeys } from './redis-keys.js';

const awkward = [
  '',
  '%',
  '{',
  '}',
  '{}',
  'a}b{c',
  'a/b',
  '#',
  'x'.repeat(64),
  'x'.repeat(65),
  'ä',
  '😀',
  '\0',
  '\ud800',
];
const name = fc.oneof(fc.constantFrom(...awkward), fc.string({ unit: 'binary' }), fc.string());

describe('names in Redis', () => {
  it('lie together where they have to: versions and tags of a namespace, and all of one key', () => {
    fc.assert(
      fc.property(name, name, name, (namespace, key, tag) => {
        const keys = redisKeys('wp', namespace);
        const shared = keySlot(keys.versions);
        expect([keySlot(keys.channel), keySlot(keys.tag(tag))]).toEqual([shared, shared]);
        const own = keySlot(keys.entry(key));
        expect([keySlot(keys.generation(key)), keySlot(keys.lease(key))]).toEqual([own, own]);
      }),
    );
  });

  it('are never the same for two things', () => {
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 6 }), (names) => {
        const all = names.flatMap((namespace) => {
          const keys = redisKeys('wp', namespace);
          const ofKeys = names.flatMap((key) => [keys.entry(key), keys.generation(key), keys.lease(key)]);
          // Tags that differ in lone surrogates alone share a name.
          const tags = [...new Set(names.map((tag) => tag.toWellFormed()))].map((tag) => keys.tag(tag));
          return [keys.versions, keys.channel, ...ofKeys, ...tags];
        });
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });

  it('spread the keys of a namespace over the slots', () => {
    const keys = redisKeys('wp', 'answers');
    const slots = new Set(Array.from({ length: 1_000 }, (_, index) => keySlot(keys.entry(`key ${index}`))));
    expect(slots.size).toBeGreaterThan(900);
  });

  it('are short and plain, whatever they stand for', () => {
    fc.assert(
      fc.property(name, name, (namespace, key) => {
        const entry = redisKeys('wp', namespace).entry(key);
        expect(entry).toMatch(/^wp:\{[!-z~]+\}:e$/);
        expect(entry.length).toBeLessThan(140);
      }),
    );
    expect(redisKeys('wp', 'answers').entry('Zm9vYmFy-_')).toBe('wp:{answers/Zm9vYmFy-_}:e');
  });
});
