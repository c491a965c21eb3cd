import { badOption, type Clock } from '../../kernel/index.js';
import type { Chunks } from '../contract.js';
import type { Isolation } from '../isolation/isolation.js';
import { type ChunkSource, type LoggedChunk, loggedChunk } from './chunk.js';

type Produced<C> = Chunks<C> | Promise<Chunks<C>>;

/** What a producer makes, chunk by chunk, with the time of each since the producer was called. */
export class ProducedSource<C> implements ChunkSource {
  /** When the producer was called. */
  readonly since: number;
  readonly #clock: Clock;
  readonly #isolation: Isolation;
  readonly #chunks: Produced<C>;
  #source: AsyncIterator<C> | Iterator<C> | undefined;
  #isStopped = false;

  /** @throws what the producer throws */
  constructor(
    produce: () => Produced<C>,
    { clock, isolation }: { readonly clock: Clock; readonly isolation: Isolation },
  ) {
    this.#clock = clock;
    this.#isolation = isolation;
    this.since = clock.now();
    this.#chunks = produce();
  }

  async next(): Promise<IteratorResult<readonly LoggedChunk[], undefined>> {
    this.#source ??= iteratorOf(await this.#chunks);
    if (this.#isStopped) {
      await this.#source.return?.();
      return { done: true, value: undefined };
    }
    const { done, value } = await this.#source.next();
    if (done) return { done, value: undefined };
    return { done: false, value: [loggedChunk(value, Math.round(this.#clock.now() - this.since), this.#isolation)] };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#source?.return?.();
  }
}

/** A text has an iterator too, of letters, and is hardly meant. */
function isChunks(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

function iteratorOf<C>(chunks: Chunks<C>): AsyncIterator<C> | Iterator<C> {
  if (!isChunks(chunks)) throw badOption('stream()', 'produce', 'a function that gives an (async) iterable', chunks);
  return Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]();
}
