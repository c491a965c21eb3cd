import { describe, expect, it } from 'vitest';
import { PendingWrites } from './pending-writes.js';

describe('what is on its way to the store', () => {
  it('has turns: a write comes after the last one of each of its keys', async () => {
    const pending = new PendingWrites();
    const order: string[] = [];
    const first = pending.beginWrite(['a', 'b'], true);
    const second = pending.beginWrite(['b', 'c'], true);
    const third = pending.beginWrite(['c'], true);
    expect([first.earlier, first.isLast('a'), first.isLast('b'), second.isLast('c')]).toEqual([
      undefined,
      true,
      false,
      false,
    ]);
    void second.earlier?.then(() => order.push('second'));
    void third.earlier?.then(() => order.push('third'));
    void pending.written?.then(() => order.push('all'));
    await Promise.resolve();
    expect(order).toEqual([]);
    first.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(['second']);
    second.end();
    third.end();
    await new Promise((resolve) => setImmediate(resolve));
    expect([order, pending.written]).toEqual([['second', 'third', 'all'], undefined]);
  });

  it('holds up what it could undo: deletions behind writes and expiries, expiries behind writes, tags behind unfenced writes', async () => {
    const pending = new PendingWrites();
    const waits = (): string[] =>
      Object.entries({
        deletion: pending.before({ type: 'delete', keys: ['a', 'x'] }),
        expiry: pending.before({ type: 'expire', keys: ['a'] }),
        tags: pending.before({ type: 'tags', tags: ['a'] }),
        clear: pending.before({ type: 'clear' }),
        other: pending.before({ type: 'delete', keys: ['other'] }),
      }).flatMap(([name, promise]) => (promise ? [name] : []));
    const fenced = pending.beginWrite(['a'], true);
    expect([waits(), pending.isReplaced('a')]).toEqual([['deletion', 'expiry'], false]);
    fenced.end();
    expect(waits()).toEqual([]);
    const unfenced = pending.beginWrite(['a'], false);
    expect([waits(), pending.isReplaced('a')]).toEqual([['deletion', 'expiry', 'tags', 'clear'], true]);
    unfenced.end();
    expect(pending.isReplaced('a')).toBe(false);
    const [one, two] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    pending.expiring(['a'], one.promise);
    pending.expiring(['a'], two.promise);
    two.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(waits()).toEqual(['deletion']);
    one.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(waits()).toEqual([]);
  });

  it('counts what is late, until the last call of a key has landed', () => {
    const pending = new PendingWrites();
    const late = (): unknown[] => [
      pending.isLate('a'),
      pending.isLate('b'),
      pending.mayUndo({ type: 'expire', keys: ['b'] }),
      pending.mayUndo({ type: 'tags', tags: ['a'] }),
      pending.mayUndo({ type: 'clear' }),
    ];
    expect(late()).toEqual([false, false, false, false, false]);
    const first = pending.addLate(['a', 'b'], true);
    const second = pending.addLate(['a'], false);
    expect(late()).toEqual([true, true, true, true, true]);
    first();
    expect(late()).toEqual([true, false, false, true, true]);
    second();
    expect(late()).toEqual([false, false, false, false, false]);
  });
});
