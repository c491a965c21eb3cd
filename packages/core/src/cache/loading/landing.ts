import type { Entry, Lifetime } from '../entry.js';
import type { UnstoredReason } from '../events.js';
import { lifetimeOf, ttlMsOf } from '../freshness.js';
import type { ResolvedCacheOptions } from '../options.js';
import type { Reports } from '../reports.js';
import type { Beginning, NewValue, Tiers } from '../tiers.js';
import type { Directives } from './directives.js';
import type { Flight, Landed } from './flight.js';
import type { Order } from './order.js';
import type { StandIns } from './stand-ins.js';

/** A computation that has ended, for some flights of one order. */
export interface Computed {
  readonly order: Order;
  readonly flights: readonly Flight[];
  /** In the order of the flights. */
  readonly values: readonly unknown[];
  readonly decided: Directives;
  /** Before the store was asked. */
  readonly beginning: Beginning;
  readonly tookMs: number;
}

/** Brings flights to their end: with what was computed, kept where it may be, or with what stands in for it. */
export class Landing {
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #reports: Reports;
  readonly #standIns: StandIns;

  constructor(options: ResolvedCacheOptions, tiers: Tiers, reports: Reports, standIns: StandIns) {
    this.#options = options;
    this.#tiers = tiers;
    this.#reports = reports;
    this.#standIns = standIns;
  }

  /** @returns when the store has what of it is kept; undefined when it is not told */
  land(computed: Computed): Promise<void> | undefined {
    const { order, flights, values, decided, beginning, tookMs } = computed;
    this.#tiers.catchUp();
    const kept: { readonly flight: Flight; readonly value: NewValue }[] = [];
    for (const [index, flight] of flights.entries()) {
      const result = values[index];
      if (order.failsByPlace && result instanceof Error) {
        this.crash(flight, result, tookMs);
        continue;
      }
      const value = this.#newValue(computed, flight, result);
      this.#reports.computed(flight.place, tookMs, flight.isBackground, decided.isUnchanged);
      const reason = this.#whyNot(flight, value.lifetime, decided);
      if (reason === undefined) kept.push({ flight, value });
      else flight.land(computedOf(this.#tiers.handOut(value, reason)));
    }
    const { entries, written } = this.#tiers.keep(
      kept.map(({ value }) => value),
      beginning,
    );
    for (const [index, { flight }] of kept.entries()) {
      const entry = entries[index];
      if (entry) flight.land(computedOf(entry));
    }
    return written;
  }

  /** The computation has failed, for this flight at least. What is within its grace stands in, and is paused for a while. */
  crash(flight: Flight, error: unknown, tookMs: number): void {
    if (flight.isOver) return;
    if (flight.isAbandoned) {
      this.#tiers.unstored(flight.place, 'abandoned');
      flight.fail(error);
      return;
    }
    this.#reports.failed(flight.place, tookMs, flight.isBackground, error);
    if (flight.previous) this.#standIns.pause(flight.previous.entry);
    const answer = this.#standIns.of(flight, 'failed');
    if (answer) flight.land(answer);
    else flight.fail(error);
  }

  #newValue({ order, decided, flights, tookMs }: Computed, { place, previous }: Flight, result: unknown): NewValue {
    // What is found unchanged goes by its tags still, and would cost as much again if it were lost.
    const unchanged = decided.isUnchanged ? previous?.entry : undefined;
    const value = unchanged ? unchanged.value : result;
    const tags = new Set([...order.tags, ...decided.tags, ...(unchanged?.tags ?? [])]);
    const ttlMs = decided.ttlMs ?? order.ttlMs ?? ttlMsOf(value, this.#options);
    const computeMs = Math.max(tookMs / flights.length, unchanged?.computeMs ?? 0);
    return { place, value, lifetime: lifetimeOf(this.#options, ttlMs, [...tags], computeMs) };
  }

  #whyNot(flight: Flight, { tags, freshMs }: Lifetime, decided: Directives): UnstoredReason | undefined {
    if (flight.isVoid || !this.#tiers.isUntouched(flight.place, tags, flight.began)) return 'invalidated';
    if (flight.isAbandoned) return 'abandoned'; // it may have been cut short by its signal
    return decided.isStored && freshMs > 0 ? undefined : 'not-wanted';
  }
}

function computedOf(entry: Entry): Landed {
  return { entry, level: 'computed', stale: false };
}
