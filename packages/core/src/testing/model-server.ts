import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { answerChat, type ChatBehaviour, chatProtocols, json } from './simulated-chat.js';
import { answerEmbedding, type EmbeddingBehaviour, embeddingProtocols } from './simulated-embeddings.js';

/** A request that the simulated server has received. */
export interface ModelServerRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The parsed JSON body; undefined for a GET. */
  readonly body: unknown;
}

/** How the next calls fail. */
export interface ModelServerFailure {
  /** How many of the next requests for answers or vectors; default 1. */
  readonly times?: number;
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is; default a JSON error in the form of the protocol that was asked. */
  readonly body?: string;
}

export interface ModelServerOptions extends ChatBehaviour {
  /** The names under `/v1/models` and `/api/tags`. Default `['test-model']`. */
  readonly models?: readonly string[];
  /** What it does with texts to embed. */
  readonly embeddings?: EmbeddingBehaviour;
}

export interface ModelServer {
  readonly url: string;
  /** The `baseUrl` for `ollama()` and `ollamaEmbedder()`. */
  readonly ollamaUrl: string;
  /** The `baseUrl` for `openai()` and `openaiEmbedder()`. */
  readonly openaiUrl: string;
  /** The last 1,000 requests, oldest first. */
  readonly requests: readonly ModelServerRequest[];
  /** Requests whose client left before the answer was finished. */
  readonly aborted: number;
  /** Sockets that are open. */
  readonly sockets: number;
  /** Makes the next requests for answers or vectors fail. */
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
 * OpenAI's `/v1/chat/completions`, `/v1/embeddings` and `/v1/models` and of Ollama's `/api/chat`, `/api/embed` and
 * `/api/tags` that Warmpath uses. There is no model behind it: it says what `reply` tells it to, one word a chunk, gives
 * vectors that follow from the text alone, and fails on demand.
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
    const chat = chatProtocols[path];
    const embedding = embeddingProtocols[path];
    const protocol = chat ?? embedding;
    if (!protocol) return json(res, 404, { error: `there is no ${path}` });
    const failure = this.failures.shift();
    if (failure) return failed(res, failure, protocol);
    if (chat) return answerChat(res, body, chat, this.options, () => this.#cut.add(res));
    if (!embedding) return;
    const { ttfcMs = 0, embeddings = {} } = this.options;
    if (ttfcMs > 0) await delay(ttfcMs);
    answerEmbedding(res, body, embedding, embeddings);
  }

  /** Responses that the server itself cut off. */
  readonly #cut = new WeakSet<ServerResponse>();
}

function failed(
  res: ServerResponse,
  failure: ModelServerFailure,
  protocol: { error(message: string, status: number): object },
): void {
  const body = failure.body ?? JSON.stringify(protocol.error('made to fail', failure.status));
  res.writeHead(failure.status, { 'content-type': 'application/json', ...failure.headers }).end(body);
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
