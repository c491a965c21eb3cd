import type { Clock, Duration } from '../../kernel/index.js';
import type { PipelineEvent } from './events.js';
import type { PipelineEnd, Timeline } from './timeline.js';

/** What a step is given. */
export interface StepCall<Input, Results> {
  readonly input: Input;
  /** Of the steps that it named in `after`, and of no others. */
  readonly results: Results;
  /** The step's own: aborted when its time is over, when the run ends without it, or when the executor gives it up. */
  readonly signal: AbortSignal;
}

/** What a step is asked before it begins. */
export type StepQuestion<Input, Results> = Pick<StepCall<Input, Results>, 'input' | 'results'>;

export interface RequiredStep<Input, Results, Value> {
  /** The earlier steps whose results it needs. It begins the moment they are all there. Default: none, so at once. */
  readonly after?: readonly (keyof Results)[];
  /**
   * The longest that it may take from when all that it needs is there, so a wait for a place of an executor counts. It ends
   * then, whatever its work does. Never longer than the run's own time.
   */
  readonly timeout?: Duration;
  readonly optional?: false;
  readonly when?: undefined;
  /** Runs in the call context of whoever called `run`, with the step's own signal and deadline. */
  readonly run: (call: StepCall<Input, Results>) => Value | PromiseLike<Value>;
}

/** A step that may have no result: the others see `undefined` in its place, and go on. */
export interface OptionalStep<Input, Results, Value>
  extends Omit<RequiredStep<Input, Results, Value>, 'optional' | 'when'> {
  /** Its failure or lateness does not end the run. */
  readonly optional: true;
  readonly when?: (question: StepQuestion<Input, Results>) => boolean;
}

/** A step that is skipped where `when` says false: the others see `undefined` in its place, and go on. */
export interface ConditionalStep<Input, Results, Value>
  extends Omit<RequiredStep<Input, Results, Value>, 'optional' | 'when'> {
  readonly optional?: boolean;
  /** Asked once all that it needs is there. An error that it throws is the step's. */
  readonly when: (question: StepQuestion<Input, Results>) => boolean;
}

/**
 * Whose places the steps take: the executor of this package, or anything that runs a task when there is room and settles as
 * it does. `call.signal` is aborted when the step is wanted no more: it should leave the queue then. A step whose signal
 * was aborted while it waited does not begin, whatever the executor does. A signal that the executor gives to the task takes
 * the place of the step's own, so it has to follow that.
 */
export interface StepExecutor {
  run(
    task: (call?: { readonly signal?: AbortSignal | undefined }) => Promise<unknown>,
    call: { readonly signal: AbortSignal },
  ): Promise<unknown>;
}

export interface PipelineOptions {
  /**
   * Bounds how many steps run at once, those of all runs together. Steps hold their places only while they run. A pipeline
   * that runs inside a task of the same executor may wait for a place that the task itself holds. Default: no bound.
   */
  readonly executor?: StepExecutor;
  readonly clock?: Clock;
  /** Hears each step and each run as it ends. What it throws is said once and passed over. */
  readonly onEvent?: (event: PipelineEvent) => void;
}

/** One run. The signal and the deadline of the running call context count as well, whichever is earlier. */
export interface PipelineCall extends PipelineOptions {
  readonly signal?: AbortSignal;
  /** The longest that the whole run may take. */
  readonly timeout?: Duration;
}

export interface PipelineRun<Results> {
  /** By the names of the steps. */
  readonly results: Results;
  readonly timeline: Timeline;
}

/** How a run has ended, and what was ready by then. */
export type PipelineReport<Results> =
  | (PipelineRun<Results> & { readonly endedBy: 'done' })
  | {
      readonly endedBy: Exclude<PipelineEnd, 'done'>;
      /** As it came: of the step, the reason of the caller's signal, or `WP_DEADLINE`. */
      readonly error: unknown;
      /** The step that failed, where `endedBy` is `'failure'`. */
      readonly step: string | undefined;
      /** Of the steps that had succeeded by then. */
      readonly results: Partial<Results>;
      readonly timeline: Timeline;
    };

/** The results with one more among them. Not a mapped type, whose depth the compiler bounds at some fifty steps. */
export type WithResult<Results, Name extends string, Value> = Results & { readonly [Key in Name]: Value };

/** The same, as one object. */
export type ResultsOf<Results> = { readonly [Key in keyof Results]: Results[Key] };

/** Names that the compiler does not know, as of steps that are made in a loop, are checked when they come. */
type NewName<Results, Name extends string> = string extends Name ? Name : Name extends keyof Results ? never : Name;

/** A pipeline before its first step. */
export interface PipelineStart<Input, Results> {
  readonly name: string;
  /**
   * A new pipeline with one more step; this one stays as it is. A step comes after those that it names, so there are no
   * cycles.
   * @throws WarmpathError `WP_BAD_OPTION` for a name that is taken, one in `after` that is not an earlier step or stands
   * there twice, and bad options
   */
  step<Name extends string, Value, After extends keyof Results = never>(
    name: NewName<Results, Name>,
    step: OptionalStep<Input, Pick<Results, After>, Value> | ConditionalStep<Input, Pick<Results, After>, Value>,
  ): Pipeline<Input, WithResult<Results, Name, Value | undefined>>;
  step<Name extends string, Value, After extends keyof Results = never>(
    name: NewName<Results, Name>,
    step: RequiredStep<Input, Pick<Results, After>, Value>,
  ): Pipeline<Input, WithResult<Results, Name, Value>>;
}

export interface Pipeline<Input, Results> extends PipelineStart<Input, Results> {
  /**
   * Runs the steps, each as soon as it can, and waits for all of them, the optional ones included.
   *
   * A required step that fails or is late ends the run at once: what runs is aborted with its error, and the promise rejects
   * with that error as it came, so that retries, fallbacks and error handlers see what they know. Where it came from stands
   * in the `pipeline.done` event and in what `runSettled` gives; the errors of time name pipeline and step themselves. The
   * caller's signal ends the run in the same way, with its own reason. Work that does not listen to its signal is left
   * behind; its outcome is dropped.
   *
   * When the time of the whole run is over it rejects with `WP_DEADLINE`, unless all that is missing is optional: then it
   * resolves with what is there. Nothing begins after any of these.
   */
  run(input: Input, call?: PipelineCall): Promise<PipelineRun<ResultsOf<Results>>>;
  /** The same, but a run that did not succeed resolves too: with its error, what was ready by then, and the timeline. */
  runSettled(input: Input, call?: PipelineCall): Promise<PipelineReport<ResultsOf<Results>>>;
}
