import type { ServerResponse } from 'node:http';
import { json } from './simulated-chat.js';

/** What a simulated server does with texts to embed. A token is four bytes of UTF-8 here, or what is left of them. */
export interface EmbeddingBehaviour {
  /** The vector of a text. Default: 8 numbers that follow from the text alone. */
  readonly vectorOf?: (text: string) => readonly number[];
  /** The most texts of a request. */
  readonly maxInputs?: number;
  /** The most tokens that the texts of a request have together. */
  readonly maxTokens?: number;
  /** The most tokens of one text. */
  readonly maxTextTokens?: number;
  /** Whether a text cannot be embedded: a request with such a one is refused as a whole. */
  readonly refuses?: (text: string) => boolean;
  /** In whose words OpenAI's endpoint refuses. Default `'openai'`; `'tei'` is Text Embeddings Inference. */
  readonly words?: 'openai' | 'tei';
}

interface Wanted {
  readonly texts: readonly string[];
  readonly model: string;
  readonly isBase64: boolean;
}

interface Refusal {
  readonly status: number;
  /** JSON, unless it is a text. */
  readonly body: object | string;
}

interface EmbeddingProtocol {
  refusal(limit: Limit, behaviour: EmbeddingBehaviour): Refusal;
  answer(wanted: Wanted, vectors: readonly (readonly number[])[]): object;
  error(message: string, status: number): object;
}

/** What a request is too much for. */
type Limit =
  | { readonly kind: 'inputs' | 'tokens' | 'text-tokens'; readonly most: number; readonly got: number }
  | { readonly kind: 'bad-input' };

const openaiWords = (limit: Limit): Refusal => {
  const error = (message: string, type = 'invalid_request_error', code: string | null = null): Refusal => ({
    status: 400,
    body: { error: { message, type, param: null, code } },
  });
  switch (limit.kind) {
    case 'inputs': {
      const wants = `Expected an array with maximum length ${limit.most}, but got an array with length ${limit.got} instead.`;
      return error(`Invalid 'input': array too long. ${wants}`, 'invalid_request_error', 'array_above_max_length');
    }
    case 'tokens': {
      const code = 'max_tokens_per_request';
      return error(`Requested ${limit.got} tokens, max ${limit.most} tokens per request`, code, code);
    }
    case 'text-tokens':
      return error(
        `This model's maximum context length is ${limit.most} tokens, however you requested ${limit.got} tokens.`,
      );
    default:
      return error("'$.input' is invalid.");
  }
};

/** It answers 413 to all that it finds invalid, and plain text to a body over its limit, which is one of bytes. */
const teiWords = (limit: Limit): Refusal => {
  const error = (message: string): Refusal => ({ status: 413, body: { message, code: 413, type: 'Validation' } });
  switch (limit.kind) {
    case 'inputs':
      return error(`batch size ${limit.got} > maximum allowed batch size ${limit.most}`);
    case 'tokens':
      return { status: 413, body: 'Failed to buffer the request body: length limit exceeded' };
    case 'text-tokens':
      return error(`Input validation error: \`inputs\` must have less than ${limit.most} tokens. Given: ${limit.got}`);
    default:
      return error('Input validation error: `inputs` cannot be empty');
  }
};

const openai: EmbeddingProtocol = {
  refusal: (limit, { words }) => (words === 'tei' ? teiWords : openaiWords)(limit),
  answer: ({ model, texts, isBase64 }, vectors) => ({
    object: 'list',
    model,
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: isBase64 ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector,
    })),
    usage: { prompt_tokens: tokensOf(texts), total_tokens: tokensOf(texts) },
  }),
  error: (message, code) => ({ error: { message, type: 'server_error', code, param: null } }),
};

const ollama: EmbeddingProtocol = {
  refusal: ({ kind }) => ({
    status: 400,
    body: { error: kind === 'bad-input' ? 'invalid input type' : 'the input length exceeds the context length' },
  }),
  answer: ({ model, texts }, embeddings) => ({ model, embeddings, prompt_eval_count: tokensOf(texts) }),
  error: (message) => ({ error: message }),
};

/** By their paths. */
export const embeddingProtocols: Readonly<Record<string, EmbeddingProtocol>> = {
  '/v1/embeddings': openai,
  '/api/embed': ollama,
};

export function answerEmbedding(
  res: ServerResponse,
  body: unknown,
  protocol: EmbeddingProtocol,
  behaviour: EmbeddingBehaviour,
): void {
  const asked = body as { model?: string; input?: string | string[]; encoding_format?: string };
  const texts = [asked.input ?? []].flat();
  const limit = limitBroken(texts, behaviour);
  if (limit) {
    const { status, body: refusal } = protocol.refusal(limit, behaviour);
    if (typeof refusal === 'string') res.writeHead(status, { 'content-type': 'text/plain' }).end(refusal);
    else json(res, status, refusal);
    return;
  }
  const { vectorOf = vectorFrom } = behaviour;
  const wanted = { texts, model: asked.model ?? '', isBase64: asked.encoding_format === 'base64' };
  json(res, 200, protocol.answer(wanted, texts.map(vectorOf)));
}

function limitBroken(
  texts: readonly string[],
  { maxInputs, maxTokens, maxTextTokens, refuses }: EmbeddingBehaviour,
): Limit | undefined {
  if (texts.some((text) => refuses?.(text))) return { kind: 'bad-input' };
  const longest = Math.max(...texts.map((text) => tokensOf([text])));
  const measures = [
    ['inputs', maxInputs, texts.length],
    ['text-tokens', maxTextTokens, longest],
    ['tokens', maxTokens, tokensOf(texts)],
  ] as const;
  for (const [kind, most, got] of measures) if (most !== undefined && got > most) return { kind, most, got };
  return undefined;
}

function tokensOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Math.ceil(Buffer.byteLength(text) / 4), 0);
}

/** FNV-1a over the text's code units for each of 8 seeds, mixed (Murmur3's finalizer) and mapped to [-1, 1). */
function vectorFrom(text: string): number[] {
  return Array.from({ length: 8 }, (_, seed) => {
    let hash = 0x811c9dc5 ^ seed;
    for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return Math.fround((hash ^ (hash >>> 16)) / 2 ** 31);
  });
}
