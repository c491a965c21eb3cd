import { checkOptions, type Rules, rule } from '../kernel/index.js';
import type { FetchLike } from './chat-model.js';
import type { Embedder } from './embedder.js';
import { baseUrlRule } from './ollama.js';
import { endpoint, postForJson } from './server-call.js';
import type { ModelServer } from './server-errors.js';
import { checkTexts, listOf, longestVectors, vectorsOf } from './vectors.js';

export interface OllamaEmbedderOptions {
  /** As `ollama list` names it, such as `'nomic-embed-text'`. */
  readonly model: string;
  /** Default `http://127.0.0.1:11434`. */
  readonly baseUrl?: string | URL;
  /** Default the global `fetch`: pass that of an HTTP pool. */
  readonly fetch?: FetchLike;
  /** Of the `Embedder`; default `'ollama:'` and the model. */
  readonly name?: string;
  /** Asked of the server, for models that can shorten their vectors. Default: as the model gives them. */
  readonly dimensions?: number;
  /**
   * Whether a text that is longer than the model's context is cut without a word, so that its vector is that of its
   * beginning, or refused. Default: what the server does, which is to cut.
   */
  readonly truncate?: boolean;
}

const rules: Rules<OllamaEmbedderOptions> = {
  model: rule.required(rule.text),
  baseUrl: baseUrlRule,
  fetch: rule.function,
  name: rule.text,
  dimensions: rule.integer(1),
  truncate: rule.boolean,
};

/**
 * Vectors of a model that an Ollama server runs, over `/api/embed`.
 * https://github.com/ollama/ollama/blob/main/docs/api.md
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function ollamaEmbedder(options: OllamaEmbedderOptions): Embedder {
  checkOptions('ollamaEmbedder()', options, rules);
  const { model, baseUrl = 'http://127.0.0.1:11434', dimensions, truncate } = options;
  const { fetch = globalThis.fetch, name = `ollama:${model}` } = options;
  const server: ModelServer = { name, fetch, headers: {}, apiKey: undefined };
  const url = endpoint(baseUrl, '/api/embed');
  return {
    name,
    ...(dimensions !== undefined && { dimensions }),
    async embed(texts, call) {
      checkTexts(texts);
      if (texts.length === 0) return [];
      const count = texts.length;
      const body = { model, input: texts, truncate, dimensions };
      const answer = await postForJson(server, url, body, call, longestVectors(count));
      return vectorsOf(server, listOf(server, answer, answer.embeddings, count), dimensions);
    },
  };
}
