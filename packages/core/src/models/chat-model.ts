import { WarmpathError } from '../kernel/index.js';

/** One retrieved piece of a document. */
export interface Passage {
  readonly id: string;
  /** Of the document. */
  readonly title: string;
  /** Markdown or plain text. */
  readonly text: string;
  readonly url?: string;
  /** Of the section that the passage comes from. */
  readonly heading?: string;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  /** Retrieved context, best first: the model answers from it and cites it. */
  readonly passages?: readonly Passage[];
  readonly temperature?: number;
  readonly maxOutputTokens?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  /** For vision models: PNG, JPEG or WebP images that belong to the last user message. */
  readonly images?: readonly Uint8Array[];
}

export interface ModelCall {
  /** Ends the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Hears of each answer of a model's server, good or bad, once its headers are there: they tell of limits. */
  readonly onResponse?: (response: { readonly status: number; readonly headers: Headers }) => void;
}

export type FinishReason = 'stop' | 'length' | 'content-filter' | 'tool-calls' | 'other';

export interface Usage {
  readonly inputTokens?: number;
  readonly outputTokens?: number;
}

export interface Citation {
  /** The `id` of the passage. */
  readonly passage: string;
  /** Where given, an exact part of the passage's text. */
  readonly quote?: string;
  /** The n of the `[n]` in the text of the answer. */
  readonly marker: number;
}

export type ChatChunk =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'citation'; readonly citation: Citation }
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly usage?: Usage };

export interface ChatAnswer {
  readonly text: string;
  readonly citations: readonly Citation[];
  readonly reason: FinishReason;
  readonly usage?: Usage;
}

/** One way of asking, whatever answers: a server, a library, or no model at all. */
export interface ChatModel {
  /** Such as `'extractive'` or `'ollama:llama3.2'`. */
  readonly name: string;
  /** Another one once it answers the same request otherwise: what is kept of its answers is of this version alone. */
  readonly version?: string;
  /**
   * The answer piece by piece; a complete one ends with exactly one `finish` chunk, one without is not to be trusted.
   * Nothing is sent before the first chunk is asked for, and leaving the loop early ends the call upstream.
   * @throws WarmpathError `WP_MODEL_REQUEST`, `WP_MODEL_RESPONSE` or `WP_STREAM_INCOMPLETE` while iterating
   */
  stream(request: ChatRequest, call?: ModelCall): AsyncIterable<ChatChunk>;
  /** The whole answer. Rejects with the errors that `stream` throws. */
  generate(request: ChatRequest, call?: ModelCall): Promise<ChatAnswer>;
}

/** What a model sends its requests with: the global `fetch`, or that of an HTTP pool. */
export type FetchLike = (url: string | URL, init?: RequestInit) => Promise<Response>;

/**
 * Reads a streamed answer to its end and puts it together.
 * @throws WarmpathError `WP_STREAM_INCOMPLETE` when the stream ends without a `finish` chunk
 */
export async function collectAnswer(chunks: AsyncIterable<ChatChunk>): Promise<ChatAnswer> {
  const pieces: string[] = [];
  const citations: Citation[] = [];
  let finish: Extract<ChatChunk, { type: 'finish' }> | undefined;
  for await (const chunk of chunks) {
    if (chunk.type === 'text') pieces.push(chunk.text);
    else if (chunk.type === 'citation') citations.push(chunk.citation);
    else finish = chunk;
  }
  if (!finish) {
    throw new WarmpathError('WP_STREAM_INCOMPLETE', 'The answer ended without its finish chunk.', {
      details: { pieces: pieces.length },
    });
  }
  const { reason, usage } = finish;
  return { text: pieces.join(''), citations, reason, ...(usage && { usage }) };
}

/** The question that a request asks: its last user message. */
export function lastQuestion(request: ChatRequest): string {
  return request.messages.findLast((message) => message.role === 'user')?.content ?? '';
}
