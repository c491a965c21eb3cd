import type { Cache, CacheLevel, CacheOptions } from './cache/index.js';
import type { WarmpathEvent } from './events.js';
import {
  abortReason,
  badOption,
  type Clock,
  checkOptions,
  currentContext,
  joinSignals,
  linkAbort,
  type Random,
  type Rule,
  type Rules,
  remainingMs,
  rule,
  WarmpathError,
} from './kernel/index.js';
import {
  type ChatAnswer,
  type ChatChunk,
  type ChatMessage,
  type ChatModel,
  type ChatRequest,
  collectAnswer,
  type Passage,
} from './models/index.js';
import { type AttemptCall, type RetryOptions, retry, retryRules, withFallback } from './retry/index.js';
import { createSelector, noBackend, type Selector, type SelectorRule } from './selector/index.js';
import { meterStream } from './streaming/index.js';

/** A model with its share of the requests. */
export interface ChatBackend {
  readonly model: ChatModel;
  /** Its share relative to the others; 0 means only when all others have failed. Default 1. */
  readonly weight?: number;
  /** Whether it can take a request at all. Default: it can. */
  readonly when?: (request: ChatRequest) => boolean;
}

export interface ChatOptions {
  /** At least one; where several can take a request, weights choose the first and the rest are its fallbacks. */
  readonly models: readonly (ChatModel | ChatBackend)[];
  /** Fast paths: requests of one kind go to one model first, by its name. */
  readonly rules?: readonly SelectorRule<ChatRequest>[];
  /** Of each attempt at one model, up to its first chunk. Default: 3 attempts of 60 s at the most. */
  readonly retry?: Omit<RetryOptions, 'name' | 'signal' | 'clock' | 'random' | 'onEvent'>;
  /**
   * Of the answers, over the runtime's defaults; false: every question goes to a model. A request with a temperature above
   * 0 and no seed asks for variety and is never cached.
   */
  readonly cache?: false | Omit<CacheOptions, 'name' | 'clock' | 'onEvent'>;
}

/** Which layer answered: a cached answer, one under way for somebody else, or a model just now. */
export type AnswerLayer = Exclude<CacheLevel, 'computed'> | 'model';

interface AnswerOrigin {
  readonly layer: AnswerLayer;
  /** The name of the model that wrote the answer. */
  readonly model: string;
  /** Milliseconds since the answer was written; 0 for one that is being written. */
  readonly ageMs: number;
}

export interface StreamedAnswer extends AnswerOrigin {
  /** Iterate it once. Leaving early ends the call upstream when nobody else follows it. */
  readonly chunks: AsyncIterable<ChatChunk>;
}

/** The layered call: answers are cached, shared while under way, and asked for again elsewhere when a model fails. */
export interface Chat {
  /**
   * Resolves when the first chunk is there, so that whatever fails before it can still become a status; from then on the
   * model is settled. A failure after it is thrown by the iteration.
   * @throws the last model's error; WarmpathError `WP_NO_BACKEND` when none can take the request
   */
  stream(request: ChatRequest, call?: { readonly signal?: AbortSignal }): Promise<StreamedAnswer>;
  generate(request: ChatRequest, call?: { readonly signal?: AbortSignal }): Promise<ChatAnswer & AnswerOrigin>;
}

/** What is kept of an answer: its chunks, behind one that says who wrote it. */
type KeptChunk = ChatChunk | { readonly type: 'model'; readonly model: string; readonly fallback: boolean };

interface Surroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly report: (event: WarmpathEvent) => void;
  /** Undefined: nothing is cached. */
  readonly cache: Cache | undefined;
}

const chatRules: Rules<ChatOptions> = {
  models: rule.required(rule.arrayOf(rule.object, 1)),
  rules: rule.arrayOf(rule.object),
  retry: rule.object,
  cache: rule.either(rule.oneOf(false), rule.object),
};
const chatModel: Rule = {
  text: 'a chat model (an object with a name, stream(), generate())',
  allows: (value) =>
    rule.withMethods('', 'stream', 'generate').allows(value) && rule.text.allows((value as ChatModel).name),
};
const backendRules: Rules<ChatBackend> = {
  model: rule.required(chatModel),
  weight: rule.number(0),
  when: rule.function,
};

const message: Rule = {
  text: "{ role: 'system' | 'user' | 'assistant' | 'tool', content: string }",
  allows: (value) => {
    const { role, content } = Object(value) as Partial<ChatMessage>;
    return ['system', 'user', 'assistant', 'tool'].includes(role ?? '') && typeof content === 'string';
  },
};
const passage: Rule = {
  text: '{ id: string, title: string, text: string }',
  allows: (value) => {
    const { id, title, text } = Object(value) as Partial<Passage>;
    return [id, title, text].every((each) => typeof each === 'string');
  },
};
const requestRules: Rules<ChatRequest> = {
  messages: rule.required(rule.arrayOf(message, 1)),
  passages: rule.arrayOf(passage),
  temperature: rule.number(0),
  maxOutputTokens: rule.integer(1),
  seed: rule.integer(Number.MIN_SAFE_INTEGER),
  stop: rule.arrayOf(rule.text),
  images: rule.arrayOf({ text: 'the bytes of an image', allows: (value) => value instanceof Uint8Array }),
};

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkChat(options: ChatOptions): void {
  checkOptions('createWarmpath() chat', options, chatRules);
  checkOptions('createWarmpath() chat retry', options.retry, retryRules);
  const names = options.models.map((entry) => toBackend(entry).model.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw badOption('createWarmpath() chat', 'models', 'a list of models with different names', twice);
}

/**
 * The order of the layers for one question: the cache (memory, store, an answer under way), then the selector's ranking,
 * fallback along it, retries at each model, and the model itself. Retry and fallback end with the first chunk: what a
 * reader has seen is never said again in other words.
 */
export function createChat(options: ChatOptions, { clock, random, report, cache }: Surroundings): Chat {
  const backends = options.models.map(toBackend);
  const models = new Map(backends.map(({ model }) => [model.name, model]));
  const selector: Selector<ChatRequest> = createSelector({
    name: 'chat',
    backends: backends.map(({ model, ...rest }) => ({ name: model.name, ...rest })),
    ...(options.rules ? { rules: options.rules } : {}),
    random,
    onEvent: report,
  });
  const names = [...models.keys()];

  /** One answer from one model, begun: it has sent its first chunk. */
  async function begin(name: string, request: ChatRequest, attempt: AttemptCall, whole: AbortSignal) {
    const model = models.get(name);
    if (!model) throw noBackend('chat', names);
    // The attempt's signal ends with the first chunk; the answer's own signal stays for the rest.
    const signal = joinSignals(attempt.signal, whole) as AbortSignal;
    const chunks = metered(model.name, model.stream(request, { signal }), whole);
    const first = await chunks.next();
    if (first.done) throw incomplete(name);
    if (attempt.signal.aborted) {
      await chunks.return(undefined); // nobody waits for this attempt any more
      throw abortReason(attempt.signal);
    }
    return { chunks, first: first.value };
  }

  async function* metered(
    model: string,
    chunks: AsyncIterable<ChatChunk>,
    whole: AbortSignal,
  ): AsyncGenerator<ChatChunk> {
    let outputTokens: number | undefined;
    const watched = meterStream(complete(model, chunks), {
      clock,
      onEnd: ({ outcome, firstChunkMs, totalMs }) =>
        report({
          type: 'model.answered',
          model,
          outcome: whole.aborted ? 'aborted' : outcome, // a model fails when its readers leave in the middle of a chunk
          firstChunkMs,
          totalMs,
          outputTokens,
        }),
    });
    for await (const chunk of watched) {
      if (chunk.type === 'finish') outputTokens = chunk.usage?.outputTokens;
      yield chunk;
    }
  }

  async function* produce(request: ChatRequest, signal: AbortSignal): AsyncGenerator<KeptChunk> {
    const ranking = selector.rank(request).backends;
    if (ranking.length === 0) throw noBackend('chat', names);
    const steps = ranking.map((name) => ({
      name,
      run: () =>
        retry((attempt) => begin(name, request, attempt, signal), {
          timeout: '60s',
          ...options.retry,
          name,
          signal,
          clock,
          random,
          onEvent: report,
        }),
    }));
    const { value, step } = await withFallback(steps, { name: 'chat', signal, onEvent: report });
    const { first, chunks } = value;
    try {
      yield { type: 'model', model: step, fallback: step !== ranking[0] };
      yield first;
      yield* chunks;
    } finally {
      await chunks.return(undefined); // the reader may have left before the chunks were asked for
    }
  }

  async function stream(request: ChatRequest, call: { readonly signal?: AbortSignal } = {}): Promise<StreamedAnswer> {
    checkOptions('chat', request, requestRules);
    const kept =
      cache && !isSampled(request)
        ? await cache.stream<KeptChunk>([names, request], (computation) => produce(request, computation.signal), {
            ...call,
            isComplete: isWorthKeeping,
          })
        : { level: 'computed' as const, ageMs: 0, chunks: uncached(request, call.signal) };
    const chunks = kept.chunks[Symbol.asyncIterator]();
    const head = await chunks.next();
    if (head.done || head.value.type !== 'model') {
      await chunks.return?.();
      throw new TypeError('An answer must begin with its model');
    }
    const layer = kept.level === 'computed' ? 'model' : kept.level;
    return { layer, model: head.value.model, ageMs: kept.ageMs, chunks: answerOnly(chunks) };
  }

  async function* uncached(request: ChatRequest, signal: AbortSignal | undefined): AsyncGenerator<KeptChunk> {
    const parents = [signal, currentContext()?.signal];
    const whole = linkAbort({ parents, timeoutMs: remainingMs(clock), clock, what: 'The answer' });
    try {
      yield* produce(request, whole.signal);
    } finally {
      whole.abort(new DOMException('The reader left', 'AbortError'));
    }
  }

  return {
    stream,
    async generate(request, call) {
      const { layer, model, ageMs, chunks } = await stream(request, call);
      return { ...(await collectAnswer(chunks)), layer, model, ageMs };
    },
  };
}

/** @throws WarmpathError `WP_STREAM_INCOMPLETE` for a stream that ends without its finish chunk */
async function* complete(model: string, chunks: AsyncIterable<ChatChunk>): AsyncGenerator<ChatChunk> {
  let finished = false;
  for await (const chunk of chunks) {
    finished ||= chunk.type === 'finish';
    yield chunk;
  }
  if (!finished) throw incomplete(model);
}

function incomplete(model: string): WarmpathError {
  return new WarmpathError('WP_STREAM_INCOMPLETE', `The answer of model '${model}' ended without its finish chunk.`, {
    details: { model, retryable: true },
  });
}

/** A model may have a property called `model` too, so what it can do decides. */
function toBackend(entry: ChatModel | ChatBackend): ChatBackend {
  if ('stream' in entry) {
    if (chatModel.allows(entry)) return { model: entry };
  } else if ('model' in entry) {
    checkOptions('createWarmpath() chat model', entry, backendRules);
    return entry;
  }
  throw badOption('createWarmpath() chat', 'models', 'a list of chat models, or of { model, weight?, when? }', entry);
}

/** Asked for variety, a caller wants an answer of its own; with a seed it wants the same one again. */
function isSampled(request: ChatRequest): boolean {
  return (request.temperature ?? 0) > 0 && request.seed === undefined;
}

/** Only a whole answer of the model that was meant to give it: one cut short, or by a stand-in, is not asked for again. */
function isWorthKeeping(chunks: readonly KeptChunk[]): boolean {
  const [head] = chunks;
  const last = chunks.at(-1);
  return head?.type === 'model' && !head.fallback && last?.type === 'finish' && last.reason === 'stop';
}

function answerOnly(chunks: AsyncIterator<KeptChunk>): AsyncIterableIterator<ChatChunk> {
  return {
    async next() {
      for (;;) {
        const next = await chunks.next();
        if (next.done) return { done: true, value: undefined };
        if (next.value.type !== 'model') return { done: false, value: next.value };
      }
    },
    async return() {
      await chunks.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
