/**
 * How a step has ended. `'timed-out'`: its own time was over, or that of the run, where it is optional. `'aborted'`: the run
 * ended while it was under way. `'not-started'`: the run ended before it was ready.
 */
export type StepOutcome = 'ok' | 'failed' | 'timed-out' | 'skipped' | 'aborted' | 'not-started';

/** `'failure'`: a required step failed or was late. `'timeout'`: the time of the whole run was over. `'abort'`: the caller left. */
export type PipelineEnd = 'done' | 'failure' | 'timeout' | 'abort';

/** One step of one run. Its instants are in milliseconds from the begin of the run. */
export interface TimelineEntry {
  readonly step: string;
  /** When all that it needs was there. Undefined where that never came. */
  readonly readyMs: number | undefined;
  /** When its work began: later than `readyMs` where it waited for a place of an executor. Undefined where it never did. */
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
  readonly outcome: StepOutcome;
  /** Of a step that failed or was late. */
  readonly error: unknown;
  /** The dependency that was the last to come. Undefined where it has none, or was never ready. */
  readonly waitedFor: string | undefined;
  /** Whether the run would have ended sooner had it been faster: see `Timeline`. */
  readonly onCriticalPath: boolean;
}

const columns = 40;

/**
 * What happened when in one run, in the order in which the steps were defined. The critical path leads from the begin of the
 * run to its end, each step on it waiting for the one before: it ends with the step that was the last to end, or that failed,
 * or, where the run was cut off, with the required step that was under way the longest. All fields are plain data.
 */
export class Timeline {
  readonly pipeline: string;
  readonly endedBy: PipelineEnd;
  readonly totalMs: number;
  readonly steps: readonly TimelineEntry[];

  /** @param last the index of the step that the critical path ends with */
  constructor(
    run: Pick<Timeline, 'pipeline' | 'endedBy' | 'totalMs'>,
    steps: readonly Omit<TimelineEntry, 'onCriticalPath'>[],
    last: number | undefined,
  ) {
    this.pipeline = run.pipeline;
    this.endedBy = run.endedBy;
    this.totalMs = run.totalMs;
    const critical = criticalPath(steps, last);
    this.steps = steps.map((step) => ({ ...step, onCriticalPath: critical.has(step.step) }));
  }

  /**
   * Plain text, one line a step: its bar (`#` on the critical path, `=` elsewhere, `.` while it waited for a place), when it
   * was ready, how long it took from then, its outcome and what it waited for. Results and errors are not in it.
   */
  toString(): string {
    const head = `pipeline '${this.pipeline}': ${this.endedBy} after ${Math.round(this.totalMs)} ms`;
    const names = Math.max(...this.steps.map(({ step }) => step.length));
    const digits = String(Math.round(this.totalMs)).length;
    const lines = this.steps.map((entry) => {
      const times =
        entry.readyMs === undefined || entry.endMs === undefined
          ? ' '.repeat(2 * digits + 6)
          : `${shown(entry.readyMs, digits)} + ${shown(entry.endMs - entry.readyMs, digits)} ms`;
      const after = entry.waitedFor === undefined ? '' : ` after ${entry.waitedFor}`;
      const mark = entry.onCriticalPath ? '*' : ' ';
      return `${mark} ${entry.step.padEnd(names)} |${this.#bar(entry)}| ${times}  ${entry.outcome}${after}`;
    });
    return [head, ...lines].join('\n');
  }

  #bar({ readyMs, startMs, endMs, onCriticalPath }: TimelineEntry): string {
    if (readyMs === undefined || endMs === undefined) return ' '.repeat(columns);
    const column = (ms: number): number => (this.totalMs > 0 ? Math.round((ms / this.totalMs) * columns) : 0);
    // Even the shortest has one column, and the last of them is still inside.
    const ready = Math.min(column(readyMs), columns - 1);
    const end = Math.max(column(endMs), ready + 1);
    const start = startMs === undefined ? end : Math.min(Math.max(column(startMs), ready), end - 1);
    const work = (onCriticalPath ? '#' : '=').repeat(end - start);
    return `${' '.repeat(ready)}${'.'.repeat(start - ready)}${work}`.padEnd(columns);
  }
}

function shown(ms: number, digits: number): string {
  return String(Math.round(ms)).padStart(digits);
}

function criticalPath(
  steps: readonly Pick<TimelineEntry, 'step' | 'waitedFor'>[],
  last: number | undefined,
): ReadonlySet<string> {
  const byName = new Map(steps.map((step) => [step.step, step]));
  const path = new Set<string>();
  for (let step = last === undefined ? undefined : steps[last]; step; step = byName.get(step.waitedFor ?? '')) {
    path.add(step.step);
  }
  return path;
}
