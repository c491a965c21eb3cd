import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { doomsOf } from './contract-fences.js';
import { type DeclarePairPromise, type DeclarePromise, newToken, type StoreProbe } from './store-probe.js';

/** Of all who ask for a key one is to compute it. Stores without leases keep these by having none. */
export function leasePromises(promise: DeclarePromise): void {
  const promiseWithLeases: DeclarePromise = (name, keep) => {
    promise(name, async (store) => (store.hasLeases ? keep(store) : undefined));
  };
  grantsToOne(promiseWithLeases);
  endsLeases(promiseWithLeases);
  handsOutWhatHasCome(promiseWithLeases);
  decidesNothingElse(promiseWithLeases);
}

function grantsToOne(promise: DeclarePromise): void {
  promise('grants a lease to one of many who ask at once', async (store) => {
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => store.outcome('key')));
    deepStrictEqual(outcomes.toSorted(), ['granted', ...Array.from({ length: 19 }, () => 'held')]);
  });
  promise('grants a lease once more to who has it', async (store) => {
    const token = newToken();
    strictEqual(await store.outcome('key', { token }), 'granted');
    strictEqual(await store.outcome('key', { token }), 'granted');
    strictEqual(await store.outcome('key'), 'held');
  });
  promise('keeps leases of keys and of namespaces apart, asked for alone or together', async (store) => {
    strictEqual(await store.outcome('a'), 'granted');
    strictEqual(await store.outcome('A'), 'granted');
    strictEqual(await store.in('contract:other').outcome('a'), 'granted');
    const { outcomes } = await store.lease(['b', 'a', 'c', 'A']);
    deepStrictEqual(outcomes, ['granted', 'held', 'granted', 'held']);
  });
  promise('answers for a key that is asked for twice twice, and for none with nothing', async (store) => {
    deepStrictEqual((await store.lease(['a', 'a'])).outcomes, ['granted', 'granted']);
    deepStrictEqual((await store.lease([])).outcomes, []);
  });
  promise('grants the lease of a key that has an entry, to refresh it', async (store) => {
    await store.set('key', 'old');
    const { fence, outcomes } = await store.lease(['key']);
    deepStrictEqual(outcomes, ['granted']);
    strictEqual(await store.outcome('key'), 'held');
    strictEqual(await store.set('key', 'new', { fence }), true);
    strictEqual(await store.text('key'), 'new');
  });
}

function endsLeases(promise: DeclarePromise): void {
  promise('ends a lease for who has it, and for nobody else', async (store) => {
    const [token, other] = [newToken(), newToken()];
    await store.lease(['a', 'b'], { token });
    await store.release(['a', 'b', 'never'], other);
    await store.renew(['a', 'b', 'never'], other);
    deepStrictEqual((await store.lease(['a', 'b'])).outcomes, ['held', 'held']);
    await store.renew(['a'], token);
    await store.release(['a', 'a'], token);
    deepStrictEqual((await store.lease(['a', 'b'])).outcomes, ['granted', 'held']);
    await store.release(['a'], token);
    strictEqual(await store.outcome('a'), 'held');
  });
  for (const { what, known, invalidate } of doomsOf(true)) {
    if (what.includes('computing it has named')) continue; // nobody can know yet that it rules the key
    promise(`grants the lease of a key to the next one after ${what}`, async (store) => {
      strictEqual(await store.outcome('key', { tags: known }), 'granted');
      await invalidate(store);
      strictEqual(await store.outcome('key', { tags: known }), 'granted');
      strictEqual(await store.outcome('key', { tags: known }), 'held');
    });
    promise(`does not end a newer lease with one that ${what} has ended`, async (store) => {
      const token = newToken();
      await store.lease(['key'], { token, tags: known });
      await invalidate(store);
      strictEqual(await store.outcome('key', { tags: known }), 'granted');
      await store.release(['key'], token);
      strictEqual(await store.outcome('key', { tags: known }), 'held');
    });
  }
  promise('keeps a lease though others are invalidated', async (store) => {
    await store.outcome('key', { tags: ['tag'] });
    await store.delete('other');
    await store.invalidateTags('unrelated');
    await store.in('contract:other').clear();
    strictEqual(await store.outcome('key', { tags: ['tag'] }), 'held');
  });
}

function handsOutWhatHasCome(promise: DeclarePromise): void {
  promise('hands out the entry that has come since the fence, computed or set, in place of a lease', async (store) => {
    const { fence } = await store.read(['key', 'none', 'set']);
    await store.set('key', 'computed', { tags: ['tag'], fence: await store.fence(['key']) });
    await store.set('set', 'by hand');
    const { outcomes } = await store.lease(['set', 'none', 'key'], { fence });
    strictEqual(outcomes[1], 'granted');
    strictEqual(await store.outcome('set', { fence }), 'entry: by hand');
    strictEqual(await store.outcome('key', { fence }), 'entry: computed');
    const [, , entry] = outcomes;
    ok(typeof entry === 'object', 'there is an entry');
    deepStrictEqual(entry.tags, ['tag']);
  });
  promise('hands out the entry that has replaced the one of the fence, and not that one itself', async (store) => {
    await store.set('key', 'old');
    const { fence } = await store.read(['key']);
    strictEqual(await store.outcome('key', { fence }), 'granted');
    await store.set('key', 'new');
    strictEqual(await store.outcome('key', { fence }), 'entry: new');
  });
  for (const { what, invalidate } of doomsOf(true)) {
    promise(`hands out nothing fresh that has come since the fence before ${what}`, async (store) => {
      const { fence } = await store.read(['key']);
      await store.set('key', 'invalidated', { tags: ['tag'] });
      await invalidate(store);
      const [outcome] = (await store.lease(['key'], { fence })).outcomes;
      ok(typeof outcome === 'string' || outcome?.freshUntil === 0, 'what was invalidated is served');
    });
  }
}

/** What may be stored is the fence's affair. */
function decidesNothingElse(promise: DeclarePromise): void {
  promise('takes what was computed in spite of being held, or after the lease has ended', async (store) => {
    const token = newToken();
    await store.lease(['a', 'b'], { token });
    const held = await store.lease(['a']);
    deepStrictEqual(held.outcomes, ['held']);
    strictEqual(await store.set('a', 'in spite', { fence: held.fence }), true);
    const { fence } = await store.lease(['b'], { token });
    await store.release(['b'], token);
    strictEqual(await store.set('b', 'late', { fence }), true);
    deepStrictEqual(await store.texts(['a', 'b']), ['in spite', 'late']);
  });
  promise('settles leases whose signal was aborted before they were asked for', async ({ store, namespace }) => {
    const signal = AbortSignal.abort();
    const hold = { namespace, keys: ['aborted'], token: newToken(), signal };
    await Promise.allSettled([
      store.leasing?.acquire({ ...hold, fence: undefined }),
      store.leasing?.renew(hold),
      store.leasing?.release(hold),
    ]);
  });
}

/** What holds for two that ask one store holds for two stores over the same data. */
export function pairLeasePromises(promise: DeclarePairPromise, newsWithinMs: number): void {
  promise('grants a lease to one of two stores, and to the other when it has ended', async (first, second) => {
    if (!first.hasLeases) return;
    const token = newToken();
    strictEqual(await first.outcome('key', { token }), 'granted');
    strictEqual(await second.outcome('key'), 'held');
    await first.release(['key'], token);
    strictEqual(await second.outcome('key'), 'granted');
    strictEqual(await first.outcome('key'), 'held');
  });
  promise('tells those who watch a key that its lease has ended, or that it was invalidated', async (first, second) => {
    const feed = second.store.openFeed?.(second.namespace);
    if (!first.hasLeases || !feed?.watch) return;
    const token = newToken();
    await first.lease(['key'], { token });
    await isTold(feed.watch.bind(feed), newsWithinMs, () => first.release(['key'], token), second);
    await first.lease(['key'], { token });
    await isTold(feed.watch.bind(feed), newsWithinMs, () => first.delete('key'), second);
    feed.close();
  });
}

const lookEveryMs = 5;

async function isTold(
  watch: (key: string, onChange: () => void) => () => void,
  withinMs: number,
  change: () => Promise<void>,
  waiter: StoreProbe,
): Promise<void> {
  let isChanged = false;
  const leave = watch('key', () => {
    isChanged = true;
  });
  // Whoever waits has asked before: what nobody waits for need not be told.
  strictEqual(await waiter.outcome('key'), 'held');
  await delay(lookEveryMs);
  isChanged = false;
  await change();
  for (let waitedMs = 0; !isChanged && waitedMs < withinMs; waitedMs += lookEveryMs) await delay(lookEveryMs);
  leave();
  ok(isChanged, `nothing was told within ${withinMs} ms`);
}
