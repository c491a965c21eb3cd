import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Accounts } from './accounts.js';
import type { Dimension } from './dimensions.js';

const requests = { kind: 'window', name: 'a', unit: 'requests', limit: 10, windowMs: 1_000, burst: undefined } as const;
const places = { kind: 'concurrency', name: 'b', unit: 'concurrency', limit: 5 } as const;

function accountsOf(maxKeys: number, dimensions: readonly Dimension[] = [requests]): Accounts {
  return new Accounts({ dimensions, maxKeys });
}

function take(accounts: Accounts, key: string, now: number): void {
  accounts.of(key, now, 0).take([1, 0], now, 0);
}

function hold(accounts: Accounts, key: string, expiresAt: number): void {
  accounts.of(key, 0, 0).take([1, 0], 0, 0, { lease: { id: key, expiresAt } });
}

function known(accounts: Accounts, keys: string): string {
  return [...keys].filter((key) => accounts.peek(key) !== undefined).join('');
}

describe('Accounts', () => {
  it('has one account for each key', () => {
    const accounts = accountsOf(10);
    take(accounts, 'a', 0);
    take(accounts, 'a', 0);
    expect(accounts.of('a', 0, 0).used(0, 0)).toEqual([2]);
    expect(accounts.of('b', 0, 0).used(0, 0)).toEqual([0]);
    expect([accounts.size, accounts.peek('c'), accounts.size]).toEqual([2, undefined, 2]);
  });

  it('drops the one unused for longest when all are in use, as a list of them does', () => {
    const key = fc.constantFrom(...'abcdefgh');
    fc.assert(
      fc.property(fc.array(key, { maxLength: 80, size: 'max' }), fc.integer({ min: 1, max: 6 }), (keys, maxKeys) => {
        const accounts = accountsOf(maxKeys);
        let list: string[] = [];
        for (const each of keys) {
          take(accounts, each, 0);
          list = [...list.filter((other) => other !== each), each].slice(-maxKeys);
          expect(known(accounts, 'abcdefgh')).toBe([...list].sort().join(''));
          expect(accounts.size).toBe(list.length);
        }
        expect([...accounts.recent(3)]).toEqual(
          list
            .reverse()
            .slice(0, 3)
            .map((each) => accounts.peek(each)),
        );
      }),
    );
  });

  it('drops one of which nothing is used before one that was unused for longer', () => {
    const accounts = accountsOf(3);
    take(accounts, 'a', 0);
    accounts.of('b', 0, 0);
    take(accounts, 'c', 0);
    take(accounts, 'd', 0);
    expect(known(accounts, 'abcd')).toBe('acd');
  });

  it('drops one that holds a place only when all others do', () => {
    const accounts = accountsOf(3, [requests, places]);
    for (const key of 'abc') hold(accounts, key, 1e9);
    accounts.of('b', 0, 0).release('b');
    hold(accounts, 'd', 1e9);
    expect(known(accounts, 'abcd'), 'a is older, and holds one').toBe('acd');
    hold(accounts, 'e', 1e9);
    expect(accounts.size).toBe(3);
    expect(known(accounts, 'abcde'), 'all hold one').toBe('cde');
  });

  it('drops those whose places have expired like any other', () => {
    const accounts = accountsOf(3, [requests, places]);
    hold(accounts, 'a', 500);
    for (const key of 'bc') take(accounts, key, 0);
    take(accounts, 'd', 100);
    expect(known(accounts, 'abcd'), 'a is older, and holds one').toBe('acd');
    for (const key of 'cd') take(accounts, key, 1_900);
    take(accounts, 'e', 2_000);
    expect(known(accounts, 'acde'), 'nothing is used of a').toBe('cde');
  });

  it('is never above its bound, and its lists stay whole, whatever is used, held, released and swept', () => {
    const key = fc.constantFrom(...'abcdefghijkl');
    const command = fc.tuple(fc.constantFrom('take', 'hold', 'release', 'sweep', 'pause'), key);
    fc.assert(
      fc.property(
        fc.array(command, { maxLength: 120, size: 'max' }),
        fc.integer({ min: 1, max: 6 }),
        (commands, maxKeys) => {
          const accounts = accountsOf(maxKeys, [requests, places]);
          let now = 0;
          for (const [what, key] of commands) {
            const before = [...'abcdefghijkl'].filter((each) => accounts.peek(each));
            const held = before.filter((each) => accounts.peek(each)?.isHeld(now));
            if (what === 'pause') now += 400;
            else if (what === 'sweep') accounts.sweep(now, 0);
            else {
              const account = accounts.of(key, now, 0);
              if (what === 'release') account.release('x');
              else
                account.take(
                  [1, 0],
                  now,
                  0,
                  what === 'hold' ? { lease: { id: 'x', expiresAt: now + 900 } } : undefined,
                );
            }
            expect(accounts.size).toBeLessThanOrEqual(maxKeys);
            if (what === 'sweep') for (const each of before) expect(accounts.peek(each)?.isIdle(now, 0)).not.toBe(true);
            const others = before.length - held.length;
            const lost = held.filter((each) => !accounts.peek(each) && what !== 'pause' && what !== 'sweep');
            if (others > 0) expect(lost).toEqual([]);
            expect(lost.length).toBeLessThanOrEqual(1);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('looks at no more than it is told in a sweep, and goes on there', () => {
    const accounts = accountsOf(100);
    for (let key = 0; key < 90; key++) take(accounts, `${key}`, 0);
    take(accounts, 'late', 900);
    accounts.sweep(1_500, 0, 40);
    expect(accounts.size).toBe(51);
    accounts.sweep(1_500, 0, 60);
    expect(accounts.size).toBe(1);
  });
});
