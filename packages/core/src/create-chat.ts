import { type BegunAnswer, beginAnswer } from './begin-answer.js';
import type { Cache, CacheLevel } from './cache/index.js';
import { type ChatOptions, checkRequest, toBackend } from './chat-options.js';
import type { WarmpathEvent } from './events.js';
import {
  type AttemptBudget,
  type Clock,
  currentContext,
  isWarmpathError,
  linkAbort,
  type Random,
  remainingMs,
} from './kernel/index.js';
import type { Limiter } from './limiter/index.js';
import {
  type ChatAnswer,
  type ChatChunk,
  type ChatModel,
  type ChatRequest,
  collectAnswer,
  type ModelCall,
} from './models/index.js';
import { payFor } from './paid-answer.js';
import {
  type AttemptCall,
  type BreakerPolicy,
  FallbackError,
  type FallbackResult,
  fallback,
  type Policy,
  retry,
  wrap,
} from './retry/index.js';
import { createSelector, noBackend, type Selector } from './selector/index.js';

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
   * @throws the model's error, of several a `FallbackError`; WarmpathError `WP_NO_BACKEND` when none can take the request
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
  /** Of what is tried again, here or elsewhere. */
  readonly budget: AttemptBudget;
  /** Of the models that have limits, by name. */
  readonly limiters: ReadonlyMap<string, Limiter>;
  /** By model; empty where there are none. */
  readonly breakers: ReadonlyMap<string, BreakerPolicy>;
}

/**
 * The order of the layers for one question: the cache (memory, store, an answer under way), then the selector's ranking,
 * fallback along it, retries at each model, the model's limits, and the model itself. Retry and fallback end with the first
 * chunk: what a reader has seen is never said again in other words.
 */
export function createChat(
  options: ChatOptions,
  { clock, random, report, cache, limiters, breakers, budget }: Surroundings,
): Chat {
  const backends = options.models.map(toBackend);
  const models = new Map(backends.map(({ model }) => [model.name, model]));
  const selector: Selector<ChatRequest> = createSelector({
    name: 'chat',
    backends: backends.map(({ model, limits: _, ...rest }) => ({ name: model.name, ...rest })),
    ...(options.rules ? { rules: options.rules } : {}),
    random,
    onEvent: report,
  });
  const names = [...models.keys()];
  const identities = backends.map(({ model: { name, version } }) => (version === undefined ? name : [name, version]));

  const { timeout = '60s', ...tries } = options.retry ?? {};
  const policies = new Map(
    names.map((name) => {
      const again = retry({ budget, ...tries, timeout, name, clock, random, onEvent: report });
      const breaker = breakers.get(name);
      return [name, breaker ? wrap(again, breaker) : again];
    }),
  );
  const chain = fallback({ name: 'chat', budget, clock, onEvent: report });

  function policyOf(name: string): Policy {
    const policy = policies.get(name);
    if (!policy) throw noBackend('chat', names);
    return policy;
  }

  function modelOf(name: string): ChatModel {
    const model = models.get(name);
    if (!model) throw noBackend('chat', names);
    return model;
  }

  /** Each physical attempt pays. */
  function begin(name: string, request: ChatRequest, attempt: AttemptCall, whole: AbortSignal): Promise<BegunAnswer> {
    const ask = (call?: Pick<ModelCall, 'onResponse'>): Promise<BegunAnswer> =>
      beginAnswer(modelOf(name), request, attempt, whole, { clock, report }, call);
    const limiter = limiters.get(name);
    return limiter ? payFor({ limiter, model: name, request, signal: attempt.signal, clock }, ask) : ask();
  }

  async function* produce(request: ChatRequest, signal: AbortSignal): AsyncGenerator<KeptChunk> {
    const ranking = selector.rank(request).backends;
    if (ranking.length === 0) throw noBackend('chat', names);
    const steps = ranking.map((name) => ({
      name,
      run: (call: AttemptCall) => policyOf(name)((attempt) => begin(name, request, attempt, signal), call),
    }));
    const { value, step } = await answeredBy(chain(steps, { signal }));
    const { first, chunks } = value;
    try {
      yield { type: 'model', model: step, fallback: step !== ranking[0] };
      yield first;
      yield* chunks;
    } catch (error) {
      if (!signal.aborted) breakers.get(step)?.record({ ok: false, error });
      throw error;
    } finally {
      await chunks.return(undefined); // the reader may have left before the chunks were asked for
    }
  }

  async function stream(request: ChatRequest, call: { readonly signal?: AbortSignal } = {}): Promise<StreamedAnswer> {
    checkRequest(request);
    const kept =
      cache && !isSampled(request)
        ? await cache.stream<KeptChunk>([identities, request], (computation) => produce(request, computation.signal), {
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

  async function generate(
    request: ChatRequest,
    call?: { readonly signal?: AbortSignal },
  ): Promise<ChatAnswer & AnswerOrigin> {
    const { layer, model, ageMs, chunks } = await stream(request, call);
    return { ...(await collectAnswer(chunks)), layer, model, ageMs };
  }

  return {
    stream,
    async generate(request, call) {
      try {
        return await generate(request, call);
      } catch (error) {
        // The process that wrote it has died. Nobody has seen a word of it here, so another one does as well.
        if (isWarmpathError(error, 'WP_STREAM_LOST')) return generate(request, call);
        throw error;
      }
    },
  };
}

/** Where one model alone was asked, its error says all. */
async function answeredBy(chain: Promise<FallbackResult<BegunAnswer>>): Promise<FallbackResult<BegunAnswer>> {
  try {
    return await chain;
  } catch (error) {
    throw error instanceof FallbackError && error.failures.length === 1 ? error.errors[0] : error;
  }
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
