import { describe, expect, it } from 'vitest';
import { nonRetryable, WarmpathError } from '../kernel/index.js';
import { classifyFailure, type FailureKind } from './index.js';

/** As clients throw it: with the status, or whatever else they keep in it. */
function failing(message: string, more: object = {}): Error {
  return Object.assign(new Error(message), more);
}

const wrapped = (cause: unknown): Error => new Error('embedding failed', { cause });

describe('a refusal that states a cap', () => {
  it.each<[string, number, string, { maxItems?: number; maxWeight?: number }]>([
    [
      'OpenAI',
      400,
      "400 Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length 2050 instead.",
      { maxItems: 2048 },
    ],
    ['OpenAI', 400, '400 Requested 341186 tokens, max 300000 tokens per request', { maxWeight: 300_000 }],
    ['Azure', 400, 'Too many inputs for model None. The max number of inputs is 16. We hope to', { maxItems: 16 }],
    ['Text Embeddings Inference', 422, 'batch size 64 > maximum allowed batch size 32', { maxItems: 32 }],
    ['SiliconFlow', 413, 'input batch size 136 > maximum allowed batch size 64', { maxItems: 64 }],
    ['Cohere', 400, 'invalid request: total number of texts must be at most 96 - received 131', { maxItems: 96 }],
    [
      'Gemini',
      400,
      '* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch',
      { maxItems: 100 },
    ],
    [
      'Vertex',
      400,
      'Unable to submit request because the input token count is 24177 but model only supports up to 20000. Reduce the input token count and try again.',
      { maxWeight: 20_000 },
    ],
    [
      'Voyage',
      400,
      "Request to model 'voyage-3-large' failed. The max allowed tokens per submitted batch is 120000. Your batch has 124302 tokens after truncation.",
      { maxWeight: 120_000 },
    ],
    ['Voyage', 400, 'The batch size limit is 128. Your batch size is 129.', { maxItems: 128 }],
    ['Mistral', 400, 'Too many tokens in batch. Max is 16384 got 20190', { maxWeight: 16_384 }],
    [
      'Bedrock',
      400,
      'Malformed input request: expected maximum item count: 96, found: 97, please reformat your input and try again.',
      { maxItems: 96 },
    ],
    ['DashScope', 400, 'Value error, batch size is invalid, it should not be larger than 10.', { maxItems: 10 }],
    ['pydantic', 422, 'List should have at most 1,024 items after validation, not 1025', { maxItems: 1_024 }],
  ])('of %s with %i is of the composition, with it', (_, status, message, cap) => {
    expect(classifyFailure(failing(message, { status }))).toEqual({ kind: 'composition', ...cap });
    expect(classifyFailure(new Error(message))).toEqual({ kind: 'composition', ...cap });
    expect(classifyFailure(wrapped(failing(message, { statusCode: status })))).toEqual({ kind: 'composition', ...cap });
  });
});

describe('a refusal of the items', () => {
  it.each<[string, number, string]>([
    ['OpenAI', 400, "This model's maximum context length is 8192 tokens, however you requested 20130 tokens"],
    ['OpenAI', 400, "'$.input' is invalid. Please check the API reference"],
    ['OpenAI', 400, "Invalid 'input[3]': string too long. Expected a string with maximum length 10, but got 12."],
    ['Text Embeddings Inference', 413, 'Input validation error: `inputs` must have less than 512 tokens. Given: 534'],
    ['axum', 413, 'Failed to buffer the request body: length limit exceeded'],
    ['Ollama', 400, 'the input length exceeds the context length'],
    ['llama.cpp', 500, 'input (1025 tokens) is too large to process. increase the physical batch size'],
    ['llama.cpp', 500, 'decoding exceeds the available context size. try increasing the context size.'],
    ['Cohere', 400, 'too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292'],
    ['Gemini', 400, 'Request payload size exceeds the limit: 4194304 bytes.'],
    ['torch', 500, 'CUDA out of memory. Tried to allocate 2.00 GiB'],
    ['Text Embeddings Inference', 424, 'DriverError(CUDA_ERROR_OUT_OF_MEMORY, "oom")'],
    ['anything', 422, ''],
  ])('by %s with %i is of the composition and states no cap', (_, status, message) => {
    expect(classifyFailure(failing(message, { status }))).toBe('composition');
  });

  it.each([
    'too many tokens',
    'input is too long',
    'CUDA out of memory',
    'worker ran OOM',
    'exceeds the maximum context of 512',
    'batch size must not be 40',
  ])('is known by words where there is no status: %s', (message) => {
    expect(classifyFailure(new Error(message))).toBe('composition');
  });

  it('is a RangeError, where something is too large for the platform', () => {
    expect(classifyFailure(new RangeError('Invalid string length exceeded'))).toBe('composition');
  });

  it('is a response too large, which fewer items make smaller', () => {
    expect(classifyFailure(new WarmpathError('WP_RESPONSE_TOO_LARGE', 'over 64 MiB'))).toBe('composition');
  });
});

describe('what a status says', () => {
  it.each<[number, FailureKind]>([
    [400, 'composition'],
    [401, 'global'],
    [402, 'global'],
    [403, 'global'],
    [404, 'global'],
    [405, 'global'],
    [408, 'transient'],
    [413, 'composition'],
    [422, 'composition'],
    [424, 'unknown'],
    [429, 'transient'],
    [498, 'global'],
    [500, 'transient'],
    [501, 'global'],
    [502, 'transient'],
    [503, 'transient'],
    [504, 'transient'],
    [520, 'transient'],
    [524, 'transient'],
    [529, 'transient'],
  ])('of %i is the same wherever a client keeps it: %s', (status, kind) => {
    const places = [
      { status },
      { statusCode: status },
      { status_code: status },
      { response: { status } },
      { $metadata: { httpStatusCode: status } },
    ];
    for (const place of places) {
      expect(classifyFailure(failing('no', place))).toBe(kind);
      expect(classifyFailure(wrapped(failing('no', place)))).toBe(kind);
    }
    expect(classifyFailure(new WarmpathError('WP_MODEL_REQUEST', 'no', { details: { status } }))).toBe(kind);
  });

  it.each([
    ['Gemini: API key not valid. Please pass a valid API key.'],
    ['Gemini: User location is not supported for the API use.'],
    ['Ollama: this model does not support embeddings'],
    ["Voyage: Model 'voyage-9' is not supported."],
  ])('of 400 is not that of the items where it is about the caller: %s', (message) => {
    expect(classifyFailure(failing(message, { status: 400 }))).toBe('global');
  });

  it('counts where it is one of failure', () => {
    expect(classifyFailure(failing('no', { status: 'failed' }))).toBe('unknown');
    expect(classifyFailure(failing('no', { status: 'failed', statusCode: 503 }))).toBe('transient');
  });
});

describe('trouble of the network', () => {
  it.each([
    'ECONNRESET',
    'ECONNREFUSED',
    'ECONNABORTED',
    'EPIPE',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ETIMEDOUT',
    'EAI_AGAIN',
    'ENOTFOUND',
    'UND_ERR_SOCKET',
    'UND_ERR_CONNECT_TIMEOUT',
    'UND_ERR_HEADERS_TIMEOUT',
  ])('is transient: %s, of the error, of its cause, of the cause of that', (code) => {
    const socket = failing('broken', { code });
    const fetched = new TypeError('fetch failed', { cause: socket });
    for (const error of [socket, fetched, wrapped(fetched)]) expect(classifyFailure(error)).toBe('transient');
  });

  it.each([
    new DOMException('The operation was aborted due to timeout', 'TimeoutError'),
    new Error('Request timed out.'),
    new Error('timeout of 1000ms exceeded: deadline'),
    new Error('Rate limit exceeded, try again later'),
    new WarmpathError('WP_MODEL_REQUEST', 'could not be reached', { details: { retryable: true } }),
    new WarmpathError('WP_STREAM_INCOMPLETE', 'cut off', { details: { retryable: true } }),
    new WarmpathError('WP_DEADLINE', 'late'),
    new WarmpathError('WP_RATE_LIMITED', 'full', { details: { retryAfterMs: 100 } }),
    new WarmpathError('WP_OVERLOADED', 'full'),
    new WarmpathError('WP_BREAKER_OPEN', 'left alone', { details: { retryAfterMs: 100 } }),
    new WarmpathError('WP_HTTP_FAILED', 'broke off', { cause: failing('reset', { code: 'ECONNRESET' }) }),
    new WarmpathError('WP_HTTP_STATUS', 'answered with 503', { details: { status: 503 } }),
  ])('and time are transient as well: %s', (error) => {
    expect(classifyFailure(error)).toBe('transient');
  });

  it.each(['ENOENT', 'EACCES', 'ERR_INVALID_ARG_TYPE', 'UND_ERR_INVALID_ARG', 'UND_ERR_NOT_SUPPORTED'])(
    'is not what other codes say: %s',
    (code) => {
      expect(classifyFailure(failing('broken', { code }))).toBe('unknown');
    },
  );
});

describe('what no item can help', () => {
  it.each([
    new TypeError("Cannot read properties of undefined (reading 'data')"),
    new ReferenceError('x is not defined'),
    new SyntaxError('Unexpected token <'),
    new DOMException('This operation was aborted', 'AbortError'),
    new WarmpathError('WP_BAD_OPTION', 'no'),
    new WarmpathError('WP_BATCH_MISMATCH', 'got 2 items and returned 1'),
    nonRetryable(new Error('the budget of the day is spent')),
    nonRetryable(failing('busy', { status: 503 })),
    failing('busy', { status: 503, retryable: false }),
    failing('gone', { status: 410 }),
    failing('Rate limit reached on tokens per day (TPD)', { status: 429 }),
    new WarmpathError('WP_HTTP_FAILED', 'not reached', { cause: failing('expired', { code: 'CERT_HAS_EXPIRED' }) }),
  ])('is global: %s', (error) => {
    expect(classifyFailure(error)).toBe('global');
  });

  it('is not what an error says of its items, though it is marked against repeats', () => {
    expect(classifyFailure(nonRetryable(failing('bad input', { status: 400 })))).toBe('composition');
  });
});

describe('what says nothing of itself', () => {
  it.each([new Error('boom'), new Error(''), 'boom', undefined, null, { status: 400 }, new RangeError('index')])(
    'is unknown: %s',
    (error) => {
      expect(classifyFailure(error)).toBe('unknown');
    },
  );

  it('ends where errors cause each other', () => {
    const one = new Error('one');
    one.cause = new Error('two', { cause: one });
    expect(classifyFailure(one)).toBe('unknown');
  });
});
