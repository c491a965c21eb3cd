import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Circuit, type CircuitOutcome, noPermit } from './circuit.js';
import type { BreakerState } from './contract.js';
import { type BreakerTerms, termsOf } from './options.js';

const limits = {
  consecutive: 4,
  minCalls: 5,
  failureRate: 0.5,
  slowRate: 0.6,
  pauseMs: 100,
  maxPauseMs: 350,
  probes: 3,
};
const windowMs = 200;
const windowCalls = 37;

interface Outcome {
  readonly at: number;
  readonly isFailure: boolean;
  readonly isSlow: boolean;
}

/** What begins between two openings: the later of two ends with the opening of the breaker. */
interface Era {
  probes: { readonly begunAt: number; isOver: boolean }[];
  probed: Outcome[];
}

interface Call {
  readonly epoch: number;
  readonly era: Era;
  readonly begunAt: number;
  readonly probe: Era['probes'][number] | undefined;
}

/** The same, said with lists of all there was, looked through anew each time. */
class Model {
  state: BreakerState = 'closed';
  era: Era = { probes: [], probed: [] };
  outcomes: Outcome[] = [];
  openUntil = 0;
  closedAt = 0;
  step = 0;
  opened = 0;
  readonly #isTimed: boolean;

  constructor(isTimed: boolean) {
    this.#isTimed = isTimed;
  }

  inWindow(now: number): Outcome[] {
    const bucketMs = windowMs / 10;
    const bucketOf = (ms: number): number => Math.floor(ms / bucketMs);
    return this.#isTimed
      ? this.outcomes.filter(({ at }) => bucketOf(at) > bucketOf(now) - 10)
      : this.outcomes.slice(-windowCalls);
  }

  inARow(): number {
    return this.outcomes.length - 1 - this.outcomes.findLastIndex(({ isFailure }) => !isFailure);
  }

  underWay(now: number): number {
    return this.era.probes.filter(({ begunAt, isOver }) => !isOver && begunAt + this.step > now).length;
  }

  begin(now: number): Call['probe'] | boolean {
    if (this.state === 'closed') return true;
    if (this.state === 'open' && now < this.openUntil) return false;
    this.state = 'half-open';
    if (this.underWay(now) + this.era.probed.length >= limits.probes) return false;
    const probe = { begunAt: now, isOver: false };
    this.era.probes.push(probe);
    return probe;
  }

  end(call: Pick<Call, 'era' | 'probe'>, outcome: CircuitOutcome, isSlow: boolean, now: number): void {
    if (call.probe) call.probe.isOver = true;
    if (call.era !== this.era || this.state === 'open' || outcome === 'void') return;
    const one = { at: now, isFailure: outcome === 'failed', isSlow };
    if (this.state === 'half-open') this.#probed(one, now);
    else {
      this.outcomes.push(one);
      const all = this.inWindow(now);
      const share = (what: 'isFailure' | 'isSlow') => all.filter((each) => each[what]).length / all.length;
      const isEnough = all.length >= limits.minCalls;
      const isBad = isEnough && (share('isFailure') >= limits.failureRate || share('isSlow') >= limits.slowRate);
      if (isBad || this.inARow() >= limits.consecutive) this.#open(now);
    }
  }

  close(now: number): void {
    this.step = 0;
    if (this.state !== 'closed') this.closedAt = now;
    this.state = 'closed';
    this.outcomes = [];
  }

  hold(): void {
    if (this.state !== 'open') this.opened++;
    if (this.openUntil < Infinity || this.state !== 'open') this.era = { probes: [], probed: [] };
    this.state = 'open';
    this.openUntil = Infinity;
  }

  /** Whichever way the probes that are left end. */
  #probed(one: Outcome, now: number): void {
    this.era.probed.push(one);
    const { probed } = this.era;
    const left = limits.probes - probed.length;
    const ends = (what: 'isFailure' | 'isSlow', rate: number): boolean[] =>
      [0, left].map((more) => (probed.filter((each) => each[what]).length + more) / limits.probes >= rate);
    const [failsAnyway, mayFail] = ends('isFailure', limits.failureRate);
    const [slowAnyway, maySlow] = ends('isSlow', limits.slowRate);
    if (failsAnyway || slowAnyway) this.#open(now);
    else if (!mayFail && !maySlow) {
      this.state = 'closed';
      this.closedAt = now;
      this.outcomes = [];
    }
  }

  #open(now: number): void {
    const isAgain = this.state === 'half-open' || (this.step > 0 && now < this.closedAt + this.step);
    this.step = isAgain ? Math.min(limits.maxPauseMs, this.step * 2) : limits.pauseMs;
    this.state = 'open';
    this.openUntil = now + this.step;
    this.era = { probes: [], probed: [] };
    this.opened++;
  }
}

type Command =
  | { readonly kind: 'begin' | 'hold' | 'close' | 'move' }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'end'; readonly which: number; readonly outcome: CircuitOutcome; readonly isSlow: boolean }
  | { readonly kind: 'record'; readonly outcome: CircuitOutcome; readonly isSlow: boolean };

const outcome = fc.constantFrom<CircuitOutcome>('ok', 'failed', 'failed', 'void');
const commands = fc.array(
  fc.oneof<[fc.WeightedArbitrary<Command>, ...fc.WeightedArbitrary<Command>[]]>(
    { weight: 8, arbitrary: fc.constant({ kind: 'begin' as const }) },
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant('end' as const),
        which: fc.nat(9),
        outcome,
        isSlow: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.integer({ min: 1, max: 130 }) }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('record' as const), outcome, isSlow: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constantFrom<Command>({ kind: 'hold' }, { kind: 'close' }, { kind: 'move' }) },
  ),
  { minLength: 20, maxLength: 400, size: 'max' },
);

class Trial {
  readonly model: Model;
  readonly #isTimed: boolean;
  readonly #calls: Call[] = [];
  circuit: Circuit;
  now = 12_345;
  seen = new Set<string>();
  #openedBefore = 0;

  constructor(isTimed: boolean) {
    this.#isTimed = isTimed;
    this.model = new Model(isTimed);
    this.circuit = new Circuit(this.#terms());
  }

  run(command: Command): void {
    const { model, circuit, now } = this;
    if (command.kind === 'begin') this.#begin();
    else if (command.kind === 'end') this.#end(command);
    else if (command.kind === 'move') this.#move();
    else if (command.kind === 'advance') this.now += command.ms;
    else if (command.kind === 'record') {
      circuit.tell(command.outcome, command.isSlow, now);
      if (model.state === 'open' && now >= model.openUntil) model.state = 'half-open';
      model.end({ era: model.era, probe: undefined }, command.outcome, command.isSlow, now);
    } else if (command.kind === 'hold') {
      circuit.hold(now);
      model.hold();
    } else {
      circuit.reset(now);
      model.close(now);
    }
  }

  compare(): void {
    const { model, circuit, now } = this;
    const isPaused = model.state === 'open' && now < model.openUntil;
    const state = model.state === 'open' && !isPaused ? 'half-open' : model.state;
    const stats = circuit.stats(now);
    expect(stats.state).toBe(state);
    expect(stats.opened + this.#openedBefore).toBe(model.opened);
    expect(stats.pauseLeftMs).toBe(isPaused ? model.openUntil - now : 0);
    expect(model.underWay(now)).toBeLessThanOrEqual(limits.probes);
    this.seen.add(state);
    if (model.state !== 'closed') return;
    const all = model.inWindow(now);
    expect(stats).toMatchObject({
      calls: all.length,
      failures: all.filter(({ isFailure }) => isFailure).length,
      slow: all.filter(({ isSlow }) => isSlow).length,
      consecutive: model.inARow(),
    });
  }

  #begin(): void {
    const { circuit, model, now } = this;
    const allowed = circuit.allows(now);
    const is = circuit.begin(now);
    const began = model.begin(now);
    expect(is).toBe(began !== false);
    expect(allowed).toBe(is);
    if (!is) return;
    const probe = typeof began === 'object' ? began : undefined;
    this.#calls.push({ epoch: circuit.epoch, era: model.era, begunAt: probe ? now : noPermit, probe });
  }

  #end({ which, outcome, isSlow }: Extract<Command, { kind: 'end' }>): void {
    const [call] = this.#calls.splice(which % Math.max(1, this.#calls.length), 1);
    if (!call) return;
    this.circuit.settle(call.epoch, call.begunAt, outcome, isSlow, this.now);
    this.model.end(call, outcome, isSlow, this.now);
  }

  /** To another process, where nothing of what is under way counts; while half-open that would not be the same. */
  #move(): void {
    const { model, now } = this;
    if (model.state === 'half-open') return;
    const saved = JSON.parse(JSON.stringify(this.circuit.save(now, 0)));
    this.#openedBefore += this.circuit.stats(now).opened;
    this.circuit = new Circuit(this.#terms());
    this.circuit.restore(saved, 0, now);
    this.#calls.length = 0;
  }

  #terms(): BreakerTerms {
    const { pauseMs: pause, maxPauseMs: maxPause, ...rest } = limits;
    const window = this.#isTimed ? windowMs : { calls: windowCalls };
    return termsOf({ ...rest, pause, maxPause, window, slowCall: 1, random: () => 0 });
  }
}

describe('the circuit of a breaker', () => {
  it.each([
    ['the last while', true],
    ['the last calls', false],
  ])('is what lists of all calls say, with a window of %s', (_, isTimed) => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(commands, (all) => {
        const trial = new Trial(isTimed);
        for (const command of all) {
          trial.run(command);
          trial.compare();
        }
        for (const state of trial.seen) seen.add(state);
      }),
      { numRuns: 80 },
    );
    expect([...seen].sort()).toEqual(['closed', 'half-open', 'open']);
  });
});
