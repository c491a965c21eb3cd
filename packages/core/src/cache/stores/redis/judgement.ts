import type { StoredEntry } from '../../store.js';
import { type Candidate, generationOf, readRecord, rulerBytes } from './record.js';
import type { RedisSpace } from './redis-space.js';
import type { Versions } from './versions.js';

/** What is under the name of one key. */
export interface Found {
  readonly record: Buffer | null;
  readonly candidate: Candidate | 'unreadable' | undefined;
}

/** Which records are right under the versions that were read with them, or later. */
export class Judgement {
  readonly versions: Versions;
  readonly #space: RedisSpace;
  readonly #ruler: Buffer;
  readonly #marks: Map<string, number>;
  readonly #unread = new Set<string>();

  /** @param marks the numbers of the tags that were read along */
  constructor(space: RedisSpace, versions: Versions, marks: ReadonlyMap<string, number>) {
    this.#space = space;
    this.versions = versions;
    this.#ruler = rulerBytes(versions.epoch, versions.clear);
    this.#marks = new Map(marks);
  }

  add(record: Buffer | null): Found {
    const candidate = record ? readRecord(record, this.#ruler) : undefined;
    if (candidate && candidate !== 'unreadable') {
      for (const tag of candidate.entry.tags) if (!this.#marks.has(tag)) this.#unread.add(tag);
    }
    return { record, candidate };
  }

  /** Reads the numbers of tags that nobody knew of, if there are any. */
  close(signal: AbortSignal): Promise<void> | undefined {
    return this.#unread.size === 0 ? undefined : this.#readMarks([...this.#unread], signal);
  }

  entryOf({ candidate }: Found): StoredEntry | 'unreadable' | undefined {
    if (!candidate || candidate === 'unreadable') return candidate;
    const { entry, tags } = candidate;
    return tags.every((version, index) => version === this.#markOf(entry.tags[index])) ? entry : undefined;
  }

  /** The number of the newest invalidation that is known to rule an entry with these tags. */
  newest(tags: readonly string[]): number {
    let newest = this.versions.clear;
    for (const tag of tags) {
      const mark = this.#marks.get(tag) ?? 0;
      if (mark > newest) newest = mark;
    }
    return newest;
  }

  /** Without a marker the present number: what was stored at this very number cannot have been invalidated since. */
  #markOf(tag = ''): number {
    return this.#marks.get(tag) ?? this.versions.seq;
  }

  /** Numbers of another epoch, or of a server that has taken the place of another, are nobody's to compare. */
  async #readMarks(tags: readonly string[], signal: AbortSignal): Promise<void> {
    const marks = await this.#space.readTags(tags, signal);
    const { epoch, run } = this.versions;
    const isSame = marks?.versions.epoch === epoch && marks.versions.run === run;
    for (const tag of tags) {
      const mark = isSame ? marks.tags.get(tag) : Number.NaN;
      if (mark !== undefined) this.#marks.set(tag, mark);
    }
  }
}

export function tagsOf({ candidate }: Found): readonly string[] {
  return candidate && candidate !== 'unreadable' ? candidate.entry.tags : [];
}

export function generationIn({ record }: Found): string | undefined {
  return record ? generationOf(record) : undefined;
}
