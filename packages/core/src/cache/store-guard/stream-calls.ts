import type { StoreStreamAppend, StoreStreamPieces, StoreStreamRead, StoreStreamState, StreamPiece } from '../store.js';
import type { StoreCall } from './store-call.js';

/** Streams under way as the cache sees them in the store: no call fails and none takes longer than its deadline. */
export class StreamCalls {
  readonly #namespace: string;
  readonly #call: StoreCall;
  readonly #isRight: (key: string, tags: readonly string[]) => boolean;

  /** @param isRight whether the store has confirmed all invalidations that rule a key */
  constructor(namespace: string, call: StoreCall, isRight: (key: string, tags: readonly string[]) => boolean) {
    this.#namespace = namespace;
    this.#call = call;
    this.#isRight = isRight;
  }

  /** Who has the lease of a key, if anybody. Undefined when a stream of it must not be followed, or the store does not say. */
  async holder(key: string, tags: readonly string[]): Promise<{ readonly run: string | undefined } | undefined> {
    if (!this.#isRight(key, tags)) return undefined;
    const { value } = await this.#call.attempt('follow', async ({ streaming }, signal) => ({
      run: await streaming?.holder({ namespace: this.#namespace, key, signal }),
    }));
    return value;
  }

  /** Undefined when it may not have been done. */
  async append(append: Omit<StoreStreamAppend, 'namespace' | 'signal'>): Promise<StoreStreamState | undefined> {
    const { value } = await this.#call.attempt('append', async ({ streaming }, signal) =>
      streaming?.append({ ...append, namespace: this.#namespace, signal }),
    );
    return value;
  }

  /** Undefined when the store does not answer. */
  async read(read: Omit<StoreStreamRead, 'namespace' | 'signal'>): Promise<StoreStreamPieces | undefined> {
    const { value } = await this.#call.attempt('follow', async ({ name, streaming }, signal) => {
      const answer = await streaming?.read({ ...read, namespace: this.#namespace, signal });
      if (answer?.pieces.every(isPiece)) return answer;
      throw new TypeError(`Store '${name}' answered without the pieces of a stream.`);
    });
    return value;
  }
}

/** What a store of somebody else's answers with need not be what it should. */
function isPiece({ end, bytes }: StreamPiece): boolean {
  return Number.isSafeInteger(end) && bytes instanceof Uint8Array;
}
