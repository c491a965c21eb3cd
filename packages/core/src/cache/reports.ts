import { currentContext } from '../kernel/index.js';
import type { CacheLevel, Staleness } from './contract.js';
import type { CacheEvent, UnstoredReason } from './events.js';
import type { Place } from './place.js';

type AuditEvent = Extract<CacheEvent, { type: 'cache.audit' }>;

export interface ReportOptions {
  readonly name: string;
  readonly audit: boolean;
  readonly onEvent: ((event: CacheEvent) => void) | undefined;
}

/** Says what a cache decides. Nothing is computed where nobody listens, and no digest unless somebody reads it. */
export class Reports {
  readonly #cache: string;
  readonly #audit: boolean;
  readonly #emit: ((event: CacheEvent) => void) | undefined;

  constructor({ name, audit, onEvent }: ReportOptions) {
    this.#cache = name;
    this.#audit = audit;
    this.#emit = onEvent;
  }

  /** Whether anybody listens: where saying something costs more than a call, it is asked first. */
  get isHeard(): boolean {
    return this.#emit !== undefined;
  }

  hit(
    place: Place,
    level: Exclude<CacheLevel, 'computed'>,
    ageMs: number,
    savedMs: number,
    stale: false | Staleness,
  ): void {
    this.#emit?.(new HitEvent(this.#cache, place, level, ageMs, savedMs, stale));
  }

  miss(place: Place): void {
    this.#of(place, (of) => ({ type: 'cache.miss', ...of }));
  }

  computed(place: Place, ms: number, background: boolean, notModified: boolean): void {
    this.#of(place, (of) => ({ type: 'cache.computed', ...of, ms, background, notModified }));
  }

  failed(place: Place, ms: number, background: boolean, error: unknown): void {
    this.#of(place, (of) => ({ type: 'cache.failed', ...of, ms, background, error }));
  }

  refreshSkipped(place: Place): void {
    this.#of(place, (of) => ({ type: 'cache.refresh-skipped', ...of }));
  }

  unstored(place: Place, reason: UnstoredReason): void {
    this.#of(place, (of) => ({ type: 'cache.unstored', ...of, reason }));
  }

  evicted(place: Place, reason: Extract<CacheEvent, { type: 'cache.evicted' }>['reason'], bytes: number): void {
    this.#of(place, (of) => ({ type: 'cache.evicted', ...of, reason, bytes }));
  }

  rejected(place: Place, reason: Extract<CacheEvent, { type: 'cache.rejected' }>['reason']): void {
    this.#of(place, (of) => ({ type: 'cache.rejected', ...of, reason }));
  }

  invalidated(
    by: Extract<CacheEvent, { type: 'cache.invalidated' }>['by'],
    count: number,
    from: { foreign: boolean; deferred: boolean },
  ): void {
    this.#emit?.({ type: 'cache.invalidated', cache: this.#cache, by, count, ...from });
  }

  audit(operation: AuditEvent['operation'], place: Place, outcome: AuditEvent['outcome']): void {
    if (!this.#audit) return;
    const who = currentContext()?.attributes ?? {};
    this.#of(place, (of) => ({ type: 'cache.audit', ...of, operation, outcome, who }));
  }

  #of(place: Place, event: (of: { cache: string; tenant: string | undefined; key: string }) => CacheEvent): void {
    this.#emit?.(event({ cache: this.#cache, tenant: place.tenant, key: place.id }));
  }
}

/** Its key is a getter of its class: one of its own would cost half a microsecond to define, for each hit. */
class HitEvent {
  readonly type = 'cache.hit';
  readonly cache: string;
  readonly tenant: string | undefined;
  readonly level: Exclude<CacheLevel, 'computed'>;
  readonly ageMs: number;
  readonly savedMs: number;
  readonly stale: false | Staleness;
  readonly #place: Place;

  constructor(
    cache: string,
    place: Place,
    level: Exclude<CacheLevel, 'computed'>,
    ageMs: number,
    savedMs: number,
    stale: false | Staleness,
  ) {
    this.cache = cache;
    this.tenant = place.tenant;
    this.level = level;
    this.ageMs = ageMs;
    this.savedMs = savedMs;
    this.stale = stale;
    this.#place = place;
  }

  get key(): string {
    return this.#place.id;
  }

  toJSON(): object {
    return { ...this, key: this.key };
  }
}
