import type { Clock } from '../../../kernel/index.js';
import type { Invalidation, StoreFeed } from '../../store.js';
import type { Connection, DatabaseFile } from './database-file.js';
import { failureOf } from './failures.js';
import { nameOf, textOfName } from './names.js';
import type { Mark } from './read-statements.js';
import { Turn } from './turn.js';

export interface InvalidationFeedsOptions {
  readonly file: DatabaseFile;
  readonly clock: Clock;
  readonly coherenceMs: number;
}

/** From so many on it is cheaper to be told that much has happened. */
const mostNews = 1_000;

/** The feeds of one store. Whether anybody else has written is asked once for all of them, and once a turn. */
export class InvalidationFeeds {
  readonly #options: InvalidationFeedsOptions;
  readonly #turn = new Turn();
  readonly #feeds = new Map<string, Set<InvalidationFeed>>();
  #askedAt = Number.NEGATIVE_INFINITY;
  #askedOf: Connection | undefined;
  #version = 0;

  constructor(options: InvalidationFeedsOptions) {
    this.#options = options;
  }

  open(namespace: string): StoreFeed {
    const { file } = this.#options;
    const same = this.#feeds.get(namespace) ?? new Set();
    const feed = new InvalidationFeed(
      namespace,
      file,
      (connection) => this.#versionOf(connection),
      () => {
        same.delete(feed);
        if (same.size === 0 && this.#feeds.get(namespace) === same) this.#feeds.delete(namespace);
      },
    );
    this.#feeds.set(namespace, same.add(feed));
    return feed;
  }

  /** The position up to which every feed of the namespace has read; Infinity when there is none. */
  heard(namespace: string): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { position } of this.#feeds.get(namespace) ?? []) least = Math.min(least, position);
    return least;
  }

  /** Changes with every transaction of another connection (https://www.sqlite.org/pragma.html#pragma_data_version). */
  #versionOf(connection: Connection): number {
    if (!this.#turn.isFirst() && connection === this.#askedOf) return this.#version;
    const { clock, coherenceMs } = this.#options;
    if (coherenceMs > 0) {
      const now = clock.now();
      if (connection === this.#askedOf && now - this.#askedAt < coherenceMs) return this.#version;
      this.#askedAt = now;
    }
    this.#askedOf = connection;
    this.#version = connection.read.dataVersion.get()?.[0] ?? 0;
    return this.#version;
  }
}

class InvalidationFeed implements StoreFeed {
  /** All that was invalidated up to this sequence has been told, or was done by this store itself. */
  position = 0;
  readonly #namespace: string;
  readonly #file: DatabaseFile;
  readonly #versionOf: (connection: Connection) => number;
  readonly #onClose: () => void;
  #connection: Connection | undefined;
  #version = -1;
  #isClosed = false;

  constructor(
    namespace: string,
    file: DatabaseFile,
    versionOf: (connection: Connection) => number,
    onClose: () => void,
  ) {
    this.#namespace = namespace;
    this.#file = file;
    this.#versionOf = versionOf;
    this.#onClose = onClose;
    this.#attempt(() => this.#begin());
  }

  poll(): readonly Invalidation[] | 'gap' | undefined {
    if (this.#isClosed) return undefined;
    if (this.#file.isClosed) return 'gap';
    return this.#attempt(() => {
      const connection = this.#file.connection ?? this.#file.connect();
      // Between two files others may get to the new one before we do: only what they say there counts.
      if (!connection || connection !== this.#connection) return this.#begin();
      // First the version, then what has changed: the other way round something could come in between.
      const version = this.#versionOf(connection);
      if (version === this.#version) return undefined;
      const news = this.#news(connection);
      this.#version = version;
      return news;
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#onClose();
  }

  #begin(): 'gap' {
    this.#connection = this.#file.connection ?? this.#file.connect();
    if (this.#connection) {
      this.#version = this.#versionOf(this.#connection);
      this.position = this.#connection.read.lastSequence.get()?.[0] ?? 0;
    }
    return 'gap';
  }

  /** To fail is to be unable to tell, and nothing that a hit in memory has to fail for. */
  #attempt<T>(run: () => T): T | 'gap' {
    try {
      return run();
    } catch (error) {
      if (failureOf(error) === 'corrupt') this.#file.replace(error);
      this.#connection = undefined;
      return 'gap';
    }
  }

  #news({ db, read }: Connection): readonly Invalidation[] | 'gap' | undefined {
    read.begin.run();
    try {
      const space = read.position.get(nameOf(this.#namespace));
      if (!space) return undefined;
      const [id, sequence, cleared, clearedBy, floor, position] = space;
      const since = this.position;
      this.position = position;
      if (sequence <= since) return undefined;
      if (floor > since) return 'gap';
      const marks = read.marksSince.all(id, Math.max(since, cleared), mostNews + 1);
      if (marks.length > mostNews) return 'gap';
      const others = marks.filter(([, , , origin]) => origin !== this.#file.origin);
      const isCleared = cleared > since && clearedBy !== this.#file.origin;
      return isCleared || others.length > 0 ? newsOf(isCleared, others) : undefined;
    } finally {
      if (db.isTransaction) read.commit.run();
    }
  }
}

function newsOf(isCleared: boolean, marks: readonly Mark[]): Invalidation[] {
  const runs: { readonly type: Mark[2]; readonly names: string[] }[] = [];
  for (const [, name, type] of marks) {
    const last = runs.at(-1);
    if (last?.type === type) last.names.push(textOfName(name));
    else runs.push({ type, names: [textOfName(name)] });
  }
  const news = runs.map(
    ({ type, names }): Invalidation => (type === 'tags' ? { type, tags: names } : { type, keys: names }),
  );
  return isCleared ? [{ type: 'clear' }, ...news] : news;
}
