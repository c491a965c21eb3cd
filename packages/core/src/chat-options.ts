import type { CacheOptions } from './cache/index.js';
import { badOption, checkOptions, type Rule, type Rules, rule } from './kernel/index.js';
import { checkLimiter, type LimiterOptions } from './limiter/index.js';
import type { ChatMessage, ChatModel, ChatRequest, Passage } from './models/index.js';
import { type BreakerOptions, breakerRules, type RetryOptions, retryRules } from './retry/index.js';
import type { SelectorRule } from './selector/index.js';

/** A model with its share of the requests. */
export interface ChatBackend {
  readonly model: ChatModel;
  /** Its share relative to the others; 0 means only when all others have failed. Default 1. */
  readonly weight?: number;
  /** Whether it can take a request at all. Default: it can. */
  readonly when?: (request: ChatRequest) => boolean;
  /**
   * What its provider allows: requests, `inputTokens`, `outputTokens`, `tokens`, at the same time. Each attempt reserves what it
   * is expected to cost and pays what it has cost; one that would wait for longer than `timeout` (here by default 10 s) goes to
   * the next model.
   */
  readonly limits?: Omit<LimiterOptions, 'name' | 'clock' | 'random' | 'onEvent'>;
}

export interface ChatOptions {
  /** At least one; where several can take a request, weights choose the first and the rest are its fallbacks. */
  readonly models: readonly (ChatModel | ChatBackend)[];
  /** Fast paths: requests of one kind go to one model first, by its name. */
  readonly rules?: readonly SelectorRule<ChatRequest>[];
  /** Of each attempt at one model, up to its first chunk. Default: 3 attempts of 60 s at the most. */
  readonly retry?: Omit<RetryOptions, 'name' | 'clock' | 'random' | 'onEvent'>;
  /**
   * Of each model (`warmpath.breaker(model.name)`): one that fails again and again is left alone for a while, and the next one is asked at once.
   * False: every question is tried at every model.
   */
  readonly breaker?: false | Omit<BreakerOptions, 'name' | 'clock' | 'random' | 'onEvent'>;
  /**
   * Of the answers, over the runtime's defaults; false: every question goes to a model. A request with a temperature above
   * 0 and no seed asks for variety and is never cached.
   */
  readonly cache?: false | Omit<CacheOptions, 'name' | 'clock' | 'onEvent'>;
}

const chatRules: Rules<ChatOptions> = {
  models: rule.required(rule.arrayOf(rule.object, 1)),
  rules: rule.arrayOf(rule.object),
  retry: rule.object,
  breaker: rule.either(rule.oneOf(false), rule.object),
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
  limits: rule.object,
};

/** What an answer is known to have cost. */
const countedUnits: readonly string[] = ['requests', 'tokens', 'inputTokens', 'outputTokens', 'concurrency'];

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
  if (options.breaker) checkOptions('createWarmpath() chat breaker', options.breaker, breakerRules);
  const backends = options.models.map(toBackend);
  const names = backends.map(({ model }) => model.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw badOption('createWarmpath() chat', 'models', 'a list of models with different names', twice);
  for (const { model, limits } of backends) if (limits) checkLimits(model.name, limits);
}

/** A limit on what nobody counts would let everything through. */
function checkLimits(model: string, limits: NonNullable<ChatBackend['limits']>): void {
  const where = `createWarmpath() chat model '${model}' limits`;
  const uncounted = checkLimiter({ ...limits, name: model }, where).find(({ unit }) => !countedUnits.includes(unit));
  if (!uncounted) return;
  const units = countedUnits.map((unit) => `'${unit}'`).join(', ');
  throw badOption(where, 'unit', `one of ${units}, which are counted for each answer`, uncounted.unit);
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkRequest(request: ChatRequest): void {
  checkOptions('chat', request, requestRules);
}

/** A model may have a property called `model` too, so what it can do decides. */
export function toBackend(entry: ChatModel | ChatBackend): ChatBackend {
  if ('stream' in entry) {
    if (chatModel.allows(entry)) return { model: entry };
  } else if ('model' in entry) {
    checkOptions('createWarmpath() chat model', entry, backendRules);
    return entry;
  }
  throw badOption(
    'createWarmpath() chat',
    'models',
    'a list of chat models, or of { model, weight?, when?, limits? }',
    entry,
  );
}
