import { abortReason, type Clock, untilAborted } from '../kernel/index.js';
import type { RefusalReason } from './contract.js';
import { windowMsOf } from './decision.js';
import type { Desk, DeskAnswer } from './desk.js';
import { type Amounts, capacityOf, type Dimension, type Verdict } from './dimensions.js';
import type { ProviderFeedback } from './provider-feedback.js';
import { type Attempt, WaitingRoom, type Wish } from './waiting/waiting-room.js';

/** Somebody who wants to be let through. */
export interface Request extends Wish {
  /** For a reservation. */
  readonly leaseTtlMs: number | undefined;
  /** What it was told last. */
  last?: DeskAnswer;
}

export interface Admission {
  readonly answer: DeskAnswer;
  /** Undefined where it was let through. */
  readonly refused?: { readonly reason: RefusalReason; readonly waitMs: number };
}

export interface AdmissionsOptions {
  /** For people. */
  readonly what: string;
  readonly dimensions: readonly Dimension[];
  readonly desk: Desk<DeskAnswer | Promise<DeskAnswer>>;
  readonly feedback: ProviderFeedback;
  readonly shareOf: (tenant: string) => number;
  readonly agingMs: number;
  readonly maxWaiting: number;
  readonly clock: Clock;
}

/** Who is let through, and in which order: what the desk says, once it is somebody's turn and its provider has nothing against it. */
export class Admissions {
  readonly #options: AdmissionsOptions;
  readonly #capacities: Amounts;
  readonly #room: WaitingRoom<DeskAnswer, Request>;
  /** How long reservations are kept, smoothed; 0 as long as nobody knows. */
  #heldMs = 0;

  constructor(options: AdmissionsOptions) {
    const { dimensions, clock, shareOf, agingMs, maxWaiting, what } = options;
    this.#options = options;
    this.#capacities = dimensions.map(capacityOf);
    this.#room = new WaitingRoom<DeskAnswer, Request>({
      clock,
      attempt: (request) => this.#attempt(request),
      giveBack: (request, answer) => this.#giveBack(request, answer),
      costOf: ({ amounts }) => dimensions.reduce((most, { limit }, i) => Math.max(most, (amounts[i] ?? 0) / limit), 0),
      predictMs: (request, queued) => this.#predictMs(request, queued),
      weightOf: shareOf,
      agingMs,
      maxWaiting,
      what,
    });
  }

  get waiting(): number {
    return this.#room.size;
  }

  /** What is above it would never pass. @returns the index of the dimension that it is above; -1 where it is not */
  impossible(amounts: Amounts): number {
    for (let index = 0; index < amounts.length; index++) {
      if ((amounts[index] ?? 0) > (this.#capacities[index] ?? 0)) return index;
    }
    return -1;
  }

  /** For a desk that answers at once: lets it through or refuses it, whatever its deadline. */
  now(request: Request): Admission {
    const impossible = this.#impossible(request);
    if (impossible) return impossible;
    if (this.#room.sizeOf(request.key) > 0) return this.#refusal(request, 'quota', this.#queueMs(request));
    const attempt = this.#attempt(request);
    const admission = attempt instanceof Promise ? undefined : this.#tried(request, attempt, false);
    if (!admission) throw new TypeError('This desk does not answer at once.');
    return admission;
  }

  /**
   * Lets it through when it is its turn, or refuses it, at once if it would take too long.
   * @throws the signal's reason; WarmpathError `WP_CLOSED`
   */
  inTurn(request: Request): Admission | Promise<Admission> {
    const atOnce = this.#impossible(request) ?? this.#atOnce(request);
    if (atOnce instanceof Promise) return atOnce.then((admission) => admission ?? this.#inQueue(request));
    return atOnce ?? this.#inQueue(request);
  }

  /** @returns undefined for one that has to wait, and may */
  #atOnce(request: Request): Admission | undefined | Promise<Admission | undefined> {
    const { key, signal, deadline } = request;
    if (signal?.aborted) throw abortReason(signal);
    const isPatient = deadline > this.#options.clock.now();
    if (this.#room.sizeOf(key) > 0)
      return isPatient ? undefined : this.#refusal(request, 'quota', this.#queueMs(request));
    const attempt = this.#attempt(request);
    if (!(attempt instanceof Promise)) return this.#tried(request, attempt, isPatient);
    const tried = attempt.then((done) => {
      if (!signal?.aborted) return this.#tried(request, done, isPatient);
      if (done.ok) this.#giveBack(request, done.verdict);
      throw abortReason(signal);
    });
    return untilAborted(tried, signal);
  }

  #tried(request: Request, attempt: Attempt<DeskAnswer>, isPatient: boolean): Admission | undefined {
    const { ok, verdict: answer } = attempt;
    if (ok) return { answer };
    const waitMs = this.#expectedMs(attempt.waitMs, answer.verdict.binding);
    this.#options.feedback.onHeldBack(request.key);
    if (answer.isUnavailable) return { answer, refused: { reason: 'store-unavailable', waitMs } };
    return isPatient ? undefined : { answer, refused: { reason: 'quota', waitMs } };
  }

  async #inQueue(request: Request): Promise<Admission> {
    const outcome = await this.#room.enter(request);
    if (outcome.refused === undefined) return { answer: outcome.verdict };
    return this.#refusal(request, outcome.refused, outcome.predictedWaitMs);
  }

  /** More is to be had for this key than a moment ago. */
  wake(key: string): void {
    this.#room.wake(key);
  }

  /** A reservation was kept for so long. */
  onReleased(heldMs: number): void {
    this.#heldMs = this.#heldMs === 0 ? heldMs : this.#heldMs * 0.8 + heldMs * 0.2;
  }

  close(): void {
    this.#room.close();
  }

  #impossible(request: Request): Admission | undefined {
    const binding = this.impossible(request.amounts);
    if (binding < 0) return undefined;
    const { desk } = this.#options;
    const verdict = {
      ...unpacked(
        desk.look(
          request.key,
          request.amounts.map(() => 0),
        ),
      ),
      ok: false,
      binding,
    };
    const answer = { verdict, decidedBy: desk.decidesAs, charge: undefined };
    return { answer, refused: { reason: 'impossible', waitMs: Number.POSITIVE_INFINITY } };
  }

  /** How long a newcomer would have to wait for those who wait already. */
  #queueMs(request: Request): number {
    return this.#predictMs(request, this.#room.queuedAmounts(request));
  }

  /** A place is free when its lease expires, at the latest; sooner, if calls go on taking as long as they have. */
  #expectedMs(waitMs: number, binding: number): number {
    const isPlace = this.#options.dimensions[binding]?.kind === 'concurrency';
    return isPlace && this.#heldMs > 0 ? Math.min(waitMs, this.#heldMs) : waitMs;
  }

  #refusal(request: Request, reason: RefusalReason, waitMs: number): Admission {
    const { desk, feedback } = this.#options;
    const { key, amounts, last } = request;
    const answer = last ?? {
      verdict: desk.look(key, amounts, feedback.limitsOf(key)),
      decidedBy: desk.decidesAs,
      charge: undefined,
    };
    const isAway = answer.isUnavailable === true && reason === 'deadline';
    // Others are before it, so there is some wait, however little is predicted.
    return { answer, refused: { reason: isAway ? 'store-unavailable' : reason, waitMs: Math.max(1, waitMs) } };
  }

  #attempt(request: Request): Attempt<DeskAnswer> | Promise<Attempt<DeskAnswer>> {
    const { feedback, desk } = this.#options;
    const { key, amounts, leaseTtlMs } = request;
    const refusal = feedback.isSilent ? undefined : feedback.refusal(key, amounts);
    const limits = feedback.limitsOf(key);
    if (refusal) {
      const verdict = bothOf(refusal, desk.look(key, amounts, limits));
      return this.#heard(request, { verdict, decidedBy: desk.decidesAs, charge: undefined });
    }
    const answer = desk.take(key, amounts, { limits, leaseTtlMs });
    return answer instanceof Promise ? answer.then((told) => this.#heard(request, told)) : this.#heard(request, answer);
  }

  #heard(request: Request, answer: DeskAnswer): Attempt<DeskAnswer> {
    const { feedback, desk, dimensions } = this.#options;
    const { ok, waitMs, binding } = answer.verdict;
    if (ok) {
      if (!feedback.isSilent) feedback.onTaken(request.key, request.amounts);
      return { ok, waitMs: 0, verdict: answer };
    }
    request.last = answer;
    const isPlace = dimensions[binding]?.kind === 'concurrency';
    return { ok, waitMs, verdict: answer, isUpperBound: desk.isShared && isPlace };
  }

  #giveBack({ key, amounts }: Request, { charge }: DeskAnswer): void {
    if (!charge) return;
    this.#options.desk.settle(
      charge,
      amounts.map((amount) => -amount),
    );
    this.#room.wake(key);
  }

  /**
   * When all that is queued before it and it itself will have come back, as far as that is known: what fits into the limits at
   * once exactly, the rest at the pace of the limits. Places come back when calls end, which is as long as calls took so far.
   */
  #predictMs({ key, amounts }: Request, queued: Amounts): number {
    const { dimensions, desk, feedback } = this.#options;
    const wanted = amounts.map((amount, index) => amount + (queued[index] ?? 0));
    const limits = feedback.limitsOf(key);
    const atOnce = wanted.map((amount, index) => {
      // One that alone is above a limit that feedback has reduced still passes, when nothing else counts.
      const most = limits === undefined ? amount : Math.max(limits[index] ?? amount, amounts[index] ?? 0);
      return Math.min(amount, most, this.#capacities[index] ?? 0);
    });
    const { waitsMs, remaining } = desk.look(key, atOnce, limits);
    const refusedMs = feedback.isSilent ? 0 : (feedback.refusal(key, amounts)?.waitMs ?? 0);
    return dimensions.reduce((longest, dimension, index) => {
      const [all, fits] = [wanted[index] ?? 0, atOnce[index] ?? 0];
      const limit = limits?.[index] ?? dimension.limit;
      if (dimension.kind === 'concurrency') {
        return Math.max(longest, (Math.max(0, all - (remaining[index] ?? 0)) * this.#heldMs) / limit);
      }
      return Math.max(longest, (waitsMs[index] ?? 0) + ((all - fits) * windowMsOf(dimension)) / limit);
    }, refusedMs);
  }
}

/** A provider's refusal beside what our own account says: whichever lasts longer counts. */
function bothOf(refusal: Verdict, own: Verdict): Verdict {
  const longer = (theirs: Amounts, ours: Amounts): number[] =>
    theirs.map((ms, index) => Math.max(ms, ours[index] ?? 0));
  const waitsMs = longer(refusal.waitsMs, own.waitsMs);
  const waitMs = Math.max(...waitsMs);
  return {
    ok: false,
    binding: waitsMs.indexOf(waitMs),
    waitMs,
    remaining: refusal.remaining.map((left, index) => Math.min(left, own.remaining[index] ?? 0)),
    resetMs: longer(refusal.resetMs, own.resetMs),
    waitsMs,
  };
}

/** Whatever gives it, as data. */
function unpacked({ ok, binding, waitMs, remaining, resetMs, waitsMs }: Verdict): Verdict {
  return { ok, binding, waitMs, remaining, resetMs, waitsMs };
}
