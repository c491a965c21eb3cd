import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

/** What a simulated server does with questions. */
export interface ChatBehaviour {
  /** What the model says: a text, or a function of the request's body. Default `'Hello from the model.'` */
  readonly reply?: string | ((body: unknown) => string);
  /** Milliseconds before the first chunk, or before a whole answer or vectors. Default 0. */
  readonly ttfcMs?: number;
  /** Milliseconds between chunks. Default 0. */
  readonly msPerChunk?: number;
  /** Ends the socket after this many chunks of a stream. */
  readonly cutAfterChunks?: number;
  /** Ends the answer in good order after this many chunks, without what marks the end. */
  readonly stopAfterChunks?: number;
  /** Stops sending after this many chunks, without ending, until the client goes. */
  readonly stallAfterChunks?: number;
  /** A line of a stream that is no JSON, sent after the first chunk. */
  readonly malformedLine?: string;
  /** An error reported inside a stream after the first chunk. */
  readonly inBandError?: string;
  /** `finish_reason` of OpenAI, `done_reason` of Ollama. Default `'stop'`. */
  readonly finishReason?: string;
}

interface Answer {
  readonly model: string;
  readonly text: string;
  readonly pieces: readonly string[];
  readonly finishReason: string;
  readonly includeUsage: boolean;
}

export interface ChatProtocol {
  readonly streamsByDefault: boolean;
  readonly contentType: string;
  line(data: string): string;
  piece(answer: Answer, text: string): object;
  end(answer: Answer): string[];
  whole(answer: Answer): object;
  error(message: string, status: number): object;
}

const inputTokens = 7;

const openai: ChatProtocol = {
  streamsByDefault: false,
  contentType: 'text/event-stream',
  line: (data) => `data: ${data}\n\n`,
  piece: ({ model }, content) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    model,
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  }),
  end: (answer) => {
    const last = { choices: [{ index: 0, delta: {}, finish_reason: answer.finishReason }] };
    const usage = answer.includeUsage ? [JSON.stringify({ choices: [], usage: openaiUsage(answer) })] : [];
    return [JSON.stringify(last), ...usage, '[DONE]'];
  },
  whole: (answer) => ({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    model: answer.model,
    choices: [{ index: 0, message: { role: 'assistant', content: answer.text }, finish_reason: answer.finishReason }],
    usage: openaiUsage(answer),
  }),
  error: (message, code) => ({ error: { message, type: 'server_error', code, param: null } }),
};

const ollama: ChatProtocol = {
  streamsByDefault: true,
  contentType: 'application/x-ndjson',
  line: (data) => `${data}\n`,
  piece: ({ model }, content) => ({ model, message: { role: 'assistant', content }, done: false }),
  end: (answer) => [
    JSON.stringify({ model: answer.model, message: { role: 'assistant', content: '' }, ...ollamaEnd(answer) }),
  ],
  whole: (answer) => ({
    model: answer.model,
    message: { role: 'assistant', content: answer.text },
    ...ollamaEnd(answer),
  }),
  error: (message) => ({ error: message }),
};

/** By their paths. */
export const chatProtocols: Readonly<Record<string, ChatProtocol>> = {
  '/v1/chat/completions': openai,
  '/api/chat': ollama,
};

function openaiUsage({ pieces }: Answer): object {
  return { prompt_tokens: inputTokens, completion_tokens: pieces.length, total_tokens: inputTokens + pieces.length };
}

function ollamaEnd({ pieces, finishReason }: Answer): object {
  return { done: true, done_reason: finishReason, prompt_eval_count: inputTokens, eval_count: pieces.length };
}

/** @param onCut called before the server itself cuts the answer off */
export async function answerChat(
  res: ServerResponse,
  body: unknown,
  protocol: ChatProtocol,
  behaviour: ChatBehaviour,
  onCut: () => void,
): Promise<void> {
  const { reply = 'Hello from the model.', ttfcMs = 0, finishReason = 'stop' } = behaviour;
  const text = typeof reply === 'string' ? reply : reply(body);
  const asked = body as { model?: string; stream?: boolean; stream_options?: { include_usage?: boolean } };
  const answer: Answer = {
    model: asked.model ?? '',
    text,
    pieces: text.match(/\s*\S+/g) ?? [],
    finishReason,
    includeUsage: asked.stream_options?.include_usage === true,
  };
  if (ttfcMs > 0) await delay(ttfcMs);
  // Ollama streams unless told otherwise, OpenAI only when told to.
  if (asked.stream ?? protocol.streamsByDefault) await stream(res, answer, protocol, behaviour, onCut);
  else json(res, 200, protocol.whole(answer));
}

async function stream(
  res: ServerResponse,
  answer: Answer,
  protocol: ChatProtocol,
  behaviour: ChatBehaviour,
  onCut: () => void,
): Promise<void> {
  const { msPerChunk = 0, cutAfterChunks, stopAfterChunks, stallAfterChunks, malformedLine, inBandError } = behaviour;
  res.writeHead(200, { 'content-type': protocol.contentType });
  res.flushHeaders();
  for (const [sent, piece] of [...answer.pieces, undefined].entries()) {
    if (res.destroyed) return;
    if (sent === cutAfterChunks) {
      onCut();
      res.destroy();
      return;
    }
    if (sent === stopAfterChunks) return void res.end();
    if (sent === stallAfterChunks) return;
    if (sent === 1 && malformedLine !== undefined) await write(res, protocol.line(malformedLine));
    if (sent === 1 && inBandError !== undefined) {
      res.end(protocol.line(JSON.stringify(protocol.error(inBandError, 500))));
      return;
    }
    if (piece === undefined) break;
    if (sent > 0 && msPerChunk > 0) await delay(msPerChunk);
    await write(res, protocol.line(JSON.stringify(protocol.piece(answer, piece))));
  }
  res.end(
    protocol
      .end(answer)
      .map((line) => protocol.line(line))
      .join(''),
  );
}

export function json(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** Each piece in a packet of its own where the client keeps up. */
async function write(res: ServerResponse, text: string): Promise<void> {
  if (res.write(text)) return;
  await new Promise<void>((resolve) => {
    res.once('drain', resolve);
    res.once('close', resolve);
  });
}
