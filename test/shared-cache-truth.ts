import type { Got, Seen, StoreCallName } from './processes/shared-cache-seen.js';
import { type Span, Timeline, Timelines } from './timeline.js';

type Read = Seen & { readonly type: 'read' };
type Change = Seen & { readonly type: 'change' };
type By<T> = T & { readonly process: number };

/** What was seen in some time, and what of it should not have been. */
export interface Verdict {
  readonly requests: number;
  /** Each with its reason. */
  readonly failures: readonly string[];
  /** Waits beyond what was computed, longest last. */
  readonly waitsMs: readonly number[];
  readonly tooLong: readonly string[];
  /** Those by more than what a busy machine can explain. */
  readonly farTooLong: readonly string[];
  /** Of those who were told that somebody else computes, and nobody did: the lease of one that has gone, or was not heard. */
  readonly orphanedMs: readonly number[];
  readonly hits: Readonly<Record<'memory' | 'store', number>>;
  /** Of each process, the longest time without a hit in memory while the fault lasted. */
  readonly withoutHitMs: readonly number[];
  readonly computed: number;
  readonly deferred: number;
  readonly staleInside: number;
  /** How long after their invalidation was acknowledged, at most. */
  readonly oldestStaleMs: number;
  readonly staleOutside: readonly string[];
  /** The longest one. */
  readonly stalledMs: number;
  /** How often the cache had nothing of the store. */
  readonly storeFailures: number;
}

export interface TruthOptions {
  readonly processes: number;
  readonly storeTimeoutMs: number;
  readonly staleWindowMs: number;
  readonly leaseTtlMs: number;
}

/** A silence is noticed at the next look. */
const noticedWithinMs = 200;
/** Beside the stalls that a process has seen itself. */
const schedulingMs = 25;
/** Hardly ever, on a machine with more processes than cores. */
const rareSchedulingMs = 100;
/** A wait for others takes its first look after this, and later ones after this at most. */
const firstLookMs = 50;
const longestLookMs = 1_000;

/** What all processes have seen, and what they ought to have seen. */
export class Truth {
  readonly #options: TruthOptions;
  readonly #processes: readonly number[];
  readonly #reads = new Timeline<By<Read>>();
  readonly #changes = new Timeline<By<Change>>();
  readonly #computed = new Timeline<By<Seen & { readonly type: 'computed' }>>();
  readonly #givenUp = new Timeline<Seen & { readonly type: 'given up' }>();
  readonly #changesOf = new Timelines<number, By<Change>>();
  readonly #computedOf = new Timelines<number, By<Span>>();
  readonly #heldOf = new Timelines<string, Span>();
  readonly #stallsOf = new Timelines<number, By<Span>>();
  /** When the store has answered, by process and call. */
  readonly #answers = new Timelines<string, Span>();
  /** When the store had confirmed what it was told, by process and name. */
  readonly #told = new Timelines<string, Span>();
  /** Those that may not have been told yet. */
  #deferred: By<Change>[] = [];
  readonly #processOf = new Map<number, number>();

  constructor(options: TruthOptions) {
    this.#options = options;
    this.#processes = Array.from({ length: options.processes }, (_, process) => process);
  }

  add(process: number, pid: number, all: readonly Seen[]): void {
    this.#processOf.set(pid, process);
    for (const seen of all) {
      const by = { ...seen, process };
      if (by.type === 'read') this.#reads.add(by);
      else if (by.type === 'given up') this.#givenUp.add(by);
      else if (by.type === 'stall') this.#stallsOf.of(process).add(by);
      else if (by.type === 'held') for (const key of by.keys) this.#heldOf.of(`${process} ${key}`).add(by);
      else if (by.type === 'change') {
        this.#changes.add(by);
        if (by.deferred && by.way !== 'set') this.#deferred.push(by);
        for (const key of by.keys) this.#changesOf.of(key).add(by);
      } else if (by.type === 'computed') {
        this.#computed.add(by);
        for (const key of by.keys) this.#computedOf.of(key).add(by);
      } else if (by.error === undefined) {
        this.#answers.of(`${process} ${by.call}`).add(by);
        for (const name of by.names) this.#told.of(`${process} ${name}`).add(by);
      }
    }
  }

  /**
   * Since when all is well again after a fault: in each process each kind of call to the store has succeeded since, and what
   * was deferred until then has been told. Undefined as long as that is not so.
   */
  wellSince(faultEnd: number): number | undefined {
    let answeredAt = faultEnd;
    for (const process of this.#processes) {
      for (const call of ['getMany', 'acquire', 'setMany', 'invalidate'] satisfies StoreCallName[]) {
        const good = this.#answers.of(`${process} ${call}`).firstSince(faultEnd);
        if (!good) return undefined;
        answeredAt = Math.max(answeredAt, good.to);
      }
    }
    const deferred = this.#deferred.filter((change) => change.from < answeredAt);
    const wellAt = deferred.reduce((latest, change) => Math.max(latest, this.#toldAt(change)), answeredAt);
    if (wellAt === Number.POSITIVE_INFINITY) return undefined;
    this.#deferred = this.#deferred.filter((change) => this.#toldAt(change) > faultEnd);
    return wellAt;
  }

  /** Of calls that were made between `from` and `to`, with a fault in between. */
  verdict({ from, faultFrom, faultTo, to }: Record<'from' | 'faultFrom' | 'faultTo' | 'to', number>): Verdict {
    const within = <T extends Span>(all: Timeline<T>): T[] =>
      all.overlapping(from, to).filter((each) => each.from >= from && each.from < to);
    const reads = within(this.#reads);
    const changes = within(this.#changes);
    const waits = [...reads, ...changes].map((call) => this.#wait(call));
    const stale = reads.flatMap((read) => read.gots.flatMap((got) => this.#stale(read, got)));
    const inside = stale.filter(({ isInside }) => isInside);
    const stalls = this.#processes.flatMap((process) => within(this.#stallsOf.of(process)));
    const hitsOf = (level: 'memory' | 'store') =>
      reads.reduce((sum, { gots }) => sum + gots.filter((got) => got.level === level).length, 0);
    return {
      requests: reads.length + changes.length,
      failures: [...reads, ...changes].flatMap(({ way, error }) => (error === undefined ? [] : [`${way}: ${error}`])),
      waitsMs: waits.map(({ restMs }) => restMs).sort((a, b) => a - b),
      tooLong: waits.filter(({ restMs, mostMs }) => restMs > mostMs).map(({ text }) => text),
      farTooLong: waits.filter(({ restMs, mostMs }) => restMs > mostMs + rareSchedulingMs).map(({ text }) => text),
      orphanedMs: waits.filter(({ restMs, mayMs }) => restMs > mayMs).map(({ restMs }) => restMs),
      hits: { memory: hitsOf('memory') + reads.filter(isPeekHit).length, store: hitsOf('store') },
      withoutHitMs: this.#processes.map((process) =>
        longestBetween(this.#memoryHits(reads, process), faultFrom, faultTo),
      ),
      computed: within(this.#computed).length,
      deferred: changes.filter(({ way, deferred }) => way !== 'set' && deferred).length,
      staleInside: inside.length,
      oldestStaleMs: inside.reduce((oldest, { ageMs }) => Math.max(oldest, ageMs), 0),
      staleOutside: stale.filter(({ isInside }) => !isInside).map(({ text }) => text),
      storeFailures: within(this.#givenUp).length,
      stalledMs: stalls.reduce((longest, stall) => Math.max(longest, stall.to - stall.from), 0),
    };
  }

  /** How much longer a call took than what was computed for it, here or elsewhere, and how much longer it may. */
  #wait(call: By<Read> | By<Change>): Record<'restMs' | 'mayMs' | 'mostMs', number> & { readonly text: string } {
    const { storeTimeoutMs, leaseTtlMs } = this.#options;
    const { process, way, keys, from, to } = call;
    const waitsForOthers = way === 'resolve' || way === 'getOrSetMany';
    const computed = waitsForOthers ? keys.flatMap((key) => this.#computedOf.of(key).overlapping(from, to)) : [];
    const own = computed.filter((each) => each.process === process);
    const stalls = this.#stallsOf.of(process).overlapping(from, to);
    const ownMs = coveredMs(call, [...own, ...stalls]);
    const othersMs = coveredMs(call, [...computed, ...stalls]) - ownMs;
    const restMs = to - from - ownMs - othersMs;
    const wasHeld = keys.some((key) => this.#heldOf.of(`${process} ${key}`).overlapping(from, to).length > 0);
    // The store is asked once for each computation: one that was invalidated under way is done again for those who came late.
    const aloneMs = Math.max(1, turnsOf(call, own)) * storeTimeoutMs + schedulingMs;
    // Who waited asks it once more, and learns late that the others are done.
    const waitedMs = wasHeld || othersMs > 0 ? storeTimeoutMs + firstLookMs + othersMs : 0;
    const orphanedMs = wasHeld ? leaseTtlMs + longestLookMs : 0;
    const parts = `${ms(ownMs)} computed or stalled, ${ms(othersMs)} computed elsewhere, ${ms(restMs)} more`;
    const text = `${way} ${keys} of process ${process} at ${ms(from)} took ${ms(to - from)}: ${parts}`;
    return { restMs, mayMs: aloneMs + waitedMs, mostMs: aloneMs + Math.max(waitedMs, orphanedMs), text };
  }

  /** Each change that a value should have seen and has not. */
  #stale(read: By<Read>, got: Got): { readonly isInside: boolean; readonly ageMs: number; readonly text: string }[] {
    const { key, readAt, level, isStale, setBy } = got;
    const setter = setBy === undefined ? undefined : this.#processOf.get(setBy);
    // Between a value that was set and what others invalidated while it was on its way, the store decides.
    const landedAt = setter === undefined ? readAt : Math.max(readAt, this.#landedAt(setter, got));
    const isExact = !isStale && (level === 'store' || level === 'computed');
    const mayBeMs = isExact ? 0 : this.#options.staleWindowMs + noticedWithinMs;
    const changes = this.#changesOf.of(key).overlapping(readAt, read.from);
    return changes.flatMap((change) => {
      const isOwn = change.process === read.process;
      const bindsAt = isOwn ? change.from : this.#toldAt(change);
      const valueAt = isOwn && setter === read.process ? readAt : landedAt;
      if (bindsAt >= read.from || valueAt >= change.from || (isStale && change.way === 'expire')) return [];
      const ageMs = read.from - bindsAt;
      const of = `${read.way} ${key} of process ${read.process} at ${ms(read.from)}`;
      const value = `a value of ${ms(readAt)}${setter === undefined ? '' : ', set by hand,'} from ${level}`;
      const text = `${of} gave ${value}, ${ms(ageMs)} after a ${change.way} by process ${change.process} held for it`;
      return [{ isInside: !isOwn && ageMs <= mayBeMs, ageMs, text }];
    });
  }

  /** When the store had confirmed a value that was set by hand. */
  #landedAt(setter: number, { key, readAt }: Got): number {
    const set = this.#changesOf
      .of(key)
      .overlapping(readAt, readAt)
      .find((change) => change.process === setter && change.way === 'set' && change.from === readAt);
    return set ? this.#toldAt(set) : readAt;
  }

  /** From then on a change binds those who have not called for it. */
  #toldAt({ process, names, deferred, from, to }: By<Change>): number {
    if (!deferred) return to;
    return names.reduce((latest, name) => {
      const told = this.#told.of(`${process} ${name}`).firstSince(from);
      return Math.max(latest, told?.to ?? Number.POSITIVE_INFINITY);
    }, from);
  }

  #memoryHits(reads: readonly By<Read>[], process: number): number[] {
    const hits = reads.filter((read) => read.process === process && (isPeekHit(read) || read.gots.some(isFromMemory)));
    return hits.map((read) => read.to);
  }
}

/** The longest time without any of the instants. */
function longestBetween(instants: readonly number[], from: number, to: number): number {
  const times = [from, ...instants.filter((at) => at > from && at < to), to].sort((a, b) => a - b);
  return times.reduce((longest, at, index) => Math.max(longest, at - (times[index - 1] ?? at)), 0);
}

function isPeekHit({ way, gots }: Read): boolean {
  return way === 'peek' && gots.length > 0;
}

function isFromMemory({ level }: Got): boolean {
  return level === 'memory';
}

/** How much of a span others cover, overlaps counted once. */
function coveredMs({ from, to }: Span, others: readonly Span[]): number {
  const parts = others.filter((other) => other.to > from && other.from < to).sort((a, b) => a.from - b.from);
  let covered = 0;
  let until = from;
  for (const part of parts) {
    const [begin, end] = [Math.max(part.from, until), Math.min(part.to, to)];
    if (end > begin) covered += end - begin;
    until = Math.max(until, end);
  }
  return covered;
}

/** How many of them came one after the other. */
function turnsOf({ from, to }: Span, computed: readonly Span[]): number {
  const overlapping = computed.filter((each) => each.to > from && each.from < to).sort((a, b) => a.from - b.from);
  let turns = 0;
  let until = Number.NEGATIVE_INFINITY;
  for (const each of overlapping) {
    if (each.from >= until) turns++;
    until = Math.max(until, each.to);
  }
  return turns;
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
