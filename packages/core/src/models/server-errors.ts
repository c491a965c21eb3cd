import { isQuotaSpent, parseRetryAfter, WarmpathError } from '../kernel/index.js';
import type { FetchLike } from './chat-model.js';

/** A model behind an address: what its adapter needs to ask it and to name it in errors. */
export interface ModelServer {
  /** As in errors and in `ChatModel.name`. */
  readonly name: string;
  readonly fetch: FetchLike;
  readonly headers: Readonly<Record<string, string>>;
  /** Never to be seen in an error. */
  readonly apiKey: string | undefined;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** One JSON object of a protocol. @throws WarmpathError `WP_MODEL_RESPONSE` for anything else, quoting how it begins */
export function parseObject(server: ModelServer, text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed(server, 'something that is not JSON', text);
  }
  const object = asObject(value);
  if (!object) throw malformed(server, 'JSON that is not an object', text);
  return object;
}

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** Statuses after which the same request may succeed (RFC 9110 section 15; 409 is how some servers say "locked"). */
function isRetryable(status: number): boolean {
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

/** An answer with an error status. */
export function refusal(server: ModelServer, response: Response, body: string): WarmpathError {
  const { status } = response;
  const retryAfterMs = parseRetryAfter((name) => response.headers.get(name));
  const object = jsonIn(body);
  const said = shortened(server, messageIn(object, body));
  return new WarmpathError('WP_MODEL_REQUEST', `${server.name} answered with ${status}${said && `: ${said}`}.`, {
    details: {
      model: server.name,
      status,
      retryable: isRetryable(status) && !(status === 429 && isQuotaSpent({ ...object, body })),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  });
}

/** The error that a server reports inside an answer that began well, or undefined when the object is not one. */
export function inBandError(server: ModelServer, object: JsonObject): WarmpathError | undefined {
  if (!object.error) return undefined;
  const error = asObject(object.error) ?? { message: object.error };
  const status = asCount(error.status) ?? asCount(error.code);
  const kind = `${asText(error.type)} ${asText(error.code)}`;
  const isOurs = /invalid|auth|permission|not_found|quota|content|policy/.test(kind);
  const said = shortened(server, asText(error.message) || JSON.stringify(error));
  return new WarmpathError('WP_MODEL_REQUEST', `${server.name} reported an error in its answer: ${said}.`, {
    details: {
      model: server.name,
      retryable: (status === undefined ? !isOurs : isRetryable(status)) && !isQuotaSpent({ error }),
      ...(status !== undefined && { status }),
    },
  });
}

/** No answer at all, or one that broke off before it could be read. */
export function unreachable(server: ModelServer, error: unknown): WarmpathError {
  return new WarmpathError('WP_MODEL_REQUEST', `${server.name} could not be reached.`, {
    details: { model: server.name, retryable: true },
    ...harmlessCause(server, error),
  });
}

/** The stream stopped before its protocol says that it is over. */
export function cutOff(server: ModelServer, error?: unknown): WarmpathError {
  return new WarmpathError('WP_STREAM_INCOMPLETE', `The answer of ${server.name} ended before it was complete.`, {
    details: { model: server.name, retryable: true },
    ...(error !== undefined && harmlessCause(server, error)),
  });
}

export function malformed(server: ModelServer, what: string, text: string): WarmpathError {
  const quote = shortened(server, text, 120);
  return new WarmpathError('WP_MODEL_RESPONSE', `${server.name} sent ${what}${quote && `: ${quote}`}.`, {
    details: { model: server.name, retryable: true },
  });
}

function harmlessCause({ apiKey }: ModelServer, error: unknown): { cause?: unknown } {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (apiKey && (link.message.includes(apiKey) || link.stack?.includes(apiKey))) return {};
  }
  return { cause: error };
}

const longestMessage = 300;

function shortened({ apiKey }: ModelServer, text: string, limit: number = longestMessage): string {
  const clean = (apiKey ? text.replaceAll(apiKey, '[secret]') : text).replace(/\s+/g, ' ').trim().replace(/\.$/, '');
  return clean.length <= limit ? clean : `${clean.slice(0, limit - 3)}...`;
}

/** The message in an error body: `{error: {message}}`, `{error: '...'}`, `{message}`, or the text itself. */
function messageIn(object: JsonObject | undefined, body: string): string {
  const message = asText(asObject(object?.error)?.message) || asText(object?.error) || asText(object?.message);
  return message || (!object && /^\s*</.test(body) ? '' : body); // a page of HTML says less than the status
}

function jsonIn(body: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(body));
  } catch {
    return undefined;
  }
}
