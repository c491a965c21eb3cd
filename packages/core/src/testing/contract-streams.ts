import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { StoreStreaming, StoreStreamPieces, StoreStreamState, StreamPiece } from '../cache/index.js';
import { type DeclarePairPromise, type DeclarePromise, newToken, type StoreProbe } from './store-probe.js';

/** What others may follow while it is produced. Stores without streams keep these by having none. */
export function streamPromises(promise: DeclarePromise): void {
  const promiseWithStreams: DeclarePromise = (name, keep) => {
    promise(name, async (store) => (store.store.streaming ? keep(store) : undefined));
  };
  writesForFollowers(promiseWithStreams);
  readsFromAnywhere(promiseWithStreams);
  keepsRunsApart(promiseWithStreams);
}

function writesForFollowers(promise: DeclarePromise): void {
  promise('writes nothing of a stream that nobody follows', async (store) => {
    const stream = new StreamProbe(store);
    deepStrictEqual(await stream.append(0, piece(2)), { isFollowed: false, length: 0 });
    deepStrictEqual(await stream.read(0), { isThere: false, pieces: [] });
    deepStrictEqual(await stream.append(0), { isFollowed: true, length: 0 });
  });
  promise(
    'adds the pieces of a stream that is followed, one or many at a time, and says how far it has come',
    async (store) => {
      const stream = await new StreamProbe(store).followed();
      deepStrictEqual(await stream.append(0, piece(2)), { isFollowed: true, length: 2 });
      deepStrictEqual(await stream.append(2, piece(3), piece(10)), { isFollowed: true, length: 10 });
      deepStrictEqual(await stream.read(0), { isThere: true, pieces: [piece(2), piece(3), piece(10)] });
    },
  );
  promise('writes no piece of a stream twice', async (store) => {
    const stream = await new StreamProbe(store).followed();
    await stream.append(0, piece(2), piece(4));
    deepStrictEqual(await stream.append(0, piece(2), piece(4)), { isFollowed: true, length: 4 });
    deepStrictEqual(await stream.append(2, piece(4), piece(5)), { isFollowed: true, length: 5 });
    deepStrictEqual(await stream.append(0, piece(3), last(3)), { isFollowed: true, length: 5 });
    deepStrictEqual((await stream.read(0)).pieces, [piece(2), piece(4), piece(5)]);
  });
  promise('writes no piece of a stream whose beginning it does not have', async (store) => {
    const stream = await new StreamProbe(store).followed();
    await stream.append(0, piece(2));
    deepStrictEqual(await stream.append(3, piece(5)), { isFollowed: true, length: 2 });
    deepStrictEqual((await stream.read(0)).pieces, [piece(2)]);
  });
  promise('writes nothing after the last piece of a stream, which may be the only one', async (store) => {
    const stream = await new StreamProbe(store).followed();
    await stream.append(0, piece(2), last(2));
    deepStrictEqual(await stream.append(2, last(2), piece(5), last(5)), { isFollowed: true, length: 2 });
    deepStrictEqual((await stream.read(2)).pieces, [last(2)]);
    const empty = await new StreamProbe(store).followed();
    await empty.append(0, last(0));
    deepStrictEqual(await empty.read(0), { isThere: true, pieces: [last(0)] });
  });
  promise('keeps the bytes of a piece as they are', async (store) => {
    const stream = await new StreamProbe(store).followed();
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 256);
    await stream.append(0, { end: 1, bytes, isLast: false }, { end: 2, bytes: new Uint8Array(0), isLast: false });
    const [first, second] = (await stream.read(0)).pieces;
    ok(first && second && Buffer.from(bytes).equals(first.bytes) && second.bytes.length === 0);
  });
}

function readsFromAnywhere(promise: DeclarePromise): void {
  promise('reads a stream from the piece with the next chunk on', async (store) => {
    const stream = await new StreamProbe(store).followed();
    await stream.append(0, piece(2), piece(9), piece(10), last(10));
    for (const [from, ends] of [
      [0, [2, 9, 10, 10]],
      [1, [2, 9, 10, 10]],
      [2, [9, 10, 10]],
      [9, [10, 10]],
      [10, [10]],
    ] as const) {
      const { pieces } = await stream.read(from);
      deepStrictEqual([from, pieces.map(({ end }) => end)], [from, ends]);
      deepStrictEqual(pieces.at(-1), last(10));
    }
  });
  promise('reads no more pieces of a stream than are asked for, if any', async (store) => {
    const stream = await new StreamProbe(store).followed();
    await stream.append(0, piece(1), piece(2), piece(3));
    deepStrictEqual((await stream.read(0, 2)).pieces, [piece(1), piece(2)]);
    deepStrictEqual(await stream.read(0, 0), { isThere: true, pieces: [] });
  });
}

function keepsRunsApart(promise: DeclarePromise): void {
  promise('keeps the runs of a stream apart, and those of keys and of namespaces', async (store) => {
    const streams = [
      new StreamProbe(store, 'key', 'run'),
      new StreamProbe(store, 'key', 'run:2 {'),
      new StreamProbe(store, 'KEY', 'run'),
      new StreamProbe(store.in('contract:other'), 'key', 'run'),
    ];
    for (const [index, stream] of streams.entries()) {
      strictEqual((await stream.append(0)).isFollowed, false);
      await stream.followed();
      await stream.append(0, piece(index + 1));
    }
    for (const [index, stream] of streams.entries()) {
      deepStrictEqual((await stream.read(0)).pieces, [piece(index + 1)]);
    }
  });
  promise('says who has a lease, while somebody has', async (store) => {
    const stream = new StreamProbe(store);
    strictEqual(await stream.holder(), undefined);
    const token = newToken();
    await store.lease(['key'], { token });
    strictEqual(await stream.holder(), token);
    await store.release(['key'], token);
    strictEqual(await stream.holder(), undefined);
    await store.lease(['key'], { token });
    await store.delete('key');
    strictEqual(await stream.holder(), undefined);
  });
  promise('goes on with a stream though its lease has ended, or its key was invalidated', async (store) => {
    const token = newToken();
    await store.lease(['key'], { token });
    const stream = await new StreamProbe(store, 'key', token).followed();
    await stream.append(0, piece(1));
    await store.release(['key'], token);
    await store.delete('key');
    await stream.append(1, piece(2), last(2));
    deepStrictEqual((await stream.read(0)).pieces, [piece(1), piece(2), last(2)]);
  });
}

/** What holds for two that use one store holds for two stores over the same data. */
export function pairStreamPromises(promise: DeclarePairPromise, newsWithinMs: number): void {
  promise('lets one store follow a stream of another, and tells each what the other does', async (first, second) => {
    if (!first.store.streaming) return;
    const [producer, follower] = [new StreamProbe(first, 'key', 'run'), new StreamProbe(second, 'key', 'run')];
    const news = await Promise.all([listen(first, newsWithinMs), listen(second, newsWithinMs)]);
    const [atProducer, atFollower] = news;
    await atProducer(() => follower.read(0));
    await atFollower(() => producer.append(0, piece(1)));
    deepStrictEqual((await follower.read(0)).pieces, [piece(1)]);
    await atFollower(() => producer.append(1, last(1)));
    deepStrictEqual((await follower.read(1)).pieces, [last(1)]);
  });
}

/** @returns what runs something, and fails unless that is heard */
async function listen(store: StoreProbe, withinMs: number): Promise<(change: () => Promise<unknown>) => Promise<void>> {
  let isChanged = false;
  store.store.openFeed?.(store.namespace).watch?.('key', () => {
    isChanged = true;
  });
  await delay(lookEveryMs * 20); // a feed may have to be subscribed first
  return async (change) => {
    isChanged = false;
    await change();
    for (let waitedMs = 0; !isChanged && waitedMs < withinMs; waitedMs += lookEveryMs) await delay(lookEveryMs);
    ok(isChanged, `nothing was told within ${withinMs} ms`);
  };
}

const lookEveryMs = 5;

class StreamProbe {
  readonly #streaming: StoreStreaming;
  readonly #of: {
    readonly namespace: string;
    readonly key: string;
    readonly run: string;
    readonly signal: AbortSignal;
  };

  constructor({ store, namespace }: StoreProbe, key = 'key', run: string = newToken()) {
    const { streaming } = store;
    ok(streaming, 'the store has streams');
    this.#streaming = streaming;
    this.#of = { namespace, key, run, signal: new AbortController().signal };
  }

  async followed(): Promise<this> {
    await this.read(0, 0);
    return this;
  }

  holder(): Promise<string | undefined> {
    return this.#streaming.holder(this.#of);
  }

  append(from: number, ...pieces: readonly StreamPiece[]): Promise<StoreStreamState> {
    return this.#streaming.append({ ...this.#of, from, pieces });
  }

  async read(from: number, mostPieces = 100): Promise<StoreStreamPieces> {
    const { isThere, pieces } = await this.#streaming.read({ ...this.#of, from, mostPieces });
    return { isThere, pieces: pieces.map((each) => ({ ...each, bytes: Uint8Array.from(each.bytes) })) };
  }
}

function piece(end: number): StreamPiece {
  return { end, bytes: Uint8Array.from([end, 0, 255]), isLast: false };
}

function last(end: number): StreamPiece {
  return { ...piece(end), isLast: true };
}
