import { fullJitterMs, retryAfterMs } from '../kernel/index.js';
import { type Batch, sizeOf } from './batch.js';
import { classifyFailure, isAmbiguous } from './classify.js';
import type { FailureKind, StatedCap } from './contract.js';
import type { Group } from './group.js';
import { budgetOf, callersOf, isGone, isWanted, type Load } from './load.js';
import type { BatcherConfig } from './options.js';
import type { Failure, Sender } from './sender.js';

/** Of the backoff before items are sent again. */
const firstPauseMs = 200;
const longestPauseMs = 10_000;

/** A failure, and what it says about the items. */
interface Judged extends Failure {
  readonly kind: FailureKind;
}

type Outcome = 'answered' | 'unwanted' | Judged;

type Loads<Item, Result> = readonly Load<Item, Result>[];

/**
 * Sees what was sent together through, until each item has an answer of its own or has failed by itself. Transient failures
 * have what is unanswered sent again; failures of composition are bisected down to the culprits, in at most twice as many
 * calls as there are items; all others end it for all.
 */
export class Journey<Item, Result, Key> {
  /** All that set out. */
  readonly loads: Loads<Item, Result>;
  readonly #group: Group<Item, Result>;
  readonly #config: BatcherConfig<Item, Key>;
  readonly #sender: Sender<Item, Result, Key>;
  /** Trying again has not helped, so what might be an item's fault is looked into. */
  #isTired = false;
  /** What was in a call that went well. */
  readonly #good = new Set<Load<Item, Result>>();

  constructor(
    group: Group<Item, Result>,
    loads: Loads<Item, Result>,
    config: BatcherConfig<Item, Key>,
    sender: Sender<Item, Result, Key>,
  ) {
    this.#group = group;
    this.loads = loads;
    this.#config = config;
    this.#sender = sender;
  }

  /** Goes on after a failed call of some of the loads. Never rejects. */
  async goOn(loads: Loads<Item, Result>, failure: Failure, attempt = 1): Promise<void> {
    await this.#mend(loads, this.#judged(loads, failure), attempt, false);
  }

  /** @param isSplittable whether it has shown that parts can succeed where the whole failed */
  async #mend(loads: Loads<Item, Result>, failure: Judged, attempt: number, isSplittable: boolean): Promise<void> {
    const { kind, error } = failure;
    const rest = loads.filter(isWanted);
    if (rest.length === 0) return;
    if (kind === 'transient') await this.#repeat(loads, rest, error, attempt);
    // Of one that was not alone it is not known that it is the culprit: that one may have left.
    else if (kind === 'global' || loads.length === 1) this.#sender.fail(rest, error);
    else if (kind === 'composition' || isSplittable || rest.length === 1) await this.#split(loads, rest, error);
    else await this.#probe(loads, rest, error);
  }

  #judged(loads: Loads<Item, Result>, { error }: Failure): Judged {
    const said = this.#said(error, loads) ?? classifyFailure(error);
    if (said === 'transient' && this.#isTired && isAmbiguous(error)) return { error, kind: 'unknown' };
    if (typeof said === 'string') return { error, kind: said };
    this.#group.lane.capacity.state(said, sizeOf(loads));
    return { error, kind: said.kind };
  }

  #said(error: unknown, loads: Loads<Item, Result>): FailureKind | StatedCap | undefined {
    try {
      return this.#config.classify?.(
        error,
        loads.map(({ item }) => item),
      );
    } catch (own) {
      // The failure at hand is what callers must see; that of the classifier is said aside.
      process.emitWarning(`The classify function of batcher '${this.#config.name}' failed: ${own}`);
      return undefined;
    }
  }

  async #repeat(loads: Loads<Item, Result>, rest: Loads<Item, Result>, error: unknown, attempt: number): Promise<void> {
    const { attempts, clock, random } = this.#config;
    const askedMs = retryAfterMs(error, clock.wall()) ?? 0;
    if (isAmbiguous(error) && (attempt >= attempts || rest.every(isTriedOutside))) {
      this.#isTired = true;
      return this.#mend(loads, { error, kind: 'unknown' }, attempt, false);
    }
    if (attempt >= attempts || askedMs > longestPauseMs) return this.#sender.fail(rest, error);
    const pauseMs = askedMs + fullJitterMs(attempt - 1, firstPauseMs, longestPauseMs, random);
    const backAt = clock.now() + pauseMs;
    const again = rest.filter((load) => !isTriedOutside(load) && isWaitedForAt(load, backAt));
    if (again.length === 0 || !mayCallAgain(again)) return this.#sender.fail(rest, error);
    if (again.length < rest.length) {
      const kept = new Set(again);
      this.#sender.fail(
        rest.filter((load) => !kept.has(load)),
        error,
      );
    }
    await this.#sender.pause(again, pauseMs);
    const failure = await this.#sender.sendInTurn(this.#batch(again, 'repeat', attempt + 1));
    if (failure) await this.goOn(again, failure, attempt + 1);
  }

  /** @param loads what was sent, of which `rest` is still wanted */
  async #split(loads: Loads<Item, Result>, rest: Loads<Item, Result>, error: unknown): Promise<void> {
    const pieces = rest.length > 1 ? this.#piecesOf(rest) : [rest];
    const outcomes = await Promise.all(
      pieces.map(async (piece) => {
        const outcome = await this.#sendPiece(piece, error);
        // At once: no part waits for another that takes longer.
        await this.#mendPiece(piece, outcome, true);
        return outcome;
      }),
    );
    this.#learn(loads, pieces, outcomes);
  }

  /**
   * What to do about an error that says nothing of itself. Where one half goes well, it was of the composition. Where both fail,
   * an item from either end is asked for alone: if that goes well, it was of the composition as well; if not, nothing goes now.
   */
  async #probe(loads: Loads<Item, Result>, rest: Loads<Item, Result>, error: unknown): Promise<void> {
    const halves = halvesOf(rest);
    const outcomes = await Promise.all(halves.map((half) => this.#sendPiece(half, error)));
    this.#learn(loads, halves, outcomes);
    const isUnclear = rest.length > 3 && outcomes.every((outcome) => isJudged(outcome) && outcome.kind === 'unknown');
    if (!isUnclear) return this.#mendAll(halves, outcomes, outcomes.includes('answered'));
    const ends = [rest.slice(0, 1), rest.slice(-1)];
    const shown = await Promise.all(ends.map((end) => this.#sendPiece(end, error)));
    await this.#mendAll(ends, shown, true);
    if (shown.every(isOfNoItem)) this.#sender.fail(rest, error);
    else await this.#mendAll(halves, outcomes, true);
  }

  async #mendAll(
    pieces: readonly Loads<Item, Result>[],
    outcomes: readonly Outcome[],
    isSplittable: boolean,
  ): Promise<void> {
    await Promise.all(pieces.map((piece, index) => this.#mendPiece(piece, outcomes[index], isSplittable)));
  }

  async #mendPiece(piece: Loads<Item, Result>, outcome: Outcome | undefined, isSplittable: boolean): Promise<void> {
    if (isJudged(outcome)) await this.#mend(piece, outcome, 1, isSplittable);
  }

  async #sendPiece(piece: Loads<Item, Result>, error: unknown): Promise<Outcome> {
    const wanted = piece.filter(isWanted);
    if (wanted.length === 0) return 'unwanted';
    // Where the budget has nothing left, what its batch failed with is the last word for the piece.
    if (!mayCallAgain(wanted)) return { error, kind: 'global' };
    const failure = await this.#sender.sendInTurn(this.#batch(wanted, 'split', 1));
    if (failure) return this.#judged(wanted, failure);
    for (const load of wanted) this.#good.add(load);
    return 'answered';
  }

  #batch(loads: Loads<Item, Result>, trigger: 'split' | 'repeat', attempt: number): Batch<Item, Result> {
    return { group: this.#group, loads, trigger, attempt };
  }

  /** Where all that failed together went well in parts, it was too much. Whoever has left may have been what was wrong. */
  #learn(loads: Loads<Item, Result>, pieces: readonly Loads<Item, Result>[], outcomes: readonly Outcome[]): void {
    if (loads.length < 2 || !loads.every((load) => this.#good.has(load) && !isGone(load))) return;
    if (outcomes.some(isJudged)) return;
    const sizes = pieces.map(sizeOf);
    const largest = sizes.reduce((a, b) =>
      b.weight > a.weight || (b.weight === a.weight && b.items > a.items) ? b : a,
    );
    this.#group.lane.capacity.tooMuch(sizeOf(loads), largest);
  }

  /** What goes into a call by now, where a cap was stated; else halves. */
  #piecesOf(rest: Loads<Item, Result>): readonly Loads<Item, Result>[] {
    const { capacity } = this.#group.lane;
    const pieces: Load<Item, Result>[][] = [];
    let piece: Load<Item, Result>[] = [];
    let weight = 0;
    for (const load of rest) {
      if (piece.length > 0 && (piece.length >= capacity.maxItems || weight + load.weight > capacity.maxWeight)) {
        pieces.push(piece);
        piece = [];
        weight = 0;
      }
      piece.push(load);
      weight += load.weight;
    }
    pieces.push(piece);
    return pieces.length > 1 ? pieces : halvesOf(rest);
  }
}

function halvesOf<T>(list: readonly T[]): readonly (readonly T[])[] {
  const middle = Math.ceil(list.length / 2);
  return [list.slice(0, middle), list.slice(middle)];
}

/** Whether all who wait have a layer around them that tries again, so that nobody does here. */
function isTriedOutside<Item, Result>(load: Load<Item, Result>): boolean {
  return callersOf(load).every(({ context }) => context?.running?.isRetried === true);
}

/** Whether anybody would have the answer of a call that begins then. */
function isWaitedForAt<Item, Result>(load: Load<Item, Result>, instant: number): boolean {
  return callersOf(load).some(({ watch }) => (watch?.endsAt ?? Number.POSITIVE_INFINITY) > instant);
}

/** Every extra call is drawn from the budget, where there is one. */
function mayCallAgain<Item, Result>(loads: Loads<Item, Result>): boolean {
  return budgetOf(loads)?.withdraw('split') ?? true;
}

function isJudged(outcome: Outcome | undefined): outcome is Judged {
  return typeof outcome === 'object';
}

/** An item that has failed alone, and not as one that is bad. */
function isOfNoItem(outcome: Outcome): boolean {
  return isJudged(outcome) && (outcome.kind === 'unknown' || outcome.kind === 'global');
}
