import { AsyncLocalStorage } from 'node:async_hooks';
import {
  abortReason,
  badOption,
  type Clock,
  deadlineError,
  type LinkedAbort,
  runInContext,
  type Timer,
} from '../../kernel/index.js';
import type { PipelineReport, StepExecutor, StepQuestion } from './contract.js';
import type { PipelineEvent } from './events.js';
import type { Step } from './graph.js';
import { entryOf, isUnderWay, longest, type StepState, statesOf } from './step-state.js';
import { type PipelineEnd, type StepOutcome, Timeline } from './timeline.js';

type Results = Readonly<Record<string, unknown>>;
type Ended = Exclude<StepOutcome, 'not-started'>;

interface Surroundings {
  readonly input: unknown;
  /** Follows whoever may end the run from outside. Let go of at the end. */
  readonly caller: LinkedAbort;
  readonly limitMs: number;
  readonly executor: StepExecutor | undefined;
  readonly clock: Clock;
}

/** What ends a run that did not succeed. */
interface Ending {
  readonly endedBy: Exclude<PipelineEnd, 'done'>;
  readonly error: unknown;
  readonly step: string | undefined;
}

/** One run of a pipeline. User code may end it at any call out of here, so whatever follows such a call looks again. */
export class Execution {
  readonly #name: string;
  readonly #around: Surroundings;
  readonly #report: ((event: PipelineEvent) => void) | undefined;
  readonly #states: readonly StepState[];
  readonly #begunAt: number;
  /** Steps begin from timers and from the ends of others, whose context is not that of the caller. */
  readonly #inCallersContext: <T>(work: () => T) => T = AsyncLocalStorage.snapshot();
  readonly #outcome: PromiseWithResolvers<PipelineReport<Results>> = Promise.withResolvers();
  readonly #ready: StepState[];
  #isBeginning = false;
  #left: number;
  #timer: Timer | undefined;
  #hasEnded = false;

  constructor(
    name: string,
    steps: readonly Step[],
    around: Surroundings,
    report: ((event: PipelineEvent) => void) | undefined,
  ) {
    this.#name = name;
    this.#around = around;
    this.#report = report;
    this.#begunAt = around.clock.now();
    this.#states = statesOf(steps);
    this.#ready = this.#states.filter(({ missing }) => missing === 0);
    this.#left = steps.length;
  }

  /** To be called once. Never rejects. */
  run(): Promise<PipelineReport<Results>> {
    const { caller, limitMs, clock } = this.#around;
    const leave = (): void => this.#stop({ endedBy: 'abort', error: abortReason(caller.signal), step: undefined });
    if (caller.signal.aborted) {
      leave();
    } else {
      caller.signal.addEventListener('abort', leave, { once: true });
      if (Number.isFinite(limitMs)) this.#timer = clock.schedule(limitMs, () => this.#late());
      this.#beginReady();
    }
    return this.#outcome.promise;
  }

  /** A loop rather than a recursion: a long chain of steps that are skipped is no deep stack. */
  #beginReady(): void {
    if (this.#isBeginning) return;
    this.#isBeginning = true;
    for (let state = this.#ready.shift(); state && !this.#hasEnded; state = this.#ready.shift()) this.#begin(state);
    this.#isBeginning = false;
  }

  #begin(state: StepState): void {
    const { input, limitMs } = this.#around;
    // A timer that is due may not have run yet.
    if (this.#elapsed() >= limitMs) {
      this.#late();
      return;
    }
    state.readyMs = this.#elapsed();
    const results = Object.fromEntries(state.step.after.map((index) => this.#resultOf(index)));
    let isWanted: boolean;
    try {
      isWanted = this.#isWanted(state.step, { input, results });
    } catch (error) {
      this.#end(state, 'failed', { error });
      return;
    }
    if (!isWanted) this.#end(state, 'skipped');
    else if (state.outcome === undefined) this.#work(state, { input, results });
  }

  #isWanted({ name, when }: Step, question: StepQuestion<unknown, Results>): boolean {
    if (!when) return true;
    const isWanted: unknown = this.#inCallersContext(() => when(question));
    if (typeof isWanted === 'boolean') return isWanted;
    // A promise would always count as true, and nobody else would hear of its failure.
    if (isWanted instanceof Promise) isWanted.catch(() => {});
    throw badOption(
      `pipeline '${this.#name}', step '${name}'`,
      'when',
      'a function that gives true or false',
      isWanted,
    );
  }

  #work(state: StepState, question: StepQuestion<unknown, Results>): void {
    const { executor, clock, limitMs } = this.#around;
    const { run, timeoutMs } = state.step;
    const controller = new AbortController();
    state.controller = controller;
    if (Number.isFinite(timeoutMs)) {
      state.timer = clock.schedule(timeoutMs, () => {
        this.#end(state, 'timed-out', { error: deadlineError(this.#described(state), timeoutMs) });
      });
    }
    const deadline = Math.min(clock.now() + timeoutMs, this.#begunAt + limitMs);
    const task = async (call?: { readonly signal?: AbortSignal | undefined }): Promise<unknown> => {
      if (state.outcome !== undefined) throw abortReason(controller.signal);
      state.startMs = this.#elapsed();
      const signal = call?.signal ?? controller.signal;
      const context = { signal, ...(Number.isFinite(deadline) ? { deadline } : {}) };
      return this.#inCallersContext(() => runInContext(context, () => run({ ...question, signal })));
    };
    const placed = async (): Promise<unknown> =>
      executor ? executor.run(task, { signal: controller.signal }) : task();
    this.#inCallersContext(placed).then(
      (value) => this.#end(state, 'ok', { value }),
      (error: unknown) => this.#end(state, 'failed', { error }),
    );
  }

  /** What comes after a step's first end, or after that of the run, is dropped. */
  #end(state: StepState, outcome: Ended, { error, value }: { error?: unknown; value?: unknown } = {}): void {
    if (state.outcome !== undefined) return;
    state.value = value;
    this.#settle(state, outcome, error);
    this.#left--;
    const { name, optional } = state.step;
    const endsAll = !optional && (outcome === 'failed' || outcome === 'timed-out');
    if (endsAll) this.#stop({ endedBy: 'failure', error, step: name }, state);
    if (this.#hasEnded) return;
    if (this.#left === 0) {
      this.#finish(state);
      return;
    }
    for (const dependent of state.dependents) {
      if (--dependent.missing > 0) continue;
      dependent.waitedFor = name;
      this.#ready.push(dependent);
    }
    this.#beginReady();
  }

  /** A step's outcome, once; whatever its work does from now on counts no more. */
  #settle(state: StepState, outcome: Ended, error: unknown): void {
    state.outcome = outcome;
    state.endMs = this.#elapsed();
    state.timer?.cancel();
    if (outcome === 'failed' || outcome === 'timed-out') state.error = error;
    if (this.#report) {
      const { name, optional } = state.step;
      const ms = state.endMs - (state.readyMs ?? state.endMs);
      const why = state.error === undefined ? {} : { error };
      this.#report({ type: 'pipeline.step', pipeline: this.#name, step: name, outcome, ms, optional, ...why });
    }
    if (outcome === 'timed-out' || outcome === 'aborted') state.controller?.abort(error);
  }

  /** The time of the run is over: it has failed, unless nothing that is missing was required. */
  #late(): void {
    const error = deadlineError(`Pipeline '${this.#name}'`, this.#around.limitMs);
    const missing = this.#states.filter(({ outcome }) => outcome === undefined);
    if (missing.some(({ step }) => !step.optional)) {
      this.#stop({ endedBy: 'timeout', error, step: undefined });
      return;
    }
    this.#cut('timed-out', error);
  }

  #stop(ending: Ending, failed?: StepState): void {
    this.#cut('aborted', ending.error, ending, failed);
  }

  /** Ends the run before all of its steps have ended. Those under way get their outcome first, so that the timeline has it. */
  #cut(outcome: 'timed-out' | 'aborted', error: unknown, ending?: Ending, failed?: StepState): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const last = failed ?? longest(this.#states);
    for (const state of this.#states.filter(isUnderWay)) this.#settle(state, outcome, error);
    this.#finish(last, ending);
  }

  #finish(last: StepState | undefined, ending?: Ending): void {
    this.#hasEnded = true;
    this.#timer?.cancel();
    this.#around.caller.release();
    const totalMs = this.#elapsed();
    const endedBy = ending?.endedBy ?? 'done';
    const timeline = new Timeline(
      { pipeline: this.#name, endedBy, totalMs },
      this.#states.map(entryOf),
      last && this.#states.indexOf(last),
    );
    const why = ending && { error: ending.error, ...(ending.step === undefined ? {} : { step: ending.step }) };
    this.#report?.({ type: 'pipeline.done', pipeline: this.#name, endedBy, ms: totalMs, ...why, timeline });
    const indices = this.#states.flatMap(({ outcome }, index) => (ending && outcome !== 'ok' ? [] : [index]));
    const results = Object.fromEntries(indices.map((index) => this.#resultOf(index)));
    this.#outcome.resolve(ending ? { ...ending, results, timeline } : { endedBy: 'done', results, timeline });
  }

  #resultOf(index: number): readonly [string, unknown] {
    const state = this.#states[index] as StepState;
    return [state.step.name, state.value];
  }

  #described({ step }: StepState): string {
    return `Step '${step.name}' of pipeline '${this.#name}'`;
  }

  #elapsed(): number {
    return this.#around.clock.now() - this.#begunAt;
  }
}
