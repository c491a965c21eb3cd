import type { StoreAnswer } from '../../store.js';
import { Judgement } from './judgement.js';
import { fenceOfRead } from './redis-fence.js';
import { type RedisSpace, versionsByTag } from './redis-space.js';

export interface EntryRead {
  readonly keys: readonly string[];
  readonly tags: readonly string[];
  readonly signal: AbortSignal;
}

interface Waiting extends EntryRead {
  readonly resolve: (answer: StoreAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Nobody aborts what several wait for. */
const never = new AbortController().signal;

/** Reads of one turn of the event loop are one: they share the versions and the round trip, and fail together. */
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
    try {
      await this.#read(reads);
    } catch (error) {
      for (const { reject } of reads) reject(error);
    }
  }

  async #read(reads: readonly Waiting[]): Promise<void> {
    const [first, second] = reads;
    if (!first) return;
    const signal = second ? never : first.signal;
    const { keys: names } = this.#space;
    const tags = second ? [...new Set(reads.flatMap((read) => read.tags))] : first.tags;
    const asked = tags.map((tag) => names.tag(tag));
    for (const read of reads) for (const key of read.keys) asked.push(names.entry(key));
    const { versions, values } = await this.#space.read(asked, signal);
    const judgement = new Judgement(this.#space, versions, versionsByTag(tags, values));
    let at = tags.length;
    const found = reads.map(({ keys }) => keys.map(() => judgement.add(values[at++] ?? null)));
    const more = judgement.close(signal);
    if (more) await more;
    for (const [index, read] of reads.entries()) {
      const each = found[index] ?? [];
      const entries = each.map((one) => judgement.entryOf(one));
      read.resolve({ entries, fence: fenceOfRead(judgement, read, each) });
    }
  }
}
