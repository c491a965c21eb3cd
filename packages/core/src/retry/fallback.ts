import {
  abortReason,
  ambientRules,
  badOption,
  checkOptions,
  createLedger,
  currentContext,
  joinSignals,
  type Rules,
  rule,
  runInContext,
  safeListener,
  WarmpathError,
} from '../kernel/index.js';

/** One way to get the answer. */
export interface FallbackStep<T> {
  readonly name: string;
  run(call: { readonly signal: AbortSignal | undefined }): Promise<T>;
}

export interface FallbackOptions {
  readonly name?: string;
  /** Whether an error is a reason to go on to the next step. Default: every error but the caller's own leaving. */
  readonly when?: (error: unknown) => boolean;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: FallbackEvent) => void;
}

export interface FallbackEvent {
  readonly type: 'fallback.used';
  readonly name: string;
  readonly failed: string;
  readonly next: string;
  readonly error: unknown;
}

const rules: Rules<FallbackOptions> = {
  name: rule.text,
  when: rule.function,
  signal: ambientRules.signal,
  onEvent: ambientRules.onEvent,
};
const stepList = rule.arrayOf(rule.withMethods('a step', 'run'));

/**
 * The outcome of the first step that works; each failure leads to the next step, while the call's ledger has attempts left.
 * When no step is left the last error is thrown as it came; each one before it is in an event. A caller who left gets its
 * own reason and no step begins after that.
 * @throws WarmpathError `WP_BAD_OPTION`; `WP_NO_BACKEND` when there is no step
 */
export async function withFallback<T>(
  steps: readonly FallbackStep<T>[],
  options: FallbackOptions = {},
): Promise<{ readonly value: T; readonly step: string }> {
  checkOptions('withFallback()', options, rules);
  if (!stepList.allows(steps)) throw badOption('withFallback()', 'steps', stepList.text, steps);
  const { name = 'fallback', when = () => true, onEvent } = options;
  const signal = joinSignals(options.signal, currentContext()?.signal);
  const ledger = currentContext()?.ledger ?? createLedger();
  const report = safeListener(onEvent);
  for (const [index, step] of steps.entries()) {
    if (signal?.aborted) throw abortReason(signal);
    try {
      return { value: await runInContext({ ledger }, () => step.run({ signal })), step: step.name };
    } catch (error) {
      const next = steps[index + 1];
      if (signal?.aborted) throw abortReason(signal);
      if (!next || !when(error) || ledger.used >= ledger.limit) throw error;
      report?.({ type: 'fallback.used', name, failed: step.name, next: next.name, error });
    }
  }
  throw new WarmpathError('WP_NO_BACKEND', `'${name}' has no step to run.`, { details: { name } });
}
