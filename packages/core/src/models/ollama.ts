import { checkOptions, type Rule, type Rules, rule } from '../kernel/index.js';
import type {
  ChatAnswer,
  ChatChunk,
  ChatModel,
  ChatRequest,
  Citation,
  FetchLike,
  FinishReason,
  Usage,
} from './chat-model.js';
import { linesOf } from './lines.js';
import { CitationFinder, imageMessage, promptOf, promptVersion } from './prompt.js';
import { endpoint, leavable, postForJson, postForText, type TextStream } from './server-call.js';
import {
  asCount,
  asObject,
  asText,
  cutOff,
  inBandError,
  type JsonObject,
  type ModelServer,
  malformed,
  parseObject,
} from './server-errors.js';

export interface OllamaOptions {
  /** As `ollama list` names it, such as `'llama3.2'`. */
  readonly model: string;
  /** Default `http://127.0.0.1:11434`. */
  readonly baseUrl?: string | URL;
  /** Default the global `fetch`, which gives up on an answer that pauses for 300 s: pass that of an HTTP pool. */
  readonly fetch?: FetchLike;
  /** Of the `ChatModel`; default `'ollama:'` and the model. */
  readonly name?: string;
  /** The context window in tokens (`num_ctx`). Ollama cuts longer prompts silently; default: what the server is set to. */
  readonly contextTokens?: number;
}

/** An address that may stand in errors and logs. */
export const baseUrlRule: Rule = {
  text: `${rule.url.text} without a user name or password`,
  allows: (value) =>
    rule.url.allows(value) && new URL(value as string | URL).username + new URL(value as string | URL).password === '',
  secret: true,
};

const rules: Rules<OllamaOptions> = {
  model: rule.required(rule.text),
  baseUrl: baseUrlRule,
  fetch: rule.function,
  name: rule.text,
  contextTokens: rule.integer(1),
};

/**
 * A model that an Ollama server runs, over its native `/api/chat` (newline-delimited JSON).
 * https://github.com/ollama/ollama/blob/main/docs/api.md
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function ollama(options: OllamaOptions): ChatModel {
  checkOptions('ollama()', options, rules);
  const { model, baseUrl = 'http://127.0.0.1:11434', contextTokens } = options;
  const { fetch = globalThis.fetch, name = `ollama:${model}` } = options;
  const server: ModelServer = { name, fetch, headers: {}, apiKey: undefined };
  const url = endpoint(baseUrl, '/api/chat');
  const bodyOf = (request: ChatRequest, stream: boolean): object => ({
    model,
    stream,
    messages: messagesOf(request),
    options: {
      num_ctx: contextTokens,
      temperature: request.temperature,
      num_predict: request.maxOutputTokens,
      seed: request.seed,
      stop: request.stop,
    },
  });
  return {
    name,
    version: promptVersion,
    stream: (request, call) =>
      leavable(
        () => postForText(server, url, bodyOf(request, true), call),
        (text) => readChunks(server, request, text),
      ),
    async generate(request, call) {
      return answerOf(server, request, await postForJson(server, url, bodyOf(request, false), call));
    },
  };
}

async function* readChunks(server: ModelServer, request: ChatRequest, text: TextStream): AsyncGenerator<ChatChunk> {
  const finder = new CitationFinder(request.passages ?? []);
  for await (const line of linesOf(server, text.chunks)) {
    const part = parseObject(server, line);
    const error = inBandError(server, part);
    if (error) throw error;
    yield* finder.read(asText(asObject(part.message)?.content));
    if (part.done === true) {
      text.complete();
      yield { type: 'finish', ...endOf(part) };
      return;
    }
  }
  if (!text.left) throw cutOff(server);
}

function answerOf(server: ModelServer, request: ChatRequest, part: JsonObject): ChatAnswer {
  const error = inBandError(server, part);
  if (error) throw error;
  const text = asObject(part.message)?.content;
  if (typeof text !== 'string') throw malformed(server, 'an answer without a message', JSON.stringify(part));
  return { text, citations: citationsIn(text, request), ...endOf(part) };
}

export function citationsIn(text: string, request: ChatRequest): Citation[] {
  const chunks = [...new CitationFinder(request.passages ?? []).read(text)];
  return chunks.flatMap((chunk) => (chunk.type === 'citation' ? [chunk.citation] : []));
}

function endOf(part: JsonObject): { reason: FinishReason; usage?: Usage } {
  const usage = usageOf(part.prompt_eval_count, part.eval_count);
  const why = part.done_reason ?? 'stop'; // servers before 0.1.45 give none
  return { reason: why === 'stop' || why === 'length' ? why : 'other', ...(usage && { usage }) };
}

export function usageOf(input: unknown, output: unknown): Usage | undefined {
  const inputTokens = asCount(input);
  const outputTokens = asCount(output);
  if (inputTokens === undefined && outputTokens === undefined) return undefined;
  return { ...(inputTokens !== undefined && { inputTokens }), ...(outputTokens !== undefined && { outputTokens }) };
}

function messagesOf(request: ChatRequest): readonly object[] {
  const messages = promptOf(request);
  const { images = [] } = request;
  if (images.length === 0) return messages;
  const owner = imageMessage(messages);
  const encoded = images.map((image) =>
    Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString('base64'),
  );
  return messages.map((message, index) => (index === owner ? { ...message, images: encoded } : message));
}
