import { setMaxListeners } from 'node:events';
import type { Clock, Random, RedisPort } from '../../../kernel/index.js';
import type { CalendarDimension, Dimension } from '../../dimensions.js';
import { calendarOf, type Period } from '../../meters/calendar.js';
import type { LimiterStore, StoreAccount, StoreExtend, StoreSettle, StoreTake, StoreVerdict } from '../../store.js';
import { AccountCall } from './account-call.js';
import { accountScript } from './account-script.js';
import { HeldPlaces } from './held-places.js';
import { accountKeys, peersKey } from './limit-keys.js';
import { peersScript } from './peers-script.js';
import { Reply } from './reply.js';
import { Shape } from './shape.js';

/** Accounts that machines share. */
export interface RedisLimits extends LimiterStore {
  /** Lets go of its connections, after waiting a moment for what is under way. Idempotent. Later calls are refused. */
  close(): Promise<void>;
}

export interface RedisLimitsSettings {
  readonly name: string;
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** The store over any port. */
export function redisLimitsOver(port: RedisPort, settings: RedisLimitsSettings): RedisLimits {
  return new PortLimits(port, settings);
}

/** The server does nothing else meanwhile. */
const mostInOneCall = 64;
const mostCallsForPeriod = 3;
const peersHeardWithinMs = 5_000;

/** What was sent is waited for: whoever is gone has been charged all the same, and has to know. */
const never = new AbortController().signal;
setMaxListeners(0, never);

class PortLimits implements RedisLimits {
  readonly takesMore = true;
  readonly name: string;
  readonly #port: RedisPort;
  readonly #settings: RedisLimitsSettings;
  /** This process, for the server. */
  readonly #process: string;
  readonly #places = new HeldPlaces();
  readonly #shapes = new WeakMap<readonly Dimension[], Shape>();
  /** Of this turn of the event loop, by slot where slots lie on different servers. */
  #calls: Map<string, AccountCall> | undefined;
  /** How far the server's time is ahead of the clock's, as far as is known. */
  #wallAheadMs: number;

  constructor(port: RedisPort, settings: RedisLimitsSettings) {
    const { name, clock, random } = settings;
    this.name = name;
    this.#port = port;
    this.#settings = settings;
    this.#process = randomMark(random);
    this.#wallAheadMs = clock.wall() - clock.now();
    port.onServer((_, owns) => this.#restorePlaces(owns));
  }

  async take(request: StoreTake): Promise<StoreVerdict> {
    const { shape, keys, call } = this.#place(request);
    const { lease } = request;
    const verdict = await call.take(shape, keys, request);
    if (lease && verdict.ok && shape.hasPlaces) this.#hold(shape, keys, lease.id, lease.ttlMs);
    return verdict;
  }

  async settle(request: StoreSettle): Promise<void> {
    const { shape, keys, call } = this.#place(request);
    if (request.leaseId !== undefined) this.#places.release(keys, request.leaseId);
    return call.settle(shape, keys, request);
  }

  async extend(request: StoreExtend): Promise<boolean> {
    if (!this.#shapeOf(request.dimensions).hasPlaces) return true;
    const { shape, keys, call } = this.#place(request);
    const { leaseId, ttlMs } = request;
    const isHeld = await call.extend(shape, keys, leaseId, ttlMs);
    if (isHeld) this.#hold(shape, keys, leaseId, ttlMs);
    return isHeld;
  }

  async peers(signal: AbortSignal): Promise<number> {
    signal.throwIfAborted();
    const key = peersKey(this.#settings.prefix);
    return Number(await this.#port.run(peersScript, [key], [this.#process, `${peersHeardWithinMs}`], signal));
  }

  close(): Promise<void> {
    return this.#port.close();
  }

  #place({ limiter, key, dimensions, signal }: StoreAccount): {
    shape: Shape;
    keys: readonly string[];
    call: AccountCall;
  } {
    signal.throwIfAborted();
    const shape = this.#shapeOf(dimensions);
    const keys = accountKeys(this.#settings.prefix, limiter, key, shape);
    return { shape, keys, call: this.#callFor(this.#port.isCluster ? (keys[0] ?? '') : '') };
  }

  #hold(shape: Shape, keys: readonly string[], leaseId: string, ttlMs: number): void {
    const now = this.#settings.clock.now();
    this.#places.add(shape, keys, leaseId, now + ttlMs, now);
  }

  /** Another server may not know of them. */
  async #restorePlaces(owns: (key: string) => boolean = () => true): Promise<void> {
    const now = this.#settings.clock.now();
    const restored: Promise<unknown>[] = [];
    for (const { shape, keys, expiresAt } of this.#places.held(now)) {
      if (!owns(keys[0] ?? '')) continue;
      let call = new AccountCall();
      for (const [leaseId, until] of expiresAt) {
        restored.push(call.extend(shape, keys, leaseId, until - now, true));
        if (call.size < mostInOneCall) continue;
        restored.push(this.#run(call));
        call = new AccountCall();
      }
      if (call.size > 0) restored.push(this.#run(call));
    }
    await Promise.all(restored);
  }

  #callFor(slot: string): AccountCall {
    if (!this.#calls) {
      this.#calls = new Map();
      queueMicrotask(() => this.#send());
    }
    const begun = this.#calls.get(slot);
    if (begun && begun.size < mostInOneCall) return begun;
    if (begun) void this.#run(begun);
    const call = new AccountCall();
    this.#calls.set(slot, call);
    return call;
  }

  #shapeOf(dimensions: readonly Dimension[]): Shape {
    const known = this.#shapes.get(dimensions);
    if (known) return known;
    const shape = new Shape(dimensions);
    this.#shapes.set(dimensions, shape);
    return shape;
  }

  #send(): void {
    const calls = this.#calls;
    this.#calls = undefined;
    for (const call of calls?.values() ?? []) void this.#run(call);
  }

  async #run(call: AccountCall): Promise<void> {
    const { clock, random } = this.#settings;
    try {
      for (let calls = 1; ; calls++) {
        const ask = call.ask(this.#process, randomMark(random), this.#periodOf);
        const reply = new Reply(await this.#port.run(accountScript, call.keys, [ask], never));
        this.#wallAheadMs = reply.wall - clock.now();
        if (reply.isDecided) return call.resolve(reply);
        if (calls === mostCallsForPeriod) throw new Error(`The time of Redis was in another period ${calls} times.`);
      }
    } catch (error) {
      call.reject(error);
    }
  }

  readonly #periodOf = ({ per, timeZone }: CalendarDimension): Period =>
    calendarOf(per, timeZone).periodAt(this.#wallAheadMs + this.#settings.clock.now());
}

const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** 48 bits in 8 characters. */
function randomMark(random: Random): string {
  let text = '';
  for (let half = 0; half < 2; half++) {
    let bits = Math.floor(random() * 2 ** 24);
    for (let each = 0; each < 4; each++) {
      text += characters[bits % 64];
      bits = Math.floor(bits / 64);
    }
  }
  return text;
}
