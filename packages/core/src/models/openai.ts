import { createParser } from 'eventsource-parser';
import { checkOptions, type Rule, type Rules, rule, WarmpathError } from '../kernel/index.js';
import type { ChatAnswer, ChatChunk, ChatModel, ChatRequest, FetchLike, FinishReason, Usage } from './chat-model.js';
import { longestLine } from './lines.js';
import { baseUrlRule, citationsIn, usageOf } from './ollama.js';
import { CitationFinder, imageMessage, promptOf, promptVersion } from './prompt.js';
import { endpoint, leavable, postForJson, postForText, type TextStream } from './server-call.js';
import {
  asObject,
  asText,
  cutOff,
  inBandError,
  type JsonObject,
  type ModelServer,
  malformed,
  parseObject,
} from './server-errors.js';

export interface OpenAiOptions {
  /** As the server names it, such as `'gpt-4o-mini'`. */
  readonly model: string;
  /** With its `/v1`; default `https://api.openai.com/v1`. */
  readonly baseUrl?: string | URL;
  /** Sent as a bearer token; never part of an error. */
  readonly apiKey?: string;
  /** Default the global `fetch`, which gives up on an answer that pauses for 300 s: pass that of an HTTP pool. */
  readonly fetch?: FetchLike;
  /** Of the `ChatModel`; default `'openai:'` and the model. */
  readonly name?: string;
}

/** What can stand in a header. A key that cannot would be quoted in the error of the platform. */
export const apiKeyRule: Rule = {
  text: 'a string of visible ASCII characters',
  allows: (value) => typeof value === 'string' && /^[\x21-\x7e]+$/.test(value),
  secret: true,
};

const rules: Rules<OpenAiOptions> = {
  model: rule.required(rule.text),
  baseUrl: baseUrlRule,
  apiKey: apiKeyRule,
  fetch: rule.function,
  name: rule.text,
};

/**
 * A model behind any server that speaks OpenAI's chat completions: OpenAI, vLLM, llama.cpp, LM Studio, gateways.
 * https://platform.openai.com/docs/api-reference/chat
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function openai(options: OpenAiOptions): ChatModel {
  checkOptions('openai()', options, rules);
  const { model, baseUrl = 'https://api.openai.com/v1', apiKey } = options;
  const { fetch = globalThis.fetch, name = `openai:${model}` } = options;
  const headers: Readonly<Record<string, string>> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const server: ModelServer = { name, fetch, headers, apiKey };
  const url = endpoint(baseUrl, '/chat/completions');
  const bodyOf = (request: ChatRequest, stream: boolean): object => ({
    model,
    messages: messagesOf(request),
    stream,
    ...(stream && { stream_options: { include_usage: true } }),
    temperature: request.temperature,
    [limitName(url)]: request.maxOutputTokens,
    seed: request.seed,
    stop: request.stop?.length ? request.stop : undefined,
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

/** OpenAI's newer models refuse `max_tokens`; many compatible servers know nothing else. */
function limitName(url: URL): string {
  return url.hostname === 'api.openai.com' ? 'max_completion_tokens' : 'max_tokens';
}

async function* readChunks(server: ModelServer, request: ChatRequest, text: TextStream): AsyncGenerator<ChatChunk> {
  const finder = new CitationFinder(request.passages ?? []);
  let reason: FinishReason | undefined;
  let usage: Usage | undefined;
  for await (const data of eventsOf(server, text.chunks)) {
    if (data.trim() === '[DONE]') {
      text.complete();
      yield { type: 'finish', reason: reason ?? 'other', ...(usage && { usage }) };
      return;
    }
    const part = parseObject(server, data);
    const error = inBandError(server, part);
    if (error) throw error;
    const choice = firstChoice(part);
    yield* finder.read(asText(asObject(choice?.delta)?.content));
    reason = reasonOf(choice) ?? reason;
    usage = usageIn(part) ?? usage;
  }
  if (text.left) return;
  if (!reason) throw cutOff(server);
  yield { type: 'finish', reason, ...(usage && { usage }) };
}

/** The data of each server-sent event, as soon as the event is complete. */
async function* eventsOf(server: ModelServer, chunks: AsyncIterable<string>): AsyncGenerator<string> {
  const ready: string[] = [];
  let failure: WarmpathError | undefined;
  const parser = createParser({
    maxBufferSize: longestLine,
    onEvent: ({ data }) => ready.push(data),
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded')
        failure = malformed(server, `an event over ${longestLine} characters`, '');
      else if (error.type === 'unknown-field')
        failure = malformed(server, 'a line that is no server-sent event', error.line ?? '');
    },
  });
  for await (const chunk of chunks) {
    parser.feed(chunk);
    yield* ready.splice(0);
    if (failure) throw failure;
  }
  parser.reset({ consume: true });
  yield* ready.splice(0);
}

function answerOf(server: ModelServer, request: ChatRequest, part: JsonObject): ChatAnswer {
  const error = inBandError(server, part);
  if (error) throw error;
  const choice = firstChoice(part);
  const message = asObject(choice?.message);
  if (!message) throw malformed(server, 'an answer without a message', JSON.stringify(part));
  const text = asText(message.content);
  const usage = usageIn(part);
  return { text, citations: citationsIn(text, request), reason: reasonOf(choice) ?? 'other', ...(usage && { usage }) };
}

function firstChoice(part: JsonObject): JsonObject | undefined {
  return Array.isArray(part.choices) ? asObject(part.choices[0]) : undefined;
}

const reasons: Readonly<Record<string, FinishReason>> = {
  stop: 'stop',
  length: 'length',
  content_filter: 'content-filter',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
};

function reasonOf(choice: JsonObject | undefined): FinishReason | undefined {
  const reason = asText(choice?.finish_reason);
  return reason ? (reasons[reason] ?? 'other') : undefined;
}

function usageIn(part: JsonObject): Usage | undefined {
  const usage = asObject(part.usage);
  return usage && usageOf(usage.prompt_tokens, usage.completion_tokens);
}

function messagesOf(request: ChatRequest): readonly object[] {
  const messages = promptOf(request);
  const { images = [] } = request;
  if (images.length === 0) return messages;
  const owner = imageMessage(messages);
  const parts = images.map((image, index) => ({ type: 'image_url', image_url: { url: dataUrl(image, index) } }));
  return messages.map(({ role, content }, index) =>
    index === owner ? { role, content: [{ type: 'text', text: content }, ...parts] } : { role, content },
  );
}

function dataUrl(image: Uint8Array, index: number): string {
  const type = imageType(image);
  if (!type) {
    throw new WarmpathError(
      'WP_BAD_OPTION',
      `images[${index}] must be a PNG, JPEG or WebP image; its first bytes are not.`,
      {
        details: { index, bytes: image.byteLength },
      },
    );
  }
  return `data:${type};base64,${Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString('base64')}`;
}

/** By the signatures of the formats: PNG (W3C), JPEG's SOI marker, WebP's RIFF header. */
function imageType(image: Uint8Array): string | undefined {
  const head = Buffer.from(image.subarray(0, 12)).toString('latin1');
  if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png';
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg';
  return head.startsWith('RIFF') && head.slice(8) === 'WEBP' ? 'image/webp' : undefined;
}
