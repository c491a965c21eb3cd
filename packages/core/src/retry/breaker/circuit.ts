import type { BreakerSnapshot, BreakerState, BreakerStats, OpenCause, OpenReason } from './contract.js';
import type { BreakerTerms } from './options.js';

/** `void`: it says nothing about the backend. */
export type CircuitOutcome = 'ok' | 'failed' | 'void';

/** The most of a pause that chance takes off. */
const jitter = 0.2;

/** Of a call that took no permit. */
export const noPermit: number = Number.NaN;

/**
 * The state of a breaker: closed, open for a pause, then half-open for some probes, as in M. Nygard, "Release It!", 2007. The time
 * comes in.
 *
 * Calls carry the `epoch` in which they began, which ends when the breaker opens: what began before that and ends later finds
 * another epoch and says nothing. A probe that is late, so that the breaker has closed without it, counts like any other call.
 */
export class Circuit {
  readonly #terms: BreakerTerms;
  #state: BreakerState = 'closed';
  #epoch = 0;
  #consecutive = 0;
  #rejected = 0;
  #opened = 0;
  /** Of the last pause, without its chance; 0 for none that the next one would be the double of. */
  #stepMs = 0;
  #openUntil = 0;
  /** When it has left the closed state. */
  #openedAt = 0;
  #closedAt = 0;
  #cause: OpenCause = { why: 'held', calls: 0, failures: 0, slow: 0 };
  /** When each probe under way began, the earliest first. One that began as long ago as a pause is given up. */
  #permits: number[] = [];
  #probed = 0;
  #probesFailed = 0;
  #probesSlow = 0;

  constructor(terms: BreakerTerms) {
    this.#terms = terms;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  get epoch(): number {
    return this.#epoch;
  }

  get cause(): OpenCause {
    return this.#cause;
  }

  state(now: number): BreakerState {
    return this.#state === 'open' && now >= this.#openUntil ? 'half-open' : this.#state;
  }

  allows(now: number): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'open') return now >= this.#openUntil;
    let underWay = 0;
    for (const begunAt of this.#permits) if (begunAt + this.#stepMs > now) underWay++;
    return underWay + this.#probed < this.#terms.probes;
  }

  /** Whether a call may be made: then it is to be settled. While half-open its permit is known by `now`. */
  begin(now: number): boolean {
    if (this.#state === 'closed') return true;
    if (!this.allows(now)) {
      this.#rejected++;
      return false;
    }
    if (this.#state === 'open') this.#halfOpen();
    while (this.#permits.length > 0 && (this.#permits[0] ?? 0) + this.#stepMs <= now) this.#permits.shift();
    this.#permits.push(now);
    return true;
  }

  settle(epoch: number, begunAt: number, outcome: CircuitOutcome, isSlow: boolean, now: number): void {
    if (epoch !== this.#epoch || this.#state === 'open') return;
    if (this.#state === 'half-open') {
      const permit = this.#permits.indexOf(begunAt);
      if (permit >= 0) this.#permits.splice(permit, 1);
      if (outcome !== 'void') this.#countProbe(outcome === 'failed', isSlow, now);
    } else if (outcome !== 'void') this.#count(outcome === 'failed', isSlow, now);
  }

  /** Of a call that it has not let through itself: after a pause it counts as a probe. */
  tell(outcome: CircuitOutcome, isSlow: boolean, now: number): void {
    if (this.#state === 'open' && now >= this.#openUntil) this.#halfOpen();
    this.settle(this.#epoch, noPermit, outcome, isSlow, now);
  }

  /** Infinity while it is held open. Of one that is half-open: until a probe that is lost makes room, at the latest. */
  waitMs(now: number): number {
    if (this.#state === 'open') return Math.max(0, this.#openUntil - now);
    const oldest = this.#permits.find((begunAt) => begunAt + this.#stepMs > now);
    return oldest === undefined || this.allows(now) ? 0 : oldest + this.#stepMs - now;
  }

  hold(now: number): void {
    if (this.#state === 'open' && this.#openUntil === Number.POSITIVE_INFINITY) return;
    const { calls, failures, slow } = this.#terms.window;
    this.#open({ why: 'held', calls, failures, slow }, Number.POSITIVE_INFINITY, now);
  }

  reset(now: number): void {
    this.#stepMs = 0;
    if (this.#state === 'closed') this.#forget();
    else this.#close(now);
  }

  stats(now: number): BreakerStats {
    const { window } = this.#terms;
    window.age(now);
    const { calls, failures, slow } = window;
    return {
      state: this.state(now),
      calls,
      failures,
      slow,
      failureRate: calls > 0 ? failures / calls : 0,
      slowRate: calls > 0 ? slow / calls : 0,
      consecutive: this.#consecutive,
      rejected: this.#rejected,
      opened: this.#opened,
      pauseLeftMs: this.#state === 'open' ? Math.max(0, this.#openUntil - now) : 0,
    };
  }

  save(now: number, savedAt: number): BreakerSnapshot {
    const isOpen = this.#state !== 'closed';
    return {
      version: 1,
      savedAt,
      state: isOpen ? 'open' : 'closed',
      ...(isOpen && { cause: this.#cause }),
      pauseMs: this.#stepMs,
      // JSON has no Infinity; what is held open shows by its cause.
      pauseLeftMs: this.#state === 'open' && this.#cause.why !== 'held' ? Math.max(0, this.#openUntil - now) : 0,
      closedForMs: isOpen ? 0 : Math.max(0, now - this.#closedAt),
      consecutive: this.#consecutive,
      window: this.#terms.window.save(now),
    };
  }

  /** @param elapsedMs since it was saved */
  restore(saved: BreakerSnapshot, elapsedMs: number, now: number): void {
    const { window, pauseMs, maxPauseMs } = this.#terms;
    this.#forget();
    this.#epoch++;
    window.restore(saved.window, elapsedMs, now);
    this.#consecutive = saved.consecutive;
    this.#stepMs = Math.min(saved.pauseMs, maxPauseMs);
    this.#closedAt = now - saved.closedForMs - elapsedMs;
    this.#state = saved.state;
    if (saved.cause === undefined) return;
    this.#stepMs ||= pauseMs;
    this.#cause = saved.cause;
    this.#openedAt = now;
    const pauseLeftMs = Math.max(0, Math.min(saved.pauseLeftMs, maxPauseMs) - elapsedMs);
    this.#openUntil = saved.cause.why === 'held' ? Number.POSITIVE_INFINITY : now + pauseLeftMs;
  }

  #count(isFailure: boolean, isSlow: boolean, now: number): void {
    const { window, minCalls, failureRate, slowRate, consecutive } = this.#terms;
    window.add(isFailure, isSlow, now);
    this.#consecutive = isFailure ? this.#consecutive + 1 : 0;
    const { calls, failures, slow } = window;
    const isEnough = calls >= minCalls;
    if (this.#consecutive >= consecutive) this.#trip('consecutive', now);
    else if (isEnough && failures / calls >= failureRate) this.#trip('failure-rate', now);
    else if (isEnough && slow / calls >= slowRate) this.#trip('slow-rate', now);
  }

  /** Decides as soon as the probes that are left can change nothing. */
  #countProbe(isFailure: boolean, isSlow: boolean, now: number): void {
    const { probes, failureRate, slowRate } = this.#terms;
    this.#probed++;
    if (isFailure) this.#probesFailed++;
    if (isSlow) this.#probesSlow++;
    const left = probes - this.#probed;
    const [failed, slow] = [this.#probesFailed, this.#probesSlow];
    if (failed / probes >= failureRate || slow / probes >= slowRate) this.#trip('probes', now);
    else if ((failed + left) / probes < failureRate && (slow + left) / probes < slowRate) this.#close(now);
  }

  #trip(why: OpenReason, now: number): void {
    const { pauseMs, maxPauseMs, random, window } = this.#terms;
    const isCalm = this.#state === 'closed' && (this.#stepMs === 0 || now - this.#closedAt >= this.#stepMs);
    this.#stepMs = isCalm ? pauseMs : Math.min(this.#stepMs * 2, maxPauseMs);
    const cause =
      why === 'probes'
        ? { why, calls: this.#probed, failures: this.#probesFailed, slow: this.#probesSlow }
        : { why, calls: window.calls, failures: window.failures, slow: window.slow };
    this.#open(cause, this.#stepMs * (1 - jitter * random()), now);
  }

  #open(cause: OpenCause, pauseMs: number, now: number): void {
    if (this.#state === 'closed') this.#openedAt = now;
    if (this.#state !== 'open') this.#opened++;
    this.#state = 'open';
    this.#epoch++;
    this.#openUntil = now + pauseMs;
    this.#cause = cause;
    this.#terms.report?.({ type: 'breaker.opened', name: this.#terms.name, ...cause, pauseMs });
  }

  #halfOpen(): void {
    this.#state = 'half-open';
    this.#clearProbes();
    this.#terms.report?.({ type: 'breaker.halfOpened', name: this.#terms.name });
  }

  #close(now: number): void {
    this.#state = 'closed';
    this.#closedAt = now;
    this.#forget();
    this.#terms.report?.({ type: 'breaker.closed', name: this.#terms.name, openMs: now - this.#openedAt });
  }

  #forget(): void {
    this.#consecutive = 0;
    this.#terms.window.clear();
    this.#clearProbes();
  }

  #clearProbes(): void {
    this.#permits = [];
    this.#probed = 0;
    this.#probesFailed = 0;
    this.#probesSlow = 0;
  }
}
