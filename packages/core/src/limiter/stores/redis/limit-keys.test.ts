import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accountKeys, peersKey } from './limit-keys.js';

const shape = { digest: 'shape', hasPlaces: true };

describe('the names of accounts in Redis', () => {
  it('are readable where they can be', () => {
    expect(accountKeys('wp', 'chat', 'tenant-1', shape)).toEqual([
      'wp:{chat/tenant-1}:a:shape',
      'wp:{chat/tenant-1}:p:shape',
    ]);
    expect(accountKeys('wp', '', 'a b', { ...shape, hasPlaces: false })).toEqual(['wp:{%/a%20b}:a:shape']);
    expect(peersKey('wp')).toBe('wp:{%}:peers');
  });

  it('differ for each limiter and key, and lie in the slot of both, whatever they are called', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('%', '{', '}', '/', '#', 'a/b', '\ud800', 'x'.repeat(70)),
    );
    const seen = new Map<string, string>([[peersKey('wp'), 'peers']]);
    fc.assert(
      fc.property(name, name, (limiter, key) => {
        const names = accountKeys('wp', limiter, key, shape);
        const place = JSON.stringify([limiter, key]);
        for (const each of names) {
          expect(each.match(/[{}]/g)).toEqual(['{', '}']);
          expect(seen.get(each) ?? place).toBe(place);
          seen.set(each, place);
        }
        const [tags] = [new Set(names.map((each) => each.slice(each.indexOf('{'), each.indexOf('}'))))];
        expect(tags.size).toBe(1);
      }),
    );
  });
});
