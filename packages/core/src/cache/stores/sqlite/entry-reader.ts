import { type Clock, wait } from '../../../kernel/index.js';
import { unpackEntry } from '../../envelope.js';
import type { StoreAnswer, StoredEntry, StoreRead } from '../../store.js';
import type { Connection, DatabaseFile, SpaceHandle } from './database-file.js';
import { DamageError, failureOf } from './failures.js';
import { SqliteFence } from './fence.js';
import { nameOf } from './names.js';

type Found = StoredEntry | 'unreadable' | undefined;

/** So many keys are read without letting go of the event loop. */
const mostKeysAtOnce = 256;
const retryMs = 1;
const mostMends = 2;
/** Reads beyond, until the next write, count for nothing. */
const mostTouched = 1_024;

/** Void, whatever comes: where there is no file there is nothing that a value could be stored under. */
const noFence = new SqliteFence('', -1);

/** What a store answers, from one statement for an entry without tags. */
export class EntryReader {
  readonly #file: DatabaseFile;
  readonly #clock: Clock;

  constructor(file: DatabaseFile, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
  }

  async getMany(read: StoreRead): Promise<StoreAnswer> {
    const { namespace, keys, signal } = read;
    try {
      if (keys.length <= mostKeysAtOnce) return this.#read(namespace, keys);
    } catch (error) {
      await this.#mend(error, signal);
    }
    return this.#readOn(read);
  }

  /** In pieces, and again as long as somebody is in the way. The fence is that of the first piece. */
  async #readOn({ namespace, keys, signal }: StoreRead): Promise<StoreAnswer> {
    const entries: Found[] = [];
    let fence: unknown;
    let attempts = 0;
    while (entries.length < keys.length || fence === undefined) {
      signal.throwIfAborted();
      try {
        const piece = this.#read(namespace, keys.slice(entries.length, entries.length + mostKeysAtOnce));
        entries.push(...piece.entries);
        fence ??= piece.fence;
        await new Promise((resolve) => setImmediate(resolve));
      } catch (error) {
        if (++attempts > mostMends && failureOf(error) === 'corrupt') throw error;
        await this.#mend(error, signal);
      }
    }
    return { entries, fence };
  }

  /** Resolves when it is worth another try. */
  async #mend(error: unknown, signal: AbortSignal): Promise<void> {
    const failure = failureOf(error);
    if (failure === 'other') throw error;
    if (failure === 'corrupt') this.#file.replace(error);
    else await wait(this.#clock, retryMs, signal);
  }

  #read(namespace: string, keys: readonly string[]): StoreAnswer {
    const connection = this.#file.connection ?? this.#file.connect();
    if (!connection) return { entries: keys.map(() => undefined), fence: noFence };
    const space = connection.spaces.get(namespace) ?? findSpace(connection, namespace);
    if (!space) return { entries: keys.map(() => undefined), fence: new SqliteFence(connection.epoch, 0) };
    const [key] = keys;
    if (keys.length !== 1 || key === undefined) return readTogether(connection, space, keys);
    const entry = readEntry(connection, space, key);
    return { entries: [entry], fence: space.fence };
  }
}

/** Several statements cost less in a transaction, which takes the snapshot and gives it back once. */
function readTogether(connection: Connection, space: SpaceHandle, keys: readonly string[]): StoreAnswer {
  const { db, read, epoch } = connection;
  read.begin.run();
  try {
    const [sequence] = read.sequence.get(space.id) ?? [];
    if (sequence === undefined) throw new DamageError('a namespace is gone');
    if (sequence !== space.fence.sequence) space.fence = new SqliteFence(epoch, sequence);
    const entries = keys.map((key) => readEntry(connection, space, key));
    return { entries, fence: space.fence };
  } finally {
    if (db.isTransaction) read.commit.run();
  }
}

/** Brings the fence of the namespace up to the snapshot that the entry is of. */
function readEntry({ read, epoch, touched }: Connection, space: SpaceHandle, key: string): Found {
  const row = read.entry.get(nameOf(key), space.id);
  if (!row) throw new DamageError('a namespace is gone');
  const [packed, fence, id, sequence] = row;
  if (sequence !== space.fence.sequence) space.fence = new SqliteFence(epoch, sequence);
  if (packed === null) return undefined;
  const entry = packed instanceof Uint8Array ? unpackEntry(packed) : undefined;
  if (!entry) return 'unreadable';
  // The marks may be of a later snapshot than the entry: then they say all the more.
  for (const tag of entry.tags) {
    const [voidUpTo = Number.POSITIVE_INFINITY] = read.voidUpTo.get(tag.toWellFormed(), space.id) ?? [];
    if (voidUpTo > fence) return undefined;
  }
  if (touched.size < mostTouched) touched.add(id);
  return entry;
}

function findSpace(connection: Connection, namespace: string): SpaceHandle | undefined {
  const { epoch, read, spaces } = connection;
  const [id] = read.space.get(nameOf(namespace)) ?? [];
  if (id === undefined) return undefined;
  const space = { id, fence: new SqliteFence(epoch, -1) };
  spaces.set(namespace, space);
  return space;
}
