import { seededRandom } from '../src/kernel/index.js';
import { Account } from '../src/limiter/account.js';
import type { Amounts, Dimension } from '../src/limiter/dimensions.js';
import type { SharedEvent } from '../src/limiter/shared/events.js';
import { StoreDesk, type StoreDeskOptions } from '../src/limiter/shared/store-desk.js';
import type { LimiterStore, StoreAccount, StoreTake, StoreVerdict } from '../src/limiter/store.js';
import type { FakeClock } from '../src/testing/index.js';

/**
 * What happens to the calls of one process. `dead`: they are refused. `frozen`: nothing is done until it ends, then all of it.
 * `mute`: all is done, and never answered. A number: done at once, answered so many milliseconds later. `slow`: the other way round.
 */
export type StoreFault = 'well' | 'dead' | 'frozen' | 'mute' | number | { readonly slowMs: number };

interface SimulatedAccount {
  readonly account: Account;
  readonly generation: string;
  /** Which processes have been given back what they had, of which generation. */
  readonly restored: Set<string>;
}

const aliveMs = 5_000;

/** The store that processes share, on virtual time: exact, and in trouble on demand. */
export class SimulatedLimits {
  readonly clock: FakeClock;
  readonly #accounts = new Map<string, SimulatedAccount>();
  readonly #heard = new Map<string, number>();
  #generations = 0;
  #handles = 0;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  /** The connection of one process. */
  connect(): SimulatedConnection {
    return new SimulatedConnection(this, `process-${++this.#handles}`);
  }

  loseEverything(): void {
    this.#accounts.clear();
  }

  used(limiter: string, key: string): number[] {
    const now = this.clock.wall();
    return this.#accounts.get(`${limiter} ${key}`)?.account.used(now, now) ?? [];
  }

  take(process: string, request: StoreTake): StoreVerdict {
    const now = this.clock.wall();
    const { own, debt, amounts, limits, lease, penalise = false, more } = request;
    const { account, generation, restored } = this.#open(request);
    if (own && own.generation !== generation && !restored.has(`${process} ${own.generation}`)) {
      restored.add(`${process} ${own.generation}`);
      account.charge(own.amounts, now, now);
    }
    if (debt) account.charge(debt, now, now);
    const decided = (each: Amounts): StoreVerdict => {
      const { ok, binding, waitMs, remaining, resetMs, waitsMs } = account.take(each, now, now, {
        penalise,
        ...(limits && { limits }),
        ...(lease && { lease: { id: lease.id, expiresAt: now + lease.ttlMs } }),
      });
      return { ok, binding, waitMs, remaining, resetMs, waitsMs, generation, at: now };
    };
    const first = decided(amounts);
    return more ? { ...first, more: more.map(decided) } : first;
  }

  settle({ at, generation, corrections, leaseId, ...of }: Parameters<LimiterStore['settle']>[0]): void {
    const now = this.clock.wall();
    const { account, generation: present } = this.#open(of);
    if (leaseId !== undefined) account.release(leaseId);
    const back = corrections.map((each) => Math.max(0, -each));
    if (generation === present) account.refund(back, at, at, now, now);
    const owed = corrections.map((each) => Math.max(0, each));
    account.charge(owed, now, now);
  }

  extend({ leaseId, ttlMs, ...of }: Parameters<LimiterStore['extend']>[0]): boolean {
    const now = this.clock.wall();
    return this.#open(of).account.extend(leaseId, now + ttlMs, now);
  }

  peers(process: string): number {
    const now = this.clock.now();
    this.#heard.set(process, now);
    return [...this.#heard.values()].filter((at) => now - at < aliveMs).length;
  }

  #open({ limiter, key, dimensions }: StoreAccount): SimulatedAccount {
    const name = `${limiter} ${key}`;
    let account = this.#accounts.get(name);
    if (!account) {
      account = { account: new Account(dimensions), generation: `g${++this.#generations}`, restored: new Set() };
      this.#accounts.set(name, account);
    }
    return account;
  }
}

export class SimulatedConnection implements LimiterStore {
  readonly name = 'simulated';
  readonly process: string;
  takesMore = false;
  fault: StoreFault = 'well';
  /** Every call as it was made, in order. */
  readonly made: string[] = [];
  readonly #limits: SimulatedLimits;
  #frozen: (() => void)[] = [];

  constructor(limits: SimulatedLimits, process: string) {
    this.#limits = limits;
    this.process = process;
  }

  /** What was frozen is done now, and answered. */
  thaw(): void {
    this.fault = 'well';
    for (const run of this.#frozen.splice(0)) run();
  }

  take(request: StoreTake): Promise<StoreVerdict> {
    return this.#call('take', () => this.#limits.take(this.process, request));
  }

  settle(request: Parameters<LimiterStore['settle']>[0]): Promise<void> {
    return this.#call(`settle ${request.corrections.map((each) => each + 0).join(',')}`, () =>
      this.#limits.settle(request),
    );
  }

  extend(request: Parameters<LimiterStore['extend']>[0]): Promise<boolean> {
    return this.#call('extend', () => this.#limits.extend(request));
  }

  peers(): Promise<number> {
    return this.#call('peers', () => this.#limits.peers(this.process));
  }

  async close(): Promise<void> {
    this.made.push('close');
  }

  async #call<T>(operation: string, run: () => T): Promise<T> {
    this.made.push(operation);
    const { fault } = this;
    const { clock } = this.#limits;
    const wait = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
    if (fault === 'dead') throw new Error('connection refused');
    if (fault === 'frozen') await new Promise<void>((resolve) => this.#frozen.push(resolve));
    if (typeof fault === 'object') await wait(fault.slowMs);
    const answer = run();
    if (fault === 'mute') return new Promise(() => {});
    if (typeof fault === 'number') await wait(fault);
    return answer;
  }
}

export interface DeskProcess {
  readonly desk: StoreDesk;
  readonly store: SimulatedConnection;
  /** What it reports, in a few words each. */
  readonly log: string[];
}

/** A process with a desk of its own, on the store of all. */
export function deskOn(
  limits: SimulatedLimits,
  options: Partial<StoreDeskOptions> & Pick<StoreDeskOptions, 'dimensions'>,
): DeskProcess {
  const log: string[] = [];
  const store = limits.connect();
  const desk = new StoreDesk({
    name: 'test',
    store,
    storeTimeoutMs: 50,
    onStoreError: 'local',
    prefetch: 0,
    maxKeys: 1_000,
    penalise: false,
    clock: limits.clock,
    random: seededRandom(1),
    onEvent: (event) => log.push(words(event)),
    ...options,
  });
  return { desk, store, log };
}

function words(event: SharedEvent): string {
  if (event.type === 'limiter.store-failed') return `${event.operation} failed`;
  return event.type === 'limiter.store-state' ? event.state : `told ${event.keys}`;
}

/** So many requests in a window of that length. */
export function windowOf(limit: number, windowMs = 60_000, burst?: number): Dimension {
  return { kind: 'window', name: 'window', unit: 'requests', limit, windowMs, burst };
}
