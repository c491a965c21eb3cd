import { type Clock, digestKey, systemClock } from '../../kernel/index.js';
import { Account } from '../account.js';
import type { Amounts } from '../dimensions.js';
import type { LimiterStore, StoreAccount, StoreExtend, StoreSettle, StoreTake, StoreVerdict } from '../store.js';

/** Accounts in this process's memory, as a store that processes share. */
export interface MemoryLimits extends LimiterStore {
  /** A second store over the same accounts, as another process would have. */
  peer(name?: string): MemoryLimits;
  /** Loses all accounts, as a server that starts empty. */
  lose(): void;
}

export interface MemoryLimitsOptions {
  /** Default `'memory'`. */
  readonly name?: string;
  /** Default: the system's. */
  readonly clock?: Clock;
}

interface Ledger {
  readonly account: Account;
  readonly generation: string;
  /** Who has charged what was lost. */
  readonly told: Set<LimiterStore>;
}

interface Server {
  readonly clock: Clock;
  readonly ledgers: Map<string, Ledger>;
  readonly heardAt: Map<LimiterStore, number>;
  generations: number;
}

const heardWithinMs = 5_000;

/**
 * The simplest store that keeps the whole contract, for tests and as a model for stores of one's own. Its accounts are those of
 * a limiter without a store, and none is ever forgotten, so it is for little data.
 */
export function memoryLimits({ name = 'memory', clock = systemClock }: MemoryLimitsOptions = {}): MemoryLimits {
  return new Process({ clock, ledgers: new Map(), heardAt: new Map(), generations: 0 }, name);
}

class Process implements MemoryLimits {
  readonly takesMore = true;
  readonly name: string;
  readonly #server: Server;

  constructor(server: Server, name: string) {
    this.#server = server;
    this.name = name;
  }

  async take(request: StoreTake): Promise<StoreVerdict> {
    const { amounts, dimensions, debt, own, lease, penalise = false, more } = request;
    const limits = request.limits ?? dimensions.map(({ limit }) => limit);
    const { account, generation, told } = this.#ledger(request);
    const [now, wall] = this.#time();
    if (debt) account.charge(debt, now, wall, limits);
    if (own && own.generation !== generation && !told.has(this)) {
      told.add(this);
      account.charge(own.amounts, now, wall, limits);
    }
    const isNew = lease !== undefined && !account.extend(lease.id, now + lease.ttlMs, now);
    const place = isNew ? { lease: { id: lease.id, expiresAt: now + lease.ttlMs } } : {};
    const decided = (each: Amounts): StoreVerdict => {
      const { ok, binding, waitMs, remaining, resetMs, waitsMs } = account.take(each, now, wall, {
        penalise,
        limits,
        ...place,
      });
      return { ok, binding, waitMs, remaining, resetMs, waitsMs, generation, at: now };
    };
    const first = decided(amounts);
    return more ? { ...first, more: more.map(decided) } : first;
  }

  async settle(request: StoreSettle): Promise<void> {
    const { corrections, at, leaseId } = request;
    const { account, generation } = this.#ledger(request);
    const [now, wall] = this.#time();
    if (leaseId !== undefined) account.release(leaseId);
    if (generation === request.generation) {
      const back = corrections.map((correction) => Math.max(0, -correction));
      account.refund(back, at, at + wall - now, now, wall);
    }
    account.charge(corrections, now, wall);
  }

  async extend(request: StoreExtend): Promise<boolean> {
    if (!request.dimensions.some(({ kind }) => kind === 'concurrency')) return true;
    const [now] = this.#time();
    return this.#ledger(request).account.extend(request.leaseId, now + request.ttlMs, now);
  }

  async peers(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const { heardAt, clock } = this.#server;
    heardAt.set(this, clock.now());
    for (const [process, at] of heardAt) if (clock.now() - at >= heardWithinMs) heardAt.delete(process);
    return heardAt.size;
  }

  async close(): Promise<void> {}

  peer(name: string = this.name): MemoryLimits {
    return new Process(this.#server, name);
  }

  lose(): void {
    this.#server.ledgers.clear();
  }

  #time(): readonly [now: number, wall: number] {
    const { clock } = this.#server;
    return [clock.now(), clock.wall()];
  }

  #ledger({ limiter, key, dimensions, signal }: StoreAccount): Ledger {
    signal.throwIfAborted();
    const server = this.#server;
    const place = digestKey([limiter, key, dimensions.map(({ limit: _, ...counted }) => counted)]);
    const known = server.ledgers.get(place);
    if (known) return known;
    const generation = String(++server.generations).padStart(8, '0');
    const ledger = { account: new Account(dimensions), generation, told: new Set<LimiterStore>() };
    server.ledgers.set(place, ledger);
    return ledger;
  }
}
