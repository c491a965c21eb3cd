import type { Clock, Random, RedisPort, RedisValue, Script } from '../../../kernel/index.js';
import { newEpoch } from './random-text.js';
import type { RedisKeys } from './redis-keys.js';
import { markTagsScript, openScript } from './scripts.js';
import { parseVersion, parseVersions, type Versions } from './versions.js';

export interface RedisSpaceOptions {
  readonly port: RedisPort;
  readonly keys: RedisKeys;
  readonly clock: Clock;
  readonly random: Random;
  /** To be called when a read of the versions is sent. @returns what is to be told the versions that it gave */
  readonly asking: () => (versions: Versions) => void;
}

/** So many names are read or changed in one step: more would hold up everybody else at the server. */
const mostNamesAtOnce = 500;

/** How long the number of a tag outlives the entries that carry it. */
export const markerMs = 3_600_000;
/** How long a key remembers under what it is computed. */
export const generationMs = 3_600_000;

/** The versions and the numbers of some tags, as of one moment. */
export interface Marks {
  readonly versions: Versions;
  readonly tags: ReadonlyMap<string, number>;
}

/** One namespace in Redis. */
export class RedisSpace {
  readonly port: RedisPort;
  readonly keys: RedisKeys;
  readonly clock: Clock;
  readonly random: Random;
  readonly #asking: RedisSpaceOptions['asking'];
  #lastText: Buffer | undefined;
  #lastVersions: Versions | undefined;

  constructor({ port, keys, clock, random, asking }: RedisSpaceOptions) {
    this.port = port;
    this.keys = keys;
    this.clock = clock;
    this.random = random;
    this.#asking = asking;
  }

  /**
   * Reads the versions, with the first names as of the same time, and what is under the others as of then or later.
   * @param together how many are the first ones: all of the slot of the versions
   */
  async read(
    names: readonly string[],
    together: number,
    signal: AbortSignal,
  ): Promise<{ readonly versions: Versions; readonly values: readonly (Buffer | null)[] }> {
    const tell = this.#asking();
    const [text = null, ...values] = await this.#getMany([this.keys.versions, ...names], together + 1, signal);
    const versions = this.#parse(text) ?? (await this.#open(signal));
    tell(versions);
    return { versions, values };
  }

  /** What is in the tags, with the versions as of the same time; undefined where there are none. */
  async readTags(tags: readonly string[], signal: AbortSignal): Promise<Marks | undefined> {
    const names = [this.keys.versions, ...tags.map((tag) => this.keys.tag(tag))];
    const [text = null, ...marks] = await this.port.getMany(names, signal);
    const versions = this.#parse(text);
    return versions && { versions, tags: versionsByTag(tags, marks) };
  }

  /**
   * Runs a script for several keys: one call for all where they are on one server, else one for each. It has to answer with a
   * list, one for each key, or with nothing that matters.
   */
  async runForKeys(
    script: Script,
    keys: readonly string[],
    part: {
      readonly names: (key: string) => readonly string[];
      readonly first?: readonly string[];
      readonly args?: (key: string) => readonly (string | Buffer)[];
    },
    signal: AbortSignal,
  ): Promise<readonly RedisValue[]> {
    const { names, first = [], args = () => [] } = part;
    const answers = await Promise.all(
      inPieces(keys, this.port.isCluster ? 1 : mostNamesAtOnce).map((piece) =>
        this.port.run(script, piece.flatMap(names), [...first, ...piece.flatMap(args)], signal),
      ),
    );
    return answers.flat();
  }

  #getMany(names: readonly string[], together: number, signal: AbortSignal): Promise<readonly (Buffer | null)[]> {
    const first = Math.max(together, mostNamesAtOnce);
    if (names.length <= first) return this.port.getMany(names, signal);
    const pieces = [names.slice(0, first), ...inPieces(names.slice(first), mostNamesAtOnce)];
    return Promise.all(pieces.map((piece) => this.port.getMany(piece, signal))).then((values) => values.flat());
  }

  async #open(signal: AbortSignal): Promise<Versions> {
    const text = await this.port.run(openScript, [this.keys.versions], [newEpoch(this.random)], signal);
    return versionsIn(text);
  }

  /** Most reads find the text that the last one has found. */
  #parse(text: Buffer | null): Versions | undefined {
    if (text && this.#lastText?.equals(text)) return this.#lastVersions;
    const versions = parseVersions(text);
    if (text && versions) {
      this.#lastText = Buffer.from(text); // the one that came is part of a larger piece of memory
      this.#lastVersions = versions;
    }
    return versions;
  }
}

/** Reads versions and tags; a tag that has no number gets the present one. All are kept for that long at least. */
export async function markTags(
  { port, keys, random }: RedisSpace,
  tags: readonly string[],
  keepMs: number,
  signal: AbortSignal,
): Promise<Marks> {
  const names = [keys.versions, ...tags.map((tag) => keys.tag(tag))];
  const answer = await port.run(markTagsScript, names, [newEpoch(random), `${keepMs}`], signal);
  const [text, ...marks] = Array.isArray(answer) ? answer : [];
  return { versions: versionsIn(text), tags: versionsByTag(tags, marks) };
}

/** What a script has answered as V. */
function versionsIn(answer: RedisValue | undefined): Versions {
  const versions = Buffer.isBuffer(answer) ? parseVersions(answer) : undefined;
  if (!versions) throw new TypeError('A script of the Redis store has answered without versions.');
  return versions;
}

export function versionsByTag(tags: readonly string[], marks: readonly RedisValue[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [index, tag] of tags.entries()) {
    const mark = marks[index];
    const version = Buffer.isBuffer(mark) ? parseVersion(mark) : undefined;
    if (version !== undefined) found.set(tag, version);
  }
  return found;
}

export function inPieces<T>(items: readonly T[], length: number): readonly (readonly T[])[] {
  if (items.length <= length) return items.length === 0 ? [] : [items];
  return Array.from({ length: Math.ceil(items.length / length) }, (_, at) =>
    items.slice(at * length, (at + 1) * length),
  );
}
