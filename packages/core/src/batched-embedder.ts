import {
  type BatchCall,
  type BatcherOptions,
  type BatcherStats,
  batcherRules,
  createBatcher,
  type FailureKind,
  type LoadCall,
} from './batcher/index.js';
import type { Cache } from './cache/index.js';
import { badOption, checkOptions, isWarmpathError, type Rules, rule, WarmpathError } from './kernel/index.js';
import type { Embedder } from './models/index.js';

type PassedOn = Pick<
  BatcherOptions<string>,
  | 'maxItems'
  | 'maxBytes'
  | 'window'
  | 'maxConcurrent'
  | 'maxWaiting'
  | 'timeout'
  | 'attempts'
  | 'clock'
  | 'random'
  | 'onEvent'
>;

/** Those of its batcher, and: */
export interface BatchedEmbedderOptions extends PassedOn {
  /**
   * Where vectors are kept, by the embedder's name, version and dimensions, and the text. Whether tenants share them is up to
   * the cache's `scope`. Default: none are.
   */
  readonly cache?: Cache;
  /** Names the batcher in errors and events. Default: the name of the embedder. */
  readonly name?: string;
  /** The most tokens of one call. Default: as many as the server turns out to take. */
  readonly maxTokens?: number;
  /** How many tokens a text has, or about. Default: a quarter of its bytes in UTF-8, which suits English. */
  readonly tokens?: (text: string) => number;
  /** Whether texts of different tenants travel together. Default `'shared'`: they do, since a vector depends on its text alone. */
  readonly scope?: 'caller' | 'shared';
}

/** An embedder whose callers share calls, and vectors where there is a cache. */
export interface BatchedEmbedder extends Embedder {
  /**
   * One vector for each text, in their order, which nobody else holds. A text that the server refuses fails the calls that
   * hold it and no others; the vectors of the other texts are kept. A caller who leaves takes along what nobody else waits for.
   * @throws WarmpathError as `Batcher.load` and `Cache.getOrSetMany` say; the error of the first text that failed
   */
  embed(texts: readonly string[], call?: LoadCall): Promise<Float32Array[]>;
  /** `embed` for one text. */
  embedOne(text: string, call?: LoadCall): Promise<Float32Array>;
  /** Of its batcher: texts that came from the cache are not in there. */
  stats(): BatcherStats;
  /** As `Batcher.close`; the cache is not closed. */
  close(): Promise<void>;
}

const rules: Rules<BatchedEmbedderOptions> = {
  cache: rule.withMethods('a cache', 'getOrSet', 'getOrSetMany'),
  maxTokens: rule.positive,
  tokens: rule.function,
  name: batcherRules.name,
  maxItems: batcherRules.maxItems,
  maxBytes: batcherRules.maxBytes,
  window: batcherRules.window,
  maxConcurrent: batcherRules.maxConcurrent,
  maxWaiting: batcherRules.maxWaiting,
  scope: batcherRules.scope,
  timeout: batcherRules.timeout,
  attempts: batcherRules.attempts,
  clock: batcherRules.clock,
  random: batcherRules.random,
  onEvent: batcherRules.onEvent,
};

/** What tells vectors apart: those of another model, version or length are other vectors. */
type VectorKey = readonly [name: string, version: string | undefined, dimensions: number | undefined, text: string];

/**
 * An embedder that finds vectors in a cache and packs what is missing, of all callers, into few calls. Equal texts travel
 * once. What goes wrong with a call is sorted out as `createBatcher` does it: a text that cannot be embedded is found and
 * fails alone, a server that takes less than `maxItems` texts or `maxTokens` tokens is given less from then on.
 * The headers of its calls are heard by the embedder inside; `onResponse` of a caller is not called.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function batchedEmbedder(embedder: Embedder, options: BatchedEmbedderOptions = {}): BatchedEmbedder {
  if (!isEmbedder.allows(embedder)) throw badOption('batchedEmbedder()', 'embedder', isEmbedder.text, embedder);
  // Vectors are kept by it: those of embedders without a name would be taken for each other's.
  if (!rule.text.allows(embedder.name))
    throw badOption('batchedEmbedder()', 'embedder.name', rule.text.text, embedder.name);
  checkOptions('batchedEmbedder()', options, rules);
  const { cache, name = embedder.name, scope = 'shared', maxTokens, tokens = tokensIn, ...others } = options;
  const { version, dimensions } = embedder;
  const embed = async (texts: readonly string[], { signal }: BatchCall<Float32Array>) =>
    checkedVectors(name, await embedder.embed(texts, { signal }));
  const batcher = createBatcher<string, Float32Array>(embed, {
    ...others,
    name,
    scope,
    weight: tokens,
    ...(maxTokens !== undefined && { maxWeight: maxTokens }),
    classify: kindOf,
  });
  const keyOf = (text: string): VectorKey => [embedder.name, version, dimensions, text];
  return {
    name: embedder.name,
    ...(version !== undefined && { version }),
    ...(dimensions !== undefined && { dimensions }),
    async embed(texts, call) {
      if (!textList.allows(texts)) throw badOption('embed()', 'texts', textList.text, texts, true);
      if (!cache) return (await batcher.loadMany(texts, call)).map(copyOf);
      return cache.getOrSetMany(
        texts.map(keyOf),
        (missing, { signal }) => batcher.loadSettled(missing.map(textOf), { signal }),
        call,
      );
    },
    async embedOne(text, call) {
      if (typeof text !== 'string') throw badOption('embedOne()', 'text', 'a string', text, true);
      if (!cache) return copyOf(await batcher.load(text, call));
      return cache.getOrSet(keyOf(text), ({ signal }) => batcher.load(text, { signal }), call);
    },
    stats: () => batcher.stats(),
    close: () => batcher.close(),
  };
}

const isEmbedder = rule.withMethods('an embedder', 'embed');
const textList = rule.arrayOf({ text: 'a string', allows: (value) => typeof value === 'string' });

function textOf([, , , text]: VectorKey): string {
  return text;
}

/** What is no vector would be kept and handed out as one. That there is one for each text is up to the batcher. */
function checkedVectors(model: string, vectors: Float32Array[]): (Float32Array | Error)[] {
  if (!Array.isArray(vectors)) return vectors;
  const message = `Embedder '${model}' gave something else than a Float32Array for a text.`;
  return Array.from(vectors, (vector: unknown) => {
    if (vector instanceof Float32Array || vector instanceof Error) return vector;
    return new WarmpathError('WP_MODEL_RESPONSE', message, { details: { model, retryable: false } });
  });
}

/** Several callers may have asked for the same text. */
function copyOf(vector: Float32Array): Float32Array {
  return vector.slice();
}

function tokensIn(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / 4);
}

/** Where failures of embedding mean something else than their status says. */
function kindOf(error: unknown): FailureKind | undefined {
  if (!isWarmpathError(error)) return undefined;
  // One vector that is none, such as NaN for a text that the model cannot take, makes an answer invalid as a whole.
  if (error.code === 'WP_MODEL_RESPONSE') return 'unknown';
  const { status } = error.details;
  // So it does in Ollama itself, and in the backend of Text Embeddings Inference (424), which fails in other ways as well.
  if (status === 500 && error.message.includes('unsupported value: NaN')) return 'composition';
  return status === 424 ? 'unknown' : undefined;
}
