import {
  ambientRules,
  badOption,
  checkOptions,
  currentContext,
  durationMs,
  linkAbort,
  type Rules,
  remainingMs,
  rule,
  safeListener,
  systemClock,
} from '../../kernel/index.js';
import type {
  Pipeline,
  PipelineCall,
  PipelineOptions,
  PipelineReport,
  PipelineRun,
  PipelineStart,
} from './contract.js';
import { Execution } from './execution.js';
import { type Step, type StepDefinition, withStep } from './graph.js';

type Results = Readonly<Record<string, unknown>>;

const optionRules: Rules<PipelineOptions> = {
  executor: rule.withMethods('an executor', 'run'),
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};
const callRules: Rules<PipelineCall> = { ...optionRules, signal: ambientRules.signal, timeout: rule.positiveDuration };

/**
 * A small graph of steps that depend on each other: `pipeline<{ question: string }>('answer').step(...).step(...)`. It is
 * immutable and may be run as often as one likes, also at the same time.
 * @param options those of one run, given to `run`, count before these
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function pipeline<Input = void>(
  name: string,
  options: PipelineOptions = {},
): PipelineStart<Input, Record<never, never>> {
  if (!rule.text.allows(name)) throw badOption('pipeline()', 'name', rule.text.text, name);
  checkOptions('pipeline()', options, optionRules);
  return built(name, { ...options }, []) as Pipeline<Input, Record<never, never>>;
}

/** The types of results are known to the builder's interface alone. */
function built(name: string, options: PipelineOptions, steps: readonly Step[]): Pipeline<unknown, Results> {
  const runSettled = (input: unknown, call: PipelineCall = {}): Promise<PipelineReport<Results>> => {
    const where = `pipeline '${name}'`;
    checkOptions(where, call, callRules);
    if (steps.length === 0) throw badOption(where, 'step', 'defined once at least before the run', undefined);
    const { executor = options.executor, clock = options.clock ?? systemClock, onEvent = options.onEvent } = call;
    const timeoutMs = call.timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(call.timeout);
    const caller = linkAbort({ parents: [call.signal, currentContext()?.signal] });
    const limitMs = Math.min(timeoutMs, remainingMs(clock));
    return new Execution(name, steps, { input, caller, limitMs, executor, clock }, safeListener(onEvent)).run();
  };
  return {
    name,
    step: (stepName: string, definition: StepDefinition) =>
      built(name, options, withStep(name, steps, stepName, definition)),
    async run(input, call): Promise<PipelineRun<Results>> {
      const report = await runSettled(input, call);
      if (report.endedBy !== 'done') throw report.error;
      return { results: report.results, timeline: report.timeline };
    },
    async runSettled(input, call) {
      return runSettled(input, call);
    },
  };
}
