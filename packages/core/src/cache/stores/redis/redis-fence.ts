import { type Found, generationIn, type Judgement, tagsOf } from './judgement.js';
import type { Versions } from './versions.js';

/** What is known of one key before its computation. */
export interface KnownKey {
  /** Undefined where it has no entry, and nobody has asked for a lease. */
  readonly generation: string | undefined;
  /** The number of the newest invalidation that is known to rule it. */
  readonly newest: number;
}

/**
 * What a computation begins with: where the sequence of its namespace was, and the generation of each key. A value is right if
 * nothing that rules it was invalidated at a later number, and no other value of its generation was stored.
 */
export class RedisFence {
  readonly epoch: string;
  readonly run: string;
  readonly seq: number;
  /** Those that were known: they have a marker from before the computation, unless it was lost. */
  readonly tags: readonly string[];
  readonly #known: () => ReadonlyMap<string, KnownKey>;
  #keys: ReadonlyMap<string, KnownKey> | undefined;

  /** @param known asked once, when somebody wants to know: of most values that are read nobody does */
  constructor(
    { epoch, run, seq }: Pick<Versions, 'epoch' | 'run' | 'seq'>,
    tags: readonly string[],
    known: () => ReadonlyMap<string, KnownKey>,
  ) {
    this.epoch = epoch;
    this.run = run;
    this.seq = seq;
    this.tags = tags;
    this.#known = known;
  }

  known(key: string): KnownKey | undefined {
    this.#keys ??= this.#known();
    return this.#keys.get(key);
  }

  /**
   * Whether none of the tags was invalidated since. A tag that was not known may have got its marker just now: then its number
   * says nothing, but that of the last invalidation of any tag does. A server that takes the place of another may have lost
   * numbers, and what they were given to.
   */
  allows({ epoch, run, clear, tagged }: Versions, tags: readonly number[]): boolean {
    if (epoch !== this.epoch || run !== this.run || clear > this.seq) return false;
    return tagged <= this.seq || tags.every((version) => version <= this.seq);
  }
}

/** What a read has seen of its keys. */
export function fenceOfRead(
  judgement: Judgement,
  { keys, tags }: { readonly keys: readonly string[]; readonly tags: readonly string[] },
  found: readonly Found[],
): RedisFence {
  return new RedisFence(judgement.versions, tags, () => {
    const newest = judgement.newest(tags);
    const known = new Map<string, KnownKey>();
    for (const [index, key] of keys.entries()) {
      const each = found[index];
      if (!each) continue;
      const own = Math.max(newest, judgement.newest(tagsOf(each)));
      known.set(key, { generation: generationIn(each), newest: own });
    }
    return known;
  });
}
