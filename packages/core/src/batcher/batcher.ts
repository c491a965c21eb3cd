import {
  abortReason,
  ambientRules,
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
  systemClock,
  type Timer,
  WarmpathError,
} from '../kernel/index.js';

/**
 * Answers many items in one call: one result for each, in their order; an Error value fails its own item alone. It runs
 * with the tenant that its items have in common, or with none.
 */
export type BatchFunction<Item, Result> = (
  items: readonly Item[],
  call: { readonly signal: AbortSignal },
) => Promise<readonly (Result | Error)[]>;

export interface BatcherOptions {
  /** Names the batcher in errors and events. Default `'batcher'`. */
  readonly name?: string;
  /** A batch of this size goes at once. Default 32. */
  readonly maxItems?: number;
  /** How long an item waits for others at the most. Default 50 ms. */
  readonly window?: Duration;
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
  /** Sends what is waiting, refuses what comes later (`WP_CLOSED`) and waits for the calls under way. */
  close(): Promise<void>;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly tenant: string | undefined;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** A batch's state lives with the batch, never in the batcher: the next one may fill while this one is under way. */
interface Batch<Item, Result> {
  readonly waiting: Set<Waiting<Item, Result>>;
  readonly controller: AbortController;
  timer: Timer | undefined;
  sent: boolean;
}

const rules: Rules<BatcherOptions> = {
  name: rule.text,
  maxItems: rule.integer(1),
  window: rule.duration,
  clock: ambientRules.clock,
  onEvent: ambientRules.onEvent,
};

/**
 * Packs single calls into batches: one goes when it is full or when its first item has waited for the window.
 * @throws WarmpathError `WP_BAD_OPTION`; a load rejects with the batch function's error, or `WP_BATCH_MISMATCH`
 */
export function createBatcher<Item, Result>(
  run: BatchFunction<Item, Result>,
  options: BatcherOptions = {},
): Batcher<Item, Result> {
  checkOptions('createBatcher()', options, rules);
  const { name = 'batcher', maxItems = 32, window = '50ms', clock = systemClock, onEvent } = options;
  const windowMs = durationMs(window);
  const what = `Batcher '${name}'`;
  const underWay = new Set<Promise<void>>();
  let filling: Batch<Item, Result> | undefined;
  let closed = false;

  function load(item: Item, call: { readonly signal?: AbortSignal } = {}): Promise<Result> {
    if (closed) return Promise.reject(new WarmpathError('WP_CLOSED', `Batcher '${name}' is closed.`));
    const context = currentContext();
    const parents = [call.signal, context?.signal];
    for (const parent of parents) if (parent?.aborted) return Promise.reject(abortReason(parent));
    const timeoutMs = remainingMs(clock);
    if (timeoutMs === 0) return Promise.reject(deadlineError(what, 0));
    const batch = filling ?? open();
    const result = new Promise<Result>((resolve, reject) => {
      const waiting: Waiting<Item, Result> = { item, tenant: context?.tenant, resolve, reject };
      batch.waiting.add(waiting);
      if (timeoutMs < Number.POSITIVE_INFINITY || parents.some(Boolean)) {
        leaveOnAbort(batch, waiting, linkAbort({ parents, timeoutMs, clock, what }));
      }
    });
    if (batch.waiting.size >= maxItems) send(batch);
    return result;
  }

  function open(): Batch<Item, Result> {
    const batch: Batch<Item, Result> = {
      waiting: new Set(),
      controller: new AbortController(),
      timer: undefined,
      sent: false,
    };
    batch.timer = clock.schedule(windowMs, () => send(batch));
    filling = batch;
    return batch;
  }

  function leaveOnAbort(batch: Batch<Item, Result>, waiting: Waiting<Item, Result>, caller: LinkedAbort): void {
    const { signal, release } = caller;
    const leave = (): void => {
      batch.waiting.delete(waiting);
      reject(abortReason(signal));
      if (batch.waiting.size > 0) return;
      if (batch.sent) batch.controller.abort(signal.reason);
      else discard(batch);
    };
    const { resolve, reject } = waiting;
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

  function discard(batch: Batch<Item, Result>): void {
    batch.timer?.cancel();
    if (filling === batch) filling = undefined;
  }

  function send(batch: Batch<Item, Result>): void {
    discard(batch);
    batch.sent = true;
    const call = deliver(batch);
    underWay.add(call);
    void call.finally(() => underWay.delete(call));
  }

  /** Never rejects: what goes wrong reaches the items. */
  async function deliver(batch: Batch<Item, Result>): Promise<void> {
    const sent = [...batch.waiting];
    const { signal } = batch.controller;
    const began = clock.now();
    let type: BatcherEvent['type'] = 'batch.done';
    try {
      const items = sent.map(({ item }) => item);
      const results = await runShared(signal, () => run(items, { signal }), { tenant: commonTenant(sent) });
      if (!Array.isArray(results) || results.length !== sent.length) throw mismatch(name, sent.length, results);
      for (const [index, waiting] of sent.entries()) {
        const result = results[index] as Result | Error;
        if (result instanceof Error) waiting.reject(result);
        else waiting.resolve(result);
      }
    } catch (error) {
      type = 'batch.failed';
      for (const waiting of sent) waiting.reject(error);
    }
    batch.waiting.clear();
    onEvent?.({ type, batcher: name, items: sent.length, ms: clock.now() - began });
  }

  return {
    load,
    loadMany: (items, call) => Promise.all(items.map((item) => load(item, call))),
    async close() {
      closed = true;
      if (filling) send(filling);
      await Promise.all(underWay);
    },
  };
}

/** Whose work a batch is: nobody's where its items come from several tenants, so that none sees what is another's. */
function commonTenant(sent: readonly { readonly tenant: string | undefined }[]): string | undefined {
  const [first] = sent;
  return sent.every(({ tenant }) => tenant === first?.tenant) ? first?.tenant : undefined;
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
