import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Clock, isWarmpathError } from '../../kernel/index.js';
import { createFakeClock } from '../../testing/index.js';
import {
  type PipelineEnd,
  type PipelineEvent,
  type PipelineReport,
  pipeline,
  type StepCall,
  type StepOutcome,
} from './index.js';

/** What one step is going to do. */
interface Plan {
  readonly after: readonly number[];
  readonly workMs: number;
  readonly timeoutMs: number | undefined;
  readonly fails: boolean;
  readonly optional: boolean;
  readonly wanted: boolean;
  readonly listens: boolean;
}

interface Scenario {
  readonly plans: readonly Plan[];
  readonly limitMs: number | undefined;
  readonly leavesMs: number | undefined;
}

interface Expected {
  readonly outcome: StepOutcome;
  readonly readyMs: number | undefined;
  readonly endMs: number | undefined;
}

const nameOf = (index: number): string => `s${index}`;
const maybe = (ms: fc.Arbitrary<number>): fc.Arbitrary<number | undefined> => fc.option(ms, { nil: undefined });
const ms = fc.integer({ min: 0, max: 20 });

/** Every step, and what ends the run, has a fraction of a millisecond of its own: so no two things happen at one instant. */
const fraction = (bit: number): number => 2 ** -bit;

const planOf = (index: number): fc.Arbitrary<Plan> =>
  fc.record({
    after: fc.subarray(Array.from({ length: index }, (_, earlier) => earlier)),
    workMs: ms.map((whole) => whole + fraction(index + 1)),
    timeoutMs: maybe(ms.map((whole) => whole + fraction(index + 13))),
    fails: fc.boolean().chain((risky) => (risky ? fc.boolean() : fc.constant(false))),
    optional: fc.boolean(),
    wanted: fc.integer({ min: 0, max: 5 }).map((roll) => roll > 0),
    listens: fc.boolean(),
  });

const scenarios: fc.Arbitrary<Scenario> = fc.record({
  plans: fc
    .integer({ min: 1, max: 10 })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => planOf(i)))),
  limitMs: maybe(fc.integer({ min: 0, max: 60 }).map((whole) => whole + fraction(26))),
  leavesMs: maybe(fc.integer({ min: 0, max: 60 }).map((whole) => whole + fraction(27))),
});

/** The obvious truth: each step begins when the last of those that it needs has ended, and one instant may cut everything. */
function truthOf({ plans, limitMs, leavesMs }: Scenario): { steps: readonly Expected[]; endedBy: PipelineEnd } {
  const uncut: { outcome: StepOutcome; readyMs: number; endMs: number }[] = [];
  for (const { after, workMs, timeoutMs = Number.POSITIVE_INFINITY, fails, wanted } of plans) {
    const readyMs = Math.max(0, ...after.map((index) => uncut[index]?.endMs ?? 0));
    if (!wanted) uncut.push({ outcome: 'skipped', readyMs, endMs: readyMs });
    else if (timeoutMs < workMs) uncut.push({ outcome: 'timed-out', readyMs, endMs: readyMs + timeoutMs });
    else uncut.push({ outcome: fails ? 'failed' : 'ok', readyMs, endMs: readyMs + workMs });
  }
  const isFatal = (step: Expected, index: number): boolean =>
    !plans[index]?.optional && (step.outcome === 'failed' || step.outcome === 'timed-out');
  const cuts: { at: number; endedBy: PipelineEnd }[] = [
    { at: Math.max(...uncut.map(({ endMs }) => endMs)), endedBy: 'done' },
    ...uncut.filter(isFatal).map(({ endMs }) => ({ at: endMs, endedBy: 'failure' as const })),
    ...(limitMs === undefined ? [] : [{ at: limitMs, endedBy: 'timeout' as const }]),
    ...(leavesMs === undefined ? [] : [{ at: leavesMs, endedBy: 'abort' as const }]),
  ];
  const cut = cuts.reduce((first, next) =>
    next.at < first.at || (next.at === first.at && next.endedBy === 'failure') ? next : first,
  );
  const isLenient =
    cut.endedBy === 'timeout' && uncut.every(({ endMs }, index) => endMs < cut.at || plans[index]?.optional);
  const steps = uncut.map((step): Expected => {
    const isLeftOut = cut.endedBy !== 'done' && step.readyMs >= cut.at;
    if (isLeftOut) return { outcome: 'not-started', readyMs: undefined, endMs: undefined };
    if (step.endMs <= cut.at) return step;
    return { outcome: isLenient ? 'timed-out' : 'aborted', readyMs: step.readyMs, endMs: cut.at };
  });
  return { steps, endedBy: isLenient ? 'done' : cut.endedBy };
}

/** Work that takes its time, and may or may not leave early when its signal is aborted. */
function workOf(plan: Plan, clock: Clock, signals: AbortSignal[], underWay: { count: number }) {
  return ({ signal }: StepCall<unknown, unknown>): Promise<string> => {
    signals.push(signal);
    underWay.count++;
    return new Promise((resolve, reject) => {
      const timer = clock.schedule(plan.workMs, () => {
        underWay.count--;
        if (plan.fails) reject(new Error(`failed after ${plan.workMs}`));
        else resolve(`value after ${plan.workMs}`);
      });
      if (!plan.listens) return;
      signal.addEventListener('abort', () => {
        timer.cancel();
        underWay.count--;
        reject(signal.reason);
      });
    });
  };
}

async function play(scenario: Scenario) {
  const clock = createFakeClock();
  const caller = new AbortController();
  const events: PipelineEvent[] = [];
  const signals = scenario.plans.map((): AbortSignal[] => []);
  const seen = scenario.plans.map((): unknown => undefined);
  const underWay = { count: 0 };
  const steps = scenario.plans.reduce(
    (built, plan, index) => {
      const work = workOf(plan, clock, signals[index] ?? [], underWay);
      return built.step(nameOf(index), {
        after: plan.after.map(nameOf),
        optional: plan.optional,
        when: () => plan.wanted,
        ...(plan.timeoutMs === undefined ? {} : { timeout: plan.timeoutMs }),
        run: (call) => {
          seen[index] = call.results;
          return work(call);
        },
      });
    },
    pipeline('model', { clock, onEvent: (event) => events.push(event) }) as ReturnType<typeof anyPipeline>,
  );
  let report: PipelineReport<Record<string, unknown>> | undefined;
  let endedAt = 0;
  let left = { timers: 0, listeners: 0 };
  const { limitMs, leavesMs } = scenario;
  const leaving = leavesMs === undefined ? undefined : clock.schedule(leavesMs, () => caller.abort('gone'));
  const timeout = limitMs === undefined ? {} : { timeout: limitMs };
  const running = steps.runSettled(undefined, { signal: caller.signal, ...timeout }).then((ended) => {
    report = ended;
    leaving?.cancel();
    endedAt = clock.now();
    left = { timers: clock.pending - underWay.count, listeners: getEventListeners(caller.signal, 'abort').length };
  });
  await clock.advance(1_000);
  await running;
  return { report, endedAt, left, events, signals, seen };
}

/** A pipeline whose names are not known to the compiler. */
function anyPipeline() {
  return pipeline('any').step('any' as string, { when: () => true, run: (): unknown => undefined });
}

type Played = Awaited<ReturnType<typeof play>>;

function expectSteps(scenario: Scenario, { report, signals, seen }: Played): void {
  const truth = truthOf(scenario);
  const resultOf = (index: number): unknown =>
    truth.steps[index]?.outcome === 'ok' ? `value after ${scenario.plans[index]?.workMs}` : undefined;
  expect(report?.timeline.steps.map(({ outcome, readyMs, endMs }) => ({ outcome, readyMs, endMs }))).toEqual(
    truth.steps,
  );
  for (const [index, plan] of scenario.plans.entries()) {
    const step = truth.steps[index];
    const ran = step?.readyMs !== undefined && step.outcome !== 'skipped';
    expect(signals[index]).toHaveLength(ran ? 1 : 0);
    if (!ran) continue;
    expect(signals[index]?.[0]?.aborted).toBe(step.outcome === 'timed-out' || step.outcome === 'aborted');
    expect(seen[index]).toEqual(Object.fromEntries(plan.after.map((needed) => [nameOf(needed), resultOf(needed)])));
  }
  const ready = truth.steps.flatMap(({ outcome }, index) =>
    truth.endedBy === 'done' || outcome === 'ok' ? [[nameOf(index), resultOf(index)]] : [],
  );
  expect(report?.results).toEqual(Object.fromEntries(ready));
}

function expectEnd(scenario: Scenario, { report, endedAt, events }: Played): void {
  const truth = truthOf(scenario);
  expect(report?.endedBy).toBe(truth.endedBy);
  expect(report?.timeline.totalMs).toBe(endedAt);
  if (report && report.endedBy !== 'done') {
    if (report.endedBy === 'abort') expect(report.error).toMatchObject({ name: 'AbortError', cause: 'gone' });
    if (report.endedBy === 'timeout') expect(isWarmpathError(report.error, 'WP_DEADLINE')).toBe(true);
    const failed = truth.steps.findIndex(
      ({ outcome, endMs }, index) => endMs === endedAt && outcome !== 'aborted' && !scenario.plans[index]?.optional,
    );
    expect(report.step).toBe(report.endedBy === 'failure' ? nameOf(failed) : undefined);
  }
  const told = events.flatMap((event) => (event.type === 'pipeline.step' ? [`${event.step} ${event.outcome}`] : []));
  const begun = truth.steps.flatMap(({ outcome }, index) =>
    outcome === 'not-started' ? [] : [`${nameOf(index)} ${outcome}`],
  );
  expect(told.toSorted()).toEqual(begun.toSorted());
  expect(events.at(-1)).toMatchObject({ type: 'pipeline.done', endedBy: truth.endedBy, timeline: report?.timeline });
}

/** From the begin of the run to its end without a gap. */
function expectCriticalPath({ report, endedAt }: Played): void {
  const steps = report?.timeline.steps ?? [];
  const byName = new Map(steps.map((step) => [step.step, step]));
  for (const { waitedFor, readyMs } of steps) {
    if (waitedFor !== undefined) expect(byName.get(waitedFor)?.endMs).toBe(readyMs);
  }
  const path = steps.filter(({ onCriticalPath }) => onCriticalPath);
  expect(path[0]?.readyMs).toBe(0);
  expect(path.at(-1)?.endMs).toBe(endedAt);
  for (const [place, step] of path.slice(1).entries()) expect(step.waitedFor).toBe(path[place]?.step);
}

describe('a pipeline and its model', () => {
  it('agree on when each step begins and ends, how, and on what is left over', async () => {
    await fc.assert(
      fc.asyncProperty(scenarios, async (scenario) => {
        const played = await play(scenario);
        expectSteps(scenario, played);
        expectEnd(scenario, played);
        expectCriticalPath(played);
        expect(played.left).toEqual({ timers: 0, listeners: 0 });
      }),
      { numRuns: 1_000 },
    );
  });
});
