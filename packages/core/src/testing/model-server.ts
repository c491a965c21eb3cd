import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A request that the simulated server has received. */
export interface ModelServerRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed JSON body; undefined for a GET. */
  readonly body: unknown;
}

/** How the next calls fail. */
export interface ModelServerFailure {
  /** How many of the next chat requests; default 1. */
  readonly times?: number;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is; default a JSON error in the form of the protocol that was asked. */
  readonly body?: string;
}

export interface ModelServerOptions {
  /** What the model says: a text, or a function of the request's body. Default `'Hello from the model.'` */
  readonly reply?: string | ((body: unknown) => string);
  /** The names under `/v1/models` and `/api/tags`. Default `['test-model']`. */
  readonly models?: readonly string[];
  /** Milliseconds before the first chunk, or before a whole answer. Default 0. */
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

export interface ModelServer {
  readonly url: string;
  /** The `baseUrl` for `ollama()`. */
  readonly ollamaUrl: string;
  /** The `baseUrl` for `openai()`. */
  readonly openaiUrl: string;
  /** The last 1,000 requests, oldest first. */
  readonly requests: readonly ModelServerRequest[];
  /** Requests whose client left before the answer was finished. */
  readonly aborted: number;
  /** Sockets that are open. */
  readonly sockets: number;
  /** Makes the next chat requests fail. */
  fail(next: ModelServerFailure): void;
  /** Changes how it behaves from the next request on. */
  set(options: ModelServerOptions): void;
  /** Ends all sockets. */
  close(): Promise<void>;
}

const mostRequests = 1_000;
const longestBody = 64 * 1024 * 1024;

/**
 * A SIMULATION of model servers for tests and benchmarks: a real HTTP server on 127.0.0.1 that speaks the parts of
 * OpenAI's `/v1/chat/completions` and `/v1/models` and of Ollama's `/api/chat` and `/api/tags` that Warmpath uses. There
 * is no model behind it: it says what `reply` tells it to, one word a chunk, and fails on demand.
 */
export async function startModelServer(options: ModelServerOptions = {}): Promise<ModelServer> {
  const state = new ServerState(options);
  const server = createServer((req, res) => {
    state.answer(req, res).catch(() => res.destroy()); // the client sees a broken connection, as with a real crash
  });
  let sockets = 0;
  server.on('connection', (socket) => {
    sockets++;
    socket.once('close', () => sockets--);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    ollamaUrl: url,
    openaiUrl: `${url}/v1`,
    requests: state.requests,
    get aborted() {
      return state.aborted;
    },
    get sockets() {
      return sockets;
    },
    fail: (next) => state.failures.push(...Array.from({ length: next.times ?? 1 }, () => next)),
    set(changed) {
      state.options = { ...state.options, ...changed };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class ServerState {
  options: ModelServerOptions;
  readonly requests: ModelServerRequest[] = [];
  readonly failures: ModelServerFailure[] = [];
  aborted = 0;

  constructor(options: ModelServerOptions) {
    this.options = options;
  }

  async answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    res.once('close', () => {
      if (!res.writableFinished && !this.#cut.has(res)) this.aborted++;
    });
    const path = (req.url ?? '').split('?')[0] ?? '';
    const text = await bodyOf(req);
    const body: unknown = text ? JSON.parse(text) : undefined;
    this.requests.push({ path, headers: { ...req.headers }, body });
    if (this.requests.length > mostRequests) this.requests.shift();
    const { models = ['test-model'] } = this.options;
    if (path === '/v1/models')
      return json(res, 200, { object: 'list', data: models.map((id) => ({ id, object: 'model' })) });
    if (path === '/api/tags') return json(res, 200, { models: models.map((name) => ({ name, model: name })) });
    const protocol = protocols[path];
    if (!protocol) return json(res, 404, { error: `there is no ${path}` });
    const failure = this.failures.shift();
    if (failure) return failed(res, failure, protocol);
    await this.#chat(res, body, protocol);
  }

  /** Responses that the server itself cut off. */
  readonly #cut = new WeakSet<ServerResponse>();

  async #chat(res: ServerResponse, body: unknown, protocol: Protocol): Promise<void> {
    const { reply = 'Hello from the model.', ttfcMs = 0, finishReason = 'stop' } = this.options;
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
    if (!(asked.stream ?? protocol.streamsByDefault)) return json(res, 200, protocol.whole(answer));
    await this.#stream(res, answer, protocol);
  }

  async #stream(res: ServerResponse, answer: Answer, protocol: Protocol): Promise<void> {
    const {
      msPerChunk = 0,
      cutAfterChunks,
      stopAfterChunks,
      stallAfterChunks,
      malformedLine,
      inBandError,
    } = this.options;
    res.writeHead(200, { 'content-type': protocol.contentType });
    res.flushHeaders();
    for (const [sent, piece] of [...answer.pieces, undefined].entries()) {
      if (res.destroyed) return;
      if (sent === cutAfterChunks) {
        this.#cut.add(res);
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
}

interface Answer {
  readonly model: string;
  readonly text: string;
  readonly pieces: readonly string[];
  readonly finishReason: string;
  readonly includeUsage: boolean;
}

interface Protocol {
  readonly streamsByDefault: boolean;
  readonly contentType: string;
  line(data: string): string;
  piece(answer: Answer, text: string): object;
  end(answer: Answer): string[];
  whole(answer: Answer): object;
  error(message: string, status: number): object;
}

const inputTokens = 7;

const openai: Protocol = {
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

const ollama: Protocol = {
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

const protocols: Readonly<Record<string, Protocol>> = { '/v1/chat/completions': openai, '/api/chat': ollama };

function openaiUsage({ pieces }: Answer): object {
  return { prompt_tokens: inputTokens, completion_tokens: pieces.length, total_tokens: inputTokens + pieces.length };
}

function ollamaEnd({ pieces, finishReason }: Answer): object {
  return { done: true, done_reason: finishReason, prompt_eval_count: inputTokens, eval_count: pieces.length };
}

function failed(res: ServerResponse, failure: ModelServerFailure, protocol: Protocol): void {
  const body = failure.body ?? JSON.stringify(protocol.error('made to fail', failure.status));
  res.writeHead(failure.status, { 'content-type': 'application/json', ...failure.headers }).end(body);
}

function json(res: ServerResponse, status: number, body: object): void {
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

async function bodyOf(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of req) {
    length += (chunk as Buffer).length;
    if (length > longestBody) throw new Error('The body is too long.');
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString();
}
