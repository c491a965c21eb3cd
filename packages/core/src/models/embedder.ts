import type { ModelCall } from './chat-model.js';

/** Texts to vectors, whatever makes them: a server, a library, or a batch of everybody's texts. */
export interface Embedder {
  /** Such as `'openai:text-embedding-3-small'`. */
  readonly name: string;
  /** Another one once it gives other vectors for the same texts: what is kept of them is of this version alone. */
  readonly version?: string;
  /** The length of its vectors, where that is known before the first one. */
  readonly dimensions?: number;
  /**
   * One vector for each text, in their order, all of one length; the caller may change them. No texts: no call.
   * @throws WarmpathError `WP_MODEL_REQUEST`, `WP_MODEL_RESPONSE`; the reason of the call's signal
   */
  embed(texts: readonly string[], call?: ModelCall): Promise<Float32Array[]>;
}
