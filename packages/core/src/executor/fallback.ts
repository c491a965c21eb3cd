import {
  abortReason,
  badOption,
  checkOptions,
  createLedger,
  currentContext,
  durationMs,
  isRetryable,
  nonRetryable,
  rule,
  runInContext,
} from '../kernel/index.js';
import type { FallbackFailure, FallbackResult, FallbackStepOf } from './contract.js';
import type { Groups } from './group.js';
import { Job } from './job.js';
import { callerOf, fallbackRules, type Terms } from './options.js';
import { lateError } from './refusals.js';
import { namedErrors } from './report.js';
import type { ExecutorTask } from './task.js';

interface Step {
  readonly name: string;
  readonly run: ExecutorTask<unknown>;
  readonly taskTimeoutMs: number;
}

const stepText = 'a function, or an object with a name and a function to run';

/** `Executor.runWithFallback`. */
export async function runWithFallback(
  { clock, name, scheduler }: Groups,
  usual: Terms,
  given: readonly FallbackStepOf<unknown>[],
): Promise<FallbackResult<unknown>> {
  if (given.length === 0) throw badOption('runWithFallback()', 'primary', stepText, undefined);
  const steps = given.map((step, index) => stepOf(step, index, usual.taskTimeoutMs));
  const caller = callerOf(undefined, clock);
  const { ledger = createLedger(), budget } = currentContext() ?? {};
  const failures: FallbackFailure[] = [];
  for (const step of steps) {
    const terms = { ...usual, taskTimeoutMs: step.taskTimeoutMs };
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job = new Job(step.run, terms, caller, false, resolve, reject);
    runInContext({ ledger }, () => scheduler.submit(job));
    try {
      return { value: await promise, step: step.name, failures };
    } catch (error) {
      // Where it never ran, no other way would: the caller has left, its time is up, or there is no place for any.
      if (job.end !== 'rejected' && job.end !== 'timed-out') throw error;
      if (caller.outerSignal?.aborted) throw abortReason(caller.outerSignal);
      if (caller.deadline <= clock.now()) throw job.end === 'timed-out' ? error : lateError(name, caller);
      failures.push({ step: step.name, error });
      const isLast = failures.length === steps.length;
      if (isLast || ledger.used >= ledger.limit || budget?.withdraw('fallback') === false) break;
    }
  }
  const errors = failures.map(({ step, error }) => ({ name: step, error }));
  const what = `${failures.length} of ${steps.length} steps of executor '${name}' were tried, and failed`;
  const all = namedErrors(what, errors);
  throw failures.some(({ error }) => isRetryable(error)) ? all : nonRetryable(all);
}

function stepOf(given: FallbackStepOf<unknown>, index: number, usualMs: number): Step {
  const unnamed = index === 0 ? 'primary' : `fallback-${index}`;
  if (typeof given === 'function') return { name: given.name || unnamed, run: given, taskTimeoutMs: usualMs };
  if (!rule.object.allows(given)) throw badOption('runWithFallback()', unnamed, stepText, given);
  checkOptions(`runWithFallback() ${unnamed}`, given, fallbackRules);
  const { name, run, timeout } = given;
  return { name, run, taskTimeoutMs: timeout === undefined ? usualMs : durationMs(timeout) };
}
