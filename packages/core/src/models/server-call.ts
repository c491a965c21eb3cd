import { abortReason, isWarmpathError, type LinkedAbort, linkAbort, systemClock } from '../kernel/index.js';
import type { ModelCall } from './chat-model.js';
import {
  cutOff,
  inBandError,
  type JsonObject,
  type ModelServer,
  malformed,
  parseObject,
  refusal,
  unreachable,
} from './server-errors.js';

const longestErrorBody = 64 * 1024;
const longestAnswer = 32 * 1024 * 1024;

/** `path` below a base address, whose own path and query stay. */
export function endpoint(baseUrl: string | URL, path: string): URL {
  const url = new URL(baseUrl);
  url.pathname = url.pathname.replace(/\/+$/, '') + path;
  return url;
}

/**
 * Posts JSON and resolves with the answer once its headers are there.
 * @throws WarmpathError `WP_MODEL_REQUEST` when the server cannot be reached or answers with an error; the signal's reason
 */
async function post(
  server: ModelServer,
  url: URL,
  body: object,
  { signal, onResponse }: ModelCall & { readonly signal: AbortSignal },
): Promise<Response> {
  const headers = { 'content-type': 'application/json', ...server.headers };
  let response: Response;
  try {
    response = await server.fetch(url, { method: 'POST', headers, body: JSON.stringify(body), signal });
  } catch (error) {
    throw signal.aborted ? abortReason(signal) : unreachable(server, error);
  }
  onResponse?.({ status: response.status, headers: response.headers });
  if (!response.ok) throw await refusedBy(server, response, signal);
  return response;
}

/** Asks for one JSON answer, of at most `limit` characters. */
export async function postForJson(
  server: ModelServer,
  url: URL,
  body: object,
  call: ModelCall = {},
  limit: number = longestAnswer,
): Promise<JsonObject> {
  const { signal = new AbortController().signal } = call;
  if (signal.aborted) throw abortReason(signal);
  const response = await post(server, url, body, { ...call, signal });
  let text: string;
  try {
    text = await readText(server, response, limit);
  } catch (error) {
    if (signal.aborted) throw abortReason(signal);
    throw isWarmpathError(error) ? error : unreachable(server, error);
  }
  return parseObject(server, text);
}

/** A streamed answer's text as it comes, decoded across chunk borders, and how reading it ends. */
export interface TextStream {
  readonly chunks: AsyncGenerator<string, void, undefined>;
  /** True after `leave`. */
  readonly left: boolean;
  /** The protocol says that all is there: what the body still holds is read in the background, so its socket can be reused. */
  complete(): void;
  /** Ends the request at once, whatever it is waiting for; nothing is done after `complete`. */
  leave(): void;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/** How long the end of a complete answer may take to come before its socket is given up. */
const longestDrainMs = 1_000;

/** Asks for a streamed answer. Nothing is sent before the first chunk is asked for. */
export function postForText(server: ModelServer, url: URL, body: object, call: ModelCall = {}): TextStream {
  const link = linkAbort({ parents: [call.signal] });
  let left = false;
  let isComplete = false;
  let reader: Reader | undefined;
  const end = (): void => {
    if (isComplete) return;
    link.abort(new DOMException('The reader has left.', 'AbortError'));
    link.release();
  };
  async function* read(): AsyncGenerator<string, void, undefined> {
    const { signal } = link;
    try {
      if (signal.aborted) throw abortReason(signal);
      reader = await openBody(server, await post(server, url, body, { ...call, signal }));
      yield* decoded(server, reader, signal);
    } catch (error) {
      if (!left) throw error;
    } finally {
      end();
    }
  }
  return {
    chunks: read(),
    get left() {
      return left;
    },
    complete() {
      if (isComplete || !reader) return;
      isComplete = true;
      void drain(reader, link);
    },
    leave() {
      left = true;
      end();
    },
  };
}

async function drain(reader: Reader, link: LinkedAbort): Promise<void> {
  const timer = systemClock.schedule(longestDrainMs, () => link.abort(), { background: true });
  try {
    while (!(await reader.read()).done);
  } catch {
    // The answer is complete; only the reuse of its socket is lost.
  } finally {
    timer.cancel();
    link.release();
  }
}

async function openBody(server: ModelServer, response: Response): Promise<Reader> {
  const contentType = response.headers.get('content-type') ?? '';
  if (/^(?:text\/html|application\/json)\b/i.test(contentType)) {
    const answer = parseObject(server, await readText(server, response, longestErrorBody));
    throw inBandError(server, answer) ?? malformed(server, `a body of type ${contentType}`, '');
  }
  if (!response.body) throw malformed(server, 'an answer without a body', '');
  return response.body.getReader();
}

async function* decoded(
  server: ModelServer,
  reader: Reader,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  while (true) {
    let part: Awaited<ReturnType<Reader['read']>>;
    try {
      part = await reader.read();
    } catch (error) {
      throw signal.aborted ? abortReason(signal) : cutOff(server, error);
    }
    if (part.done) return;
    const text = decoder.decode(part.value, { stream: true });
    if (text) yield text;
  }
}

/**
 * An iterable of what `read` makes of a text stream; leaving it closes the request even while a chunk is awaited.
 * (A generator alone would first wait for that chunk.)
 */
export function leavable<Chunk>(
  open: () => TextStream,
  read: (text: TextStream) => AsyncGenerator<Chunk>,
): AsyncIterable<Chunk> {
  return {
    [Symbol.asyncIterator]() {
      const stream = open();
      const chunks = read(stream);
      return {
        next: () => chunks.next(),
        return: async () => {
          stream.leave();
          await chunks.return(undefined);
          await stream.chunks.return(undefined);
          return { done: true, value: undefined };
        },
      };
    },
  };
}

async function readText(server: ModelServer, response: Response, limit: number): Promise<string> {
  if (!response.body) return '';
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > limit) throw malformed(server, `an answer over ${limit} characters`, text);
  }
  return text + decoder.decode();
}

async function refusedBy(server: ModelServer, response: Response, signal: AbortSignal): Promise<Error> {
  let body = '';
  try {
    body = await readText(server, response, longestErrorBody);
  } catch {
    if (signal.aborted) return abortReason(signal);
    // The status says enough; a body that broke off or is too long adds nothing.
  }
  return refusal(server, response, body);
}
