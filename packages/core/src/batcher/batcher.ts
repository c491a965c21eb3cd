import {
  abortReason,
  ambientRules,
  badOption,
  type Clock,
  checkOptions,
  currentContext,
  type Duration,
  deadlineError,
  durationMs,
  type LinkedAbort,
  linkAbort,
  type Rules,
  remainingMs,
  rule,
  runShared,
  safeListener,
  systemClock,
  type Timer,
  untilAborted,
  WarmpathError,
} from '../kernel/index.js';

/**
 * Answers many items in one call: one result for each, in their order; an Error value fails its own item alone. It runs
 * with the tenant of its items, or with none where `scope` is `'shared'`.
 */
export type BatchFunction<Item, Result> = (
  items: readonly Item[],
  call: { readonly signal: AbortSignal },
) => Promise<readonly (Result | Error)[]>;

export interface BatcherOptions<Item = unknown> {
  /** Names the batcher in errors and events. Default `'batcher'`. */
  readonly name?: string;
  /** A batch of this size goes at once. Default 32. */
  readonly maxItems?: number;
  /** How long an item waits for others at the most. Default 50 ms. */
  readonly window?: Duration;
  /**
   * Whose items travel together. `'caller'` (default): those of one tenant, and the call runs as that tenant. `'shared'`:
   * everybody's, and the call runs as nobody; for work that treats all alike, such as embedding a text.
   */
  readonly scope?: 'caller' | 'shared';
  /** Items for which this differs never travel together, such as those for two models. Default: all may. */
  readonly apart?: (item: Item) => unknown;
  readonly clock?: Clock;
  readonly onEvent?: (event: BatcherEvent) => void;
}

export interface BatcherEvent {
  readonly type: 'batch.done' | 'batch.failed';
  readonly batcher: string;
  readonly items: number;
  readonly ms: number;
}

export interface Batcher<Item, Result> {
  /**
   * The result of one item, which travels with others. A caller whose signal is aborted leaves: before the batch goes its
   * item is taken out, afterwards the call goes on for the others and is aborted when nobody is left.
   */
  load(item: Item, call?: { readonly signal?: AbortSignal }): Promise<Result>;
  /** `load` for each item; rejects with the first failure. */
  loadMany(items: readonly Item[], call?: { readonly signal?: AbortSignal }): Promise<Result[]>;
  /**
   * Sends what is waiting, refuses what comes later (`WP_CLOSED`) and waits for the calls under way, for 5 s at the most:
   * those that are not over by then are aborted and their items rejected.
   */
  close(): Promise<void>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** A batch's state lives with the batch, never in the batcher: the next one may fill while this one is under way. */
interface Batch<Item, Result> {
  readonly apart: unknown;
  readonly tenant: string | undefined;
  readonly waiting: Set<Waiting<Item, Result>>;
  readonly controller: AbortController;
  timer: Timer | undefined;
  sent: boolean;
}

export const batcherRules: Rules<BatcherOptions> = {
  name: rule.text,
  maxItems: rule.integer(1),
  window: rule.duration,
  scope: rule.oneOf('caller', 'shared'),
  apart: rule.function,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

/** How long `close()` waits for calls under way. */
const closeGraceMs = 5_000;

/**
 * Packs single calls into batches: one goes when it is full or when its first item has waited for the window.
 * @throws WarmpathError `WP_BAD_OPTION`; a load rejects with the batch function's error, or `WP_BATCH_MISMATCH`
 */
export function createBatcher<Item, Result>(
  run: BatchFunction<Item, Result>,
  options: BatcherOptions<Item> = {},
): Batcher<Item, Result> {
  checkOptions('createBatcher()', options, batcherRules as Rules<BatcherOptions<Item>>);
  if (typeof run !== 'function') throw badOption('createBatcher()', 'run', 'a function', run);
  return new WindowedBatcher(run, options);
}

class WindowedBatcher<Item, Result> implements Batcher<Item, Result> {
  readonly #run: BatchFunction<Item, Result>;
  readonly #name: string;
  readonly #maxItems: number;
  readonly #windowMs: number;
  readonly #isShared: boolean;
  readonly #apart: (item: Item) => unknown;
  readonly #clock: Clock;
  readonly #onEvent: ((event: BatcherEvent) => void) | undefined;
  /** The batches that are filling, by what keeps them apart and by tenant; none is older than the window. */
  readonly #filling = new Map<unknown, Map<string | undefined, Batch<Item, Result>>>();
  readonly #underWay = new Map<Batch<Item, Result>, Promise<void>>();
  #closed = false;

  constructor(run: BatchFunction<Item, Result>, options: BatcherOptions<Item>) {
    const { name = 'batcher', maxItems = 32, window = '50ms', scope = 'caller', apart = () => undefined } = options;
    const { clock = systemClock, onEvent } = options;
    this.#run = run;
    this.#name = name;
    this.#maxItems = maxItems;
    this.#windowMs = durationMs(window);
    this.#isShared = scope === 'shared';
    this.#apart = apart;
    this.#clock = clock;
    this.#onEvent = safeListener(onEvent);
  }

  load(item: Item, call: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    if (this.#closed) return Promise.reject(this.#closedError());
    const what = `Batcher '${this.#name}'`;
    const context = currentContext();
    const parents = [call.signal, context?.signal];
    for (const parent of parents) if (parent?.aborted) return Promise.reject(abortReason(parent));
    const timeoutMs = remainingMs(this.#clock);
    if (timeoutMs === 0) return Promise.reject(deadlineError(what, 0));
    const batch = this.#batchFor(this.#apart(item), this.#isShared ? undefined : context?.tenant);
    const result = new Promise<Result>((resolve, reject) => {
      const waiting: Waiting<Item, Result> = { item, resolve, reject };
      batch.waiting.add(waiting);
      if (timeoutMs < Number.POSITIVE_INFINITY || parents.some(Boolean)) {
        this.#leaveOnAbort(batch, waiting, linkAbort({ parents, timeoutMs, clock: this.#clock, what }));
      }
    });
    if (batch.waiting.size >= this.#maxItems) this.#send(batch);
    return result;
  }

  loadMany(items: readonly Item[], call?: { readonly signal?: AbortSignal }): Promise<Result[]> {
    return Promise.all(items.map((item) => this.load(item, call)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const byTenant of [...this.#filling.values()]) for (const batch of [...byTenant.values()]) this.#send(batch);
    const limit = linkAbort({ timeoutMs: closeGraceMs, clock: this.#clock, what: `Closing batcher '${this.#name}'` });
    try {
      await untilAborted(Promise.all(this.#underWay.values()), limit.signal); // deliver() never rejects
    } catch {
      for (const batch of this.#underWay.keys()) {
        batch.controller.abort(this.#closedError());
        for (const waiting of batch.waiting) waiting.reject(this.#closedError());
      }
    } finally {
      limit.release();
    }
  }

  #batchFor(apart: unknown, tenant: string | undefined): Batch<Item, Result> {
    const byTenant = this.#filling.get(apart) ?? new Map<string | undefined, Batch<Item, Result>>();
    const filling = byTenant.get(tenant);
    if (filling) return filling;
    const controller = new AbortController();
    const batch: Batch<Item, Result> = {
      apart,
      tenant,
      waiting: new Set(),
      controller,
      timer: undefined,
      sent: false,
    };
    batch.timer = this.#clock.schedule(this.#windowMs, () => this.#send(batch));
    this.#filling.set(apart, byTenant.set(tenant, batch));
    return batch;
  }

  #leaveOnAbort(batch: Batch<Item, Result>, waiting: Waiting<Item, Result>, caller: LinkedAbort): void {
    const { signal, release } = caller;
    const { resolve, reject } = waiting;
    const leave = (): void => {
      batch.waiting.delete(waiting);
      reject(abortReason(signal));
      if (batch.waiting.size > 0) return;
      if (batch.sent) batch.controller.abort(signal.reason);
      else this.#discard(batch);
    };
    waiting.resolve = (result) => {
      release();
      resolve(result);
    };
    waiting.reject = (error) => {
      release();
      reject(error);
    };
    signal.addEventListener('abort', leave, { once: true });
  }

  #discard(batch: Batch<Item, Result>): void {
    batch.timer?.cancel();
    const byTenant = this.#filling.get(batch.apart);
    if (byTenant?.get(batch.tenant) !== batch) return;
    byTenant.delete(batch.tenant);
    if (byTenant.size === 0) this.#filling.delete(batch.apart);
  }

  #send(batch: Batch<Item, Result>): void {
    this.#discard(batch);
    batch.sent = true;
    const call = this.#deliver(batch);
    this.#underWay.set(batch, call);
    void call.finally(() => this.#underWay.delete(batch));
  }

  /** Never rejects: what goes wrong reaches the items. */
  async #deliver({ waiting, tenant, controller }: Batch<Item, Result>): Promise<void> {
    const sent = [...waiting];
    const { signal } = controller;
    const began = this.#clock.now();
    let type: BatcherEvent['type'] = 'batch.done';
    try {
      const items = sent.map(({ item }) => item);
      const results = await runShared(signal, tenant, () => this.#run(items, { signal }));
      if (!Array.isArray(results) || results.length !== sent.length) throw mismatch(this.#name, sent.length, results);
      for (const [index, { resolve, reject }] of sent.entries()) {
        const result = results[index] as Result | Error;
        if (result instanceof Error) reject(result);
        else resolve(result);
      }
    } catch (error) {
      type = 'batch.failed';
      for (const { reject } of sent) reject(error);
    }
    waiting.clear();
    this.#onEvent?.({ type, batcher: this.#name, items: sent.length, ms: this.#clock.now() - began });
  }

  #closedError(): WarmpathError {
    return new WarmpathError('WP_CLOSED', `Batcher '${this.#name}' is closed.`, { details: { batcher: this.#name } });
  }
}

function mismatch(name: string, sent: number, results: unknown): WarmpathError {
  const got = Array.isArray(results) ? `${results.length} results` : `no list but ${typeof results}`;
  return new WarmpathError(
    'WP_BATCH_MISMATCH',
    `Batcher '${name}': the batch function got ${sent} items and returned ${got}. It must return one result for each, ` +
      'in their order; an Error value fails its item alone.',
    { details: { batcher: name, items: sent, results: Array.isArray(results) ? results.length : undefined } },
  );
}
