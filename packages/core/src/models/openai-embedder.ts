import { checkOptions, type Rules, rule } from '../kernel/index.js';
import type { FetchLike } from './chat-model.js';
import type { Embedder } from './embedder.js';
import { baseUrlRule } from './ollama.js';
import { apiKeyRule } from './openai.js';
import { endpoint, postForJson } from './server-call.js';
import { asObject, type ModelServer, malformed } from './server-errors.js';
import { checkTexts, listOf, longestVectors, vectorsOf } from './vectors.js';

export interface OpenAiEmbedderOptions {
  /** As the server names it, such as `'text-embedding-3-small'`. */
  readonly model: string;
  /** With its `/v1`; default `https://api.openai.com/v1`. */
  readonly baseUrl?: string | URL;
  /** Sent as a bearer token; never part of an error. */
  readonly apiKey?: string;
  /** Default the global `fetch`: pass that of an HTTP pool. */
  readonly fetch?: FetchLike;
  /** Of the `Embedder`; default `'openai:'` and the model. */
  readonly name?: string;
  /** Asked of the server, for models that can shorten their vectors; others are refused. Default: as the model gives them. */
  readonly dimensions?: number;
  /**
   * How the server is asked to write vectors. `'base64'` (default) has a quarter of the bytes and is read several times as
   * fast; `'float'` for servers that refuse it. What comes is read in either way.
   */
  readonly encoding?: 'base64' | 'float';
}

const rules: Rules<OpenAiEmbedderOptions> = {
  model: rule.required(rule.text),
  baseUrl: baseUrlRule,
  apiKey: apiKeyRule,
  fetch: rule.function,
  name: rule.text,
  dimensions: rule.integer(1),
  encoding: rule.oneOf('base64', 'float'),
};

/**
 * Vectors from any server that speaks OpenAI's embeddings: OpenAI, vLLM, Text Embeddings Inference, llama.cpp, LM Studio,
 * gateways. https://platform.openai.com/docs/api-reference/embeddings
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function openaiEmbedder(options: OpenAiEmbedderOptions): Embedder {
  checkOptions('openaiEmbedder()', options, rules);
  const { model, baseUrl = 'https://api.openai.com/v1', apiKey, dimensions, encoding = 'base64' } = options;
  const { fetch = globalThis.fetch, name = `openai:${model}` } = options;
  const headers: Readonly<Record<string, string>> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const server: ModelServer = { name, fetch, headers, apiKey };
  const url = endpoint(baseUrl, '/embeddings');
  return {
    name,
    ...(dimensions !== undefined && { dimensions }),
    async embed(texts, call) {
      checkTexts(texts);
      if (texts.length === 0) return [];
      const count = texts.length;
      const body = { model, input: texts, encoding_format: encoding, dimensions };
      const answer = await postForJson(server, url, body, call, longestVectors(count));
      return vectorsOf(server, inOrder(server, listOf(server, answer, answer.data, count)), dimensions);
    },
  };
}

/** By their `index`, where they have one: nothing says that they come in the order of the texts. */
function inOrder(server: ModelServer, items: readonly unknown[]): unknown[] {
  const values = new Map<unknown, unknown>();
  for (const [position, each] of items.entries()) {
    const item = asObject(each);
    values.set(item?.index ?? position, item?.embedding);
  }
  return Array.from(items, (_, index) => {
    if (values.has(index)) return values.get(index);
    throw malformed(server, `no vector for text ${index} of ${items.length}`, '');
  });
}
