import { type Clock, coarseNow, systemClock, type WarmpathError, wasNotSent } from '../../kernel/index.js';
import { attemptOf } from '../attempt.js';
import { BegunStream } from '../first-chunk.js';
import { judgeBy } from '../judge.js';
import { notWork, type PolicyCall, type Work } from '../policy.js';
import { Asker } from '../scope.js';
import { Circuit, type CircuitOutcome, noPermit } from './circuit.js';
import type { BreakerOptions, BreakerOutcome, BreakerPolicy, BreakerSnapshot } from './contract.js';
import { type BreakerTerms, termsOf } from './options.js';
import { openError } from './refusal.js';
import { checkSnapshot } from './snapshot.js';
import { isTimeUp, isTrouble } from './trouble.js';

/**
 * Leaves a backend alone once it has failed too often, and lets a few calls through after a pause to see whether it is well again.
 * One breaker for one backend. A call that is over by time counts as failed, whoever's time it was: a backend that hangs shows in
 * no other way. A caller who leaves for another reason, and whoever calls wrongly, count for nothing.
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with `WP_BREAKER_OPEN`, or as the work does
 */
export function breaker(options: BreakerOptions = {}): BreakerPolicy {
  const terms = termsOf(options);
  const { clock = systemClock } = options;
  const isFailure = judgeBy(options.isFailure, isTrouble, `The function 'isFailure' of '${terms.name}'`);
  const guard = new Guard(terms, isFailure, clock);
  const { circuit } = guard;
  const guarded = <T>(work: Work<T>, call?: PolicyCall): Promise<T> => guard.run(work, call);
  const methods = {
    stats: () => circuit.stats(clock.now()),
    allows: () => circuit.allows(clock.now()),
    record: (outcome: BreakerOutcome) => guard.record(outcome),
    open: () => circuit.hold(clock.now()),
    close: () => circuit.reset(clock.now()),
    save: () => circuit.save(clock.now(), clock.wall()),
    restore(snapshot: BreakerSnapshot) {
      checkSnapshot(snapshot);
      circuit.restore(snapshot, Math.max(0, clock.wall() - snapshot.savedAt), clock.now());
    },
  } satisfies Partial<BreakerPolicy>;
  return Object.defineProperties(Object.assign(guarded, methods), {
    name: { value: terms.name },
    state: { get: () => circuit.state(clock.now()) },
  }) as BreakerPolicy;
}

class Guard {
  readonly circuit: Circuit;
  readonly #terms: BreakerTerms;
  readonly #isFailure: (error: unknown) => boolean;
  readonly #clock: Clock;
  readonly #slowCallMs: number;
  /** Nobody needs to know when a call began that is not a probe, where none is slow. */
  readonly #isTimed: boolean;
  /** For the end of calls: into which bucket of the window they fall may be a moment late. */
  readonly #now: () => number;

  constructor(terms: BreakerTerms, isFailure: (error: unknown) => boolean, clock: Clock) {
    this.circuit = new Circuit(terms);
    this.#terms = terms;
    this.#isFailure = isFailure;
    this.#clock = clock;
    this.#slowCallMs = terms.slowCallMs;
    this.#isTimed = terms.slowCallMs < Number.POSITIVE_INFINITY;
    this.#now = this.#isTimed ? () => clock.now() : coarseNow(clock);
  }

  async run<T>(work: Work<T>, call: PolicyCall | undefined): Promise<T> {
    if (typeof work !== 'function') throw notWork(this.#terms.name, work);
    const { circuit } = this;
    const attempt = attemptOf(call); // of one that is over before it begins nothing is learnt
    let begunAt = noPermit;
    if (this.#isTimed || !circuit.isClosed) {
      begunAt = this.#clock.now();
      if (!circuit.begin(begunAt)) throw this.#refusal(begunAt);
    }
    const { epoch } = circuit;
    let value: T;
    try {
      value = await work(attempt);
    } catch (error) {
      this.#settle(epoch, begunAt, this.#outcomeOf(error, call));
      throw error;
    }
    this.#settle(epoch, begunAt, 'ok');
    if (value instanceof BegunStream) this.#follow(value, epoch, call);
    return value;
  }

  record(outcome: BreakerOutcome): void {
    const isVoid = !outcome.ok && outcome.error !== undefined && !this.#isFailure(outcome.error);
    const kind = outcome.ok ? 'ok' : isVoid ? 'void' : 'failed';
    this.circuit.tell(kind, (outcome.ms ?? 0) >= this.#slowCallMs, this.#clock.now());
  }

  #settle(epoch: number, begunAt: number, outcome: CircuitOutcome): void {
    const now = this.#now();
    this.circuit.settle(epoch, begunAt, outcome, now - begunAt >= this.#slowCallMs, now);
  }

  #outcomeOf(error: unknown, call: PolicyCall | undefined): CircuitOutcome {
    const asker = new Asker(call);
    if (asker.hasLeft) return isTimeUp(asker.reason) && !wasNotSent(error) ? 'failed' : 'void';
    return this.#isFailure(error) ? 'failed' : 'void';
  }

  /** A stream has done well with its first chunk; one that breaks off later has failed then. */
  #follow<T>({ ended }: BegunStream<T>, epoch: number, call: PolicyCall | undefined): void {
    void ended.then(({ outcome, error }) => {
      if (outcome !== 'failed' || new Asker(call).hasLeft || !this.#isFailure(error)) return;
      this.circuit.settle(epoch, noPermit, 'failed', false, this.#clock.now());
    });
  }

  #refusal(now: number): WarmpathError {
    const { circuit } = this;
    const { name, report } = this.#terms;
    const retryAfterMs = circuit.waitMs(now);
    report?.({ type: 'breaker.rejected', name, retryAfterMs });
    return openError(this.#terms, circuit.cause, circuit.state(now) === 'half-open', retryAfterMs);
  }
}
