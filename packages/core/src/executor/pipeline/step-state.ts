import type { Timer } from '../../kernel/index.js';
import type { Step } from './graph.js';
import type { StepOutcome, TimelineEntry } from './timeline.js';

/** A step in one run. It is under way while it is ready and has no outcome. */
export interface StepState {
  readonly step: Step;
  readonly dependents: StepState[];
  /** How many of those that it needs have not ended. */
  missing: number;
  waitedFor: string | undefined;
  readyMs: number | undefined;
  startMs: number | undefined;
  endMs: number | undefined;
  outcome: StepOutcome | undefined;
  error: unknown;
  value: unknown;
  controller: AbortController | undefined;
  timer: Timer | undefined;
}

/** The steps before their run, in the same order. */
export function statesOf(steps: readonly Step[]): readonly StepState[] {
  const states: StepState[] = [];
  for (const step of steps) {
    const state: StepState = {
      step,
      dependents: [],
      missing: step.after.length,
      waitedFor: undefined,
      readyMs: undefined,
      startMs: undefined,
      endMs: undefined,
      outcome: undefined,
      error: undefined,
      value: undefined,
      controller: undefined,
      timer: undefined,
    };
    for (const index of step.after) states[index]?.dependents.push(state);
    states.push(state);
  }
  return states;
}

export function isUnderWay({ readyMs, outcome }: StepState): boolean {
  return readyMs !== undefined && outcome === undefined;
}

/** Of those under way the one that has been so the longest, a required one before any that is optional. */
export function longest(states: readonly StepState[]): StepState | undefined {
  const underWay = states.filter(isUnderWay);
  const required = underWay.filter(({ step }) => !step.optional);
  const [first, ...others] = required.length > 0 ? required : underWay;
  return others.reduce((oldest, state) => ((state.readyMs ?? 0) < (oldest?.readyMs ?? 0) ? state : oldest), first);
}

/** What the timeline says of a step once the run has ended. */
export function entryOf(state: StepState): Omit<TimelineEntry, 'onCriticalPath'> {
  const { step, readyMs, startMs, endMs, outcome = 'not-started', error, waitedFor } = state;
  return {
    step: step.name,
    readyMs,
    startMs,
    endMs,
    outcome,
    error,
    waitedFor: readyMs === undefined ? undefined : waitedFor,
  };
}
