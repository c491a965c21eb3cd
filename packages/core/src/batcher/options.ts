import {
  ambientRules,
  badOption,
  byteSizeOf,
  type Clock,
  checkOptions,
  durationMs,
  type Random,
  type Rules,
  rule,
  safeListener,
  systemClock,
  systemRandom,
} from '../kernel/index.js';
import type { BatcherOptions, FailureKind, LoadCall, StatedCap } from './contract.js';
import type { BatcherEvent } from './events.js';

export const batcherRules: Rules<BatcherOptions> = {
  name: rule.text,
  maxItems: rule.integer(1),
  weight: rule.function,
  maxWeight: rule.positive,
  maxBytes: rule.byteSize,
  window: rule.duration,
  maxConcurrent: rule.integer(1),
  maxWaiting: rule.integer(1),
  key: rule.either(rule.function, rule.oneOf(false)),
  scope: rule.oneOf('caller', 'shared'),
  apart: rule.function,
  timeout: rule.positiveDuration,
  attempts: rule.integer(1, 100),
  classify: rule.function,
  clock: ambientRules.clock,
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};

const callRules: Rules<LoadCall> = {
  signal: rule.withMethods('an AbortSignal', 'addEventListener', 'removeEventListener'),
  apart: rule.anything,
};

/** What is right costs next to nothing. @throws WarmpathError `WP_BAD_OPTION` */
export function checkCall(call: LoadCall): void {
  if (typeof call === 'object' && call !== null && isKnown(call)) {
    if (call.signal === undefined || call.signal instanceof AbortSignal) return;
  }
  checkOptions('load()', call, callRules);
}

function isKnown(call: LoadCall): boolean {
  for (const name in call) if (name !== 'signal' && name !== 'apart') return false;
  return true;
}

/** The options of a batcher, complete. What is undefined here is not wanted, and costs nothing. */
export interface BatcherConfig<Item, Key> {
  readonly name: string;
  readonly maxItems: number;
  readonly weight: ((item: Item) => number) | undefined;
  readonly maxWeight: number;
  readonly maxBytes: number;
  readonly windowMs: number;
  readonly maxConcurrent: number;
  readonly maxWaiting: number;
  readonly key: ((item: Item) => Key) | false | undefined;
  readonly isShared: boolean;
  readonly apart: ((item: Item) => unknown) | undefined;
  readonly timeoutMs: number;
  readonly attempts: number;
  readonly classify: ((error: unknown, items: readonly Item[]) => FailureKind | StatedCap | undefined) | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly onEvent: ((event: BatcherEvent) => void) | undefined;
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function resolveOptions<Item, Key>(options: BatcherOptions<Item, Key>): BatcherConfig<Item, Key> {
  checkOptions('createBatcher()', options, batcherRules as Rules<BatcherOptions<Item, Key>>);
  const { name = 'batcher', maxItems = 32, weight, maxWeight = Number.POSITIVE_INFINITY, maxBytes } = options;
  const { window = '50ms', maxConcurrent = 16, maxWaiting = 100_000, key, scope = 'caller', apart, timeout } = options;
  const { attempts = 2, classify, clock = systemClock, random = systemRandom, onEvent } = options;
  if (options.maxWeight !== undefined && weight === undefined) {
    throw badOption(
      'createBatcher()',
      'weight',
      "given with 'maxWeight': a function that says what an item weighs",
      weight,
    );
  }
  return {
    name,
    maxItems,
    weight,
    maxWeight,
    maxBytes: maxBytes === undefined ? Number.POSITIVE_INFINITY : byteSizeOf(maxBytes),
    windowMs: durationMs(window),
    maxConcurrent,
    maxWaiting,
    key,
    isShared: scope === 'shared',
    apart,
    timeoutMs: timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(timeout),
    attempts,
    classify,
    clock,
    random,
    onEvent: safeListener(onEvent),
  };
}
