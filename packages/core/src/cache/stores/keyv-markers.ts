import { randomInt } from 'node:crypto';
import type { KeyvCalls } from './keyv-calls.js';
import { isTagKey, markerText, readMarker } from './keyv-texts.js';

interface Creation {
  /** What is there once it is done. */
  readonly markers: ReadonlyMap<string, number>;
  readonly done: Promise<void>;
}

const dayMs = 86_400_000;
const leastTagMs = 30 * dayMs;
/** A namespace has only two of its own, and with one of them goes all that it holds. */
const leastNamespaceMs = 365 * dayMs;

/**
 * Markers: numbers under keys of their own that only ever get replaced by other numbers, drawn at random of 2^48. What was
 * written under one is right as long as it is the same; so a plain write invalidates, two at once do no harm, and neither a
 * counter nor a clock is needed. One that is lost is created with a new number: that costs misses, never an old value.
 */
export class KeyvMarkers {
  readonly #calls: KeyvCalls;
  readonly #creations = new Map<string, Creation>();
  #longestMs = 0;

  constructor(calls: KeyvCalls) {
    this.#calls = calls;
  }

  /** Markers are to outlive the entries that they rule, twice over. */
  rulesFor(entryMs: number): void {
    this.#longestMs = Math.max(this.#longestMs, entryMs);
  }

  /** Those that are there. */
  async read(keys: readonly string[]): Promise<Map<string, number>> {
    return markersAmong(keys, await this.#calls.getMany(keys));
  }

  /** Gives new numbers to those that are not among the `known`, and adds them. */
  async complete(known: Map<string, number>, keys: readonly string[], signal: AbortSignal): Promise<void> {
    const missing = keys.filter((key) => !known.has(key));
    if (missing.length === 0) return;
    signal.throwIfAborted();
    this.#create(
      missing.filter((key) => !this.#creations.has(key)),
      signal,
    );
    const creations = missing.map((key) => [key, this.#creations.get(key)] as const);
    // Nothing may be computed under a marker before it is in place: it might replace a newer one afterwards.
    await Promise.all(creations.map(([, creation]) => creation?.done));
    for (const [key, creation] of creations) {
      const marker = creation?.markers.get(key);
      if (marker !== undefined) known.set(key, marker);
    }
  }

  /** Replaces them: what was written under the old ones is void. */
  async replace(keys: readonly string[]): Promise<void> {
    await this.#write(new Map(keys.map((key) => [key, newMarker()])));
  }

  /** Reads that come at once share a creation, or all but the last would get numbers that are void already. */
  #create(keys: readonly string[], signal: AbortSignal): void {
    if (keys.length === 0) return;
    const markers = new Map<string, number>();
    const done = this.#createMissing(keys, markers);
    const end = (): void => {
      signal.removeEventListener('abort', end);
      for (const key of keys) if (this.#creations.get(key)?.done === done) this.#creations.delete(key);
    };
    // One that hangs is nothing to wait for.
    signal.addEventListener('abort', end, { once: true });
    done.then(end, end);
    for (const key of keys) this.#creations.set(key, { markers, done });
  }

  /** Looks again first: a marker that was created since the caller looked must not be replaced. */
  async #createMissing(keys: readonly string[], markers: Map<string, number>): Promise<void> {
    for (const [key, marker] of await this.read(keys)) markers.set(key, marker);
    const missing = keys.filter((key) => !markers.has(key));
    if (missing.length === 0) return;
    const fresh = new Map(missing.map((key) => [key, newMarker()]));
    await this.#write(fresh);
    for (const [key, marker] of fresh) markers.set(key, marker);
  }

  #write(markers: ReadonlyMap<string, number>): Promise<void> {
    const twiceMs = 2 * this.#longestMs;
    const texts = Array.from(markers, ([key, marker]) => ({
      key,
      value: markerText(marker),
      ttl: Math.max(twiceMs, isTagKey(key) ? leastTagMs : leastNamespaceMs),
    }));
    return this.#calls.setMany(texts);
  }
}

export function markersAmong(keys: readonly string[], values: readonly unknown[]): Map<string, number> {
  const markers = new Map<string, number>();
  for (const [index, key] of keys.entries()) {
    const marker = readMarker(values[index]);
    if (marker !== undefined) markers.set(key, marker);
  }
  return markers;
}

function newMarker(): number {
  return randomInt(2 ** 48 - 1);
}
