import {
  ambientRules,
  type Clock,
  currentContext,
  type Duration,
  durationMs,
  lowestPriority,
  type Rules,
  rule,
} from '../kernel/index.js';
import type { ExecutorOptions, GroupOptions, IterateOptions, RunAllOptions, TaskOptions } from './contract.js';

export const executorRules: Rules<ExecutorOptions> = {
  name: rule.text,
  maxConcurrent: rule.integer(1),
  maxWaiting: rule.integer(0),
  taskTimeout: rule.positiveDuration,
  aging: rule.duration,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

export const taskRules: Rules<TaskOptions> = {
  priority: rule.integer(0, lowestPriority),
  weight: rule.positive,
  cost: rule.positive,
  taskTimeout: rule.positiveDuration,
  timeout: rule.duration,
  signal: ambientRules.signal,
};

const groupRules: Rules<GroupOptions> = { ...taskRules, maxConcurrent: rule.integer(1) };

export const runAllRules: Rules<RunAllOptions> = {
  ...groupRules,
  mode: rule.oneOf('collect', 'fail-fast'),
  onProgress: rule.function,
};

export const iterateRules: Rules<IterateOptions> = {
  ...groupRules,
  window: rule.integer(1),
  order: rule.oneOf('source', 'done'),
};

export const fallbackRules: Rules<{ readonly name: string; readonly timeout?: Duration; readonly run: unknown }> = {
  name: rule.required(rule.text),
  timeout: rule.positiveDuration,
  run: rule.required(rule.function),
};

/** How urgent a task is and how long it may run, resolved. */
export interface Terms {
  readonly priority: number;
  readonly weight: number;
  readonly cost: number;
  /** Infinity: as long as it likes. */
  readonly taskTimeoutMs: number;
}

/** Whose task it is. */
export interface Caller {
  readonly tenant: string;
  readonly signal: AbortSignal | undefined;
  /** That of the call context. */
  readonly outerSignal: AbortSignal | undefined;
  /** Monotonic milliseconds. Infinity: never. */
  readonly deadline: number;
  /** Where there is a deadline. */
  readonly askedAt: number;
}

/** Of whoever has no context and asks for nothing. */
const anybody: Caller = {
  tenant: '',
  signal: undefined,
  outerSignal: undefined,
  deadline: Number.POSITIVE_INFINITY,
  askedAt: 0,
};

/** How urgent a task is and how long it may run: its options, or what the executor has for all. */
export function termsOf(options: TaskOptions | undefined, usual: Terms): Terms {
  if (options === undefined) return usual;
  const { priority = usual.priority, weight = usual.weight, cost = usual.cost, taskTimeout } = options;
  return {
    priority,
    weight,
    cost,
    taskTimeoutMs: taskTimeout === undefined ? usual.taskTimeoutMs : durationMs(taskTimeout),
  };
}

/** Who asks now: the signal of its options and that of the running call context, and the earlier deadline. */
export function callerOf(options: TaskOptions | undefined, clock: Clock): Caller {
  const context = currentContext();
  if (context === undefined && options === undefined) return anybody;
  const timeoutMs = options?.timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(options.timeout);
  const outerDeadline = context?.deadline ?? Number.POSITIVE_INFINITY;
  const isBounded = timeoutMs < Number.POSITIVE_INFINITY || outerDeadline < Number.POSITIVE_INFINITY;
  const askedAt = isBounded ? clock.now() : 0;
  const deadline = Math.min(outerDeadline, askedAt + timeoutMs);
  return { tenant: context?.tenant ?? '', signal: options?.signal, outerSignal: context?.signal, deadline, askedAt };
}
