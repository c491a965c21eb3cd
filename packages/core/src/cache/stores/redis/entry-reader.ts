import type { StoreAnswer } from '../../store.js';
import { Judgement } from './judgement.js';
import { fenceOfRead } from './redis-fence.js';
import { type RedisSpace, versionsByTag } from './redis-space.js';
import type { Versions } from './versions.js';

export interface EntryRead {
  readonly keys: readonly string[];
  readonly tags: readonly string[];
  readonly signal: AbortSignal;
}

interface Waiting extends EntryRead {
  readonly resolve: (answer: StoreAnswer) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  readonly reads: readonly Waiting[];
  /** Those of all of them. */
  readonly tags: readonly string[];
  readonly signal: AbortSignal;
}

/** Nobody aborts what several wait for. */
const never = new AbortController().signal;

/** Reads of one turn of the event loop are one: they share the versions, and on one server all of the round trip. */
export class EntryReader {
  readonly #space: RedisSpace;
  #waiting: Waiting[] | undefined;

  constructor(space: RedisSpace) {
    this.#space = space;
  }

  getMany(read: EntryRead): Promise<StoreAnswer> {
    return new Promise((resolve, reject) => {
      const waiting = { keys: read.keys, tags: read.tags, signal: read.signal, resolve, reject };
      if (this.#waiting) {
        this.#waiting.push(waiting);
        return;
      }
      this.#waiting = [waiting];
      queueMicrotask(() => void this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const all = this.#waiting ?? [];
    this.#waiting = undefined;
    const reads = all.filter(({ signal, reject }) => {
      if (signal.aborted) reject(signal.reason);
      return !signal.aborted;
    });
    const [first, second] = reads;
    if (!first) return;
    const signal = second ? never : first.signal;
    const tags = second ? [...new Set(reads.flatMap((read) => read.tags))] : first.tags;
    const read = { reads, tags, signal };
    await (this.#space.port.isCluster ? this.#readApart(read) : this.#readTogether(read));
  }

  async #readTogether(batch: Batch): Promise<void> {
    const { reads, tags, signal } = batch;
    const { keys: names } = this.#space;
    const asked = tags.map((tag) => names.tag(tag));
    for (const read of reads) for (const key of read.keys) asked.push(names.entry(key));
    try {
      const { versions, values } = await this.#space.read(asked, tags.length, signal);
      await this.#answer(batch, versions, values, values.slice(tags.length));
    } catch (error) {
      for (const { reject } of reads) reject(error);
    }
  }

  /** In a cluster each waits for the servers of its own keys, and for none that is of no concern to it. */
  async #readApart({ reads, tags, signal }: Batch): Promise<void> {
    const { keys: names, port } = this.#space;
    const asked = tags.map((tag) => names.tag(tag));
    const shared = this.#space.read(asked, tags.length, signal);
    const readOne = async (read: Waiting): Promise<void> => {
      const entries = read.keys.map((key) => names.entry(key));
      try {
        const [{ versions, values }, records] = await Promise.all([shared, port.getMany(entries, read.signal)]);
        await this.#answer({ reads: [read], tags, signal: read.signal }, versions, values, records);
      } catch (error) {
        read.reject(error);
      }
    };
    await Promise.all(reads.map(readOne));
  }

  /** @param records of all keys of all reads, one after the other */
  async #answer(
    { reads, tags, signal }: Batch,
    versions: Versions,
    marks: readonly (Buffer | null)[],
    records: readonly (Buffer | null)[],
  ): Promise<void> {
    const judgement = new Judgement(this.#space, versions, versionsByTag(tags, marks));
    let at = 0;
    const found = reads.map(({ keys }) => keys.map(() => judgement.add(records[at++] ?? null)));
    const more = judgement.close(signal);
    if (more) await more;
    for (const [index, read] of reads.entries()) {
      const each = found[index] ?? [];
      const entries = each.map((one) => judgement.entryOf(one));
      read.resolve({ entries, fence: fenceOfRead(judgement, read, each) });
    }
  }
}
