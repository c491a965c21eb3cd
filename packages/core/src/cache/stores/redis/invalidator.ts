import type { Invalidation } from '../../store.js';
import { newEpoch, newGeneration } from './random-text.js';
import { inPieces, markerMs, type RedisSpace } from './redis-space.js';
import { bumpScript, expireScript, forgetScript } from './scripts.js';

/** So many names go into one message. */
const mostNamesInMessage = 1_000;

/** What is no longer right, in Redis and to all who listen. */
export class Invalidator {
  readonly #space: RedisSpace;
  readonly #publisher: string;

  /** @param publisher who tells it, without spaces */
  constructor(space: RedisSpace, publisher: string) {
    this.#space = space;
    this.#publisher = publisher;
  }

  /**
   * First what is there goes, and only then others are told and the number of it counts: whoever has heard of it, or reads that
   * number, does not find the old value any more.
   */
  async invalidate(invalidation: Invalidation, signal: AbortSignal): Promise<void> {
    for (const piece of piecesOf(invalidation)) {
      if (piece.type === 'delete') await this.#forget(piece.keys, signal);
      if (piece.type === 'expire') await this.#expire(piece.keys, signal);
      await this.publish(piece, signal);
    }
  }

  /** Numbers it and tells everybody. */
  async publish(invalidation: Invalidation, signal: AbortSignal): Promise<void> {
    const { port, keys, random } = this.#space;
    for (const piece of piecesOf(invalidation)) {
      const names = piece.type === 'clear' ? [] : piece.type === 'tags' ? piece.tags : piece.keys;
      const marks = piece.type === 'tags' ? piece.tags.map((tag) => keys.tag(tag)) : [];
      const args = [newEpoch(random), keys.channel, this.#publisher, piece.type, JSON.stringify(names), `${markerMs}`];
      await port.run(bumpScript, [keys.versions, ...marks], args, signal);
    }
  }

  async #forget(keys: readonly string[], signal: AbortSignal): Promise<void> {
    await this.#space.runForKeys(forgetScript, keys, { names: (key) => this.#namesOf(key) }, signal);
  }

  async #expire(keys: readonly string[], signal: AbortSignal): Promise<void> {
    const args = (): string[] => [newGeneration(this.#space.random)];
    await this.#space.runForKeys(expireScript, keys, { names: (key) => this.#namesOf(key), args }, signal);
  }

  #namesOf(key: string): string[] {
    const { keys } = this.#space;
    return [keys.entry(key), keys.generation(key), keys.lease(key)];
  }
}

/** Of as many names as one step takes, each once; nothing where there is nothing to say. */
function piecesOf(invalidation: Invalidation): readonly Invalidation[] {
  const { type } = invalidation;
  if (type === 'clear') return [invalidation];
  const names = [...new Set(type === 'tags' ? invalidation.tags : invalidation.keys)];
  return inPieces(names, mostNamesInMessage).map((piece) =>
    type === 'tags' ? { type, tags: piece } : { type, keys: piece },
  );
}
