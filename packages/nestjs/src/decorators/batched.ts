import type { Batcher, BatcherOptions } from '@warmpath/core/batcher';
import { checkOptions, currentContext, type Rules, rule, runInContext, WarmpathError } from '@warmpath/core/kernel';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import { PartsByName } from './parts-by-name.js';

export interface BatchedOptions<Run extends string = string>
  extends Omit<BatcherOptions, 'name' | 'clock' | 'onEvent'> {
  /** The public method of the same class that answers many items at once. */
  readonly run: Run;
  /**
   * Whose items travel together. `'caller'` (default): those of one tenant. `'shared'`: everybody's, for methods that
   * treat all tenants alike, such as embedding a text. Items of different instances are never mixed.
   */
  readonly scope?: 'caller' | 'shared';
  /** Names the batcher in events and metrics. Default `Class.method`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

/** What the batch method learns beside its items. */
export interface BatchCall {
  /** Aborted when nobody waits for the batch any more. */
  readonly signal: AbortSignal;
}

/** The batch method: one result for each item, in their order; an Error value fails its own item alone. */
export type BatchMethod<Item, Result> = (items: Item[], call: BatchCall) => Promise<readonly (Result | Error)[]>;

/** A decorator for methods of one parameter, in classes that have the named batch method for it. */
export interface BatchedDecorator<Run extends string> {
  <Item, Result>(
    target: { readonly [Name in Run]: BatchMethod<Item, Result> },
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<(item: Item) => Promise<Result>>,
  ): void;
  <Item, Result, This extends { readonly [Name in Run]: BatchMethod<Item, Result> }>(
    method: (this: This, item: Item) => Promise<Result>,
    context: ClassMethodDecoratorContext<This, (this: This, item: Item) => Promise<Result>>,
  ): (this: This, item: Item) => Promise<Result>;
}

/** One call on its way into a batch. */
interface Passenger {
  readonly self: object;
  readonly tenant: string | undefined;
  readonly item: unknown;
}

const rules: Rules<BatchedOptions> = {
  run: rule.required(rule.text),
  scope: rule.oneOf('caller', 'shared'),
  name: rule.text,
  strict: rule.boolean,
  maxItems: rule.integer(1),
  window: rule.duration,
};

/**
 * Packs calls into batches: callers go on asking for one item, the method named by `run` gets many.
 * ```ts
 * @Batched({ run: 'embedMany', maxItems: 64, window: '10ms' })
 * embed(text: string): Promise<number[]> { return this.embedMany([text]).then(([vector]) => vector); }
 *
 * embedMany(texts: string[]): Promise<(number[] | Error)[]> { ... }
 * ```
 * The decorated method's own body runs only where there is no WarmpathModule, and for layers inside this one it does not.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function Batched<Run extends string>(options: BatchedOptions<Run>): BatchedDecorator<Run> {
  checkOptions<BatchedOptions>('@Batched()', options, rules);
  const { run, scope = 'caller', name, strict = false, ...limits } = options;
  const batchers = new PartsByName<Batcher<Passenger, unknown>>();
  const policy: Policy = {
    kind: 'Batched',
    strict,
    layer(runtime, { id }) {
      const batcher = batchers.get(runtime, name ?? id, (own) =>
        runtime.batcher<Passenger, unknown>(
          own,
          (passengers, call) => {
            return runGroups(passengers, scope, (self, items) => callBatchMethod(self, run, own, items, call));
          },
          limits,
        ),
      );
      return (self, [item]) => batcher.load({ self, tenant: currentContext()?.tenant, item });
    },
  };
  return applyPolicy(policy) as BatchedDecorator<Run>;
}

/** Splits a batch into groups that may travel together, runs them at once and puts the results back into order. */
async function runGroups(
  passengers: readonly Passenger[],
  scope: 'caller' | 'shared',
  run: (self: object, items: unknown[]) => Promise<readonly unknown[]>,
): Promise<unknown[]> {
  const groups = new Map<object, Map<string | undefined, number[]>>();
  for (const [index, { self, tenant }] of passengers.entries()) {
    const byTenant = groups.get(self) ?? new Map<string | undefined, number[]>();
    groups.set(self, byTenant);
    const group = scope === 'shared' ? undefined : tenant;
    byTenant.set(group, [...(byTenant.get(group) ?? []), index]);
  }
  const results: unknown[] = new Array(passengers.length);
  const runs: Promise<void>[] = [];
  for (const [self, byTenant] of groups) {
    for (const [tenant, indices] of byTenant) {
      const items = indices.map((index) => passengers[index]?.item);
      const answered = runInContext({ tenant }, () => run(self, items)).then(
        (answers) => {
          for (const [position, index] of indices.entries()) results[index] = answers[position];
        },
        (error: unknown) => {
          for (const index of indices) results[index] = asError(error); // a group that fails fails alone
        },
      );
      runs.push(answered);
    }
  }
  await Promise.all(runs);
  return results;
}

async function callBatchMethod(
  self: object,
  run: string,
  id: string,
  items: unknown[],
  call: BatchCall,
): Promise<readonly unknown[]> {
  const method: unknown = Reflect.get(self, run);
  if (typeof method !== 'function') {
    throw new WarmpathError('WP_BAD_OPTION', `@Batched() on ${id}: the class has no method '${run}'.`, {
      details: { method: id, run },
    });
  }
  const results: unknown = await Reflect.apply(method, self, [items, call]);
  if (Array.isArray(results) && results.length === items.length) return results;
  const got = Array.isArray(results) ? `${results.length} results` : `no list but ${typeof results}`;
  throw new WarmpathError(
    'WP_BATCH_MISMATCH',
    `@Batched() on ${id}: '${run}' got ${items.length} items and returned ${got}. It must return one result for each, in ` +
      'their order; an Error value fails its item alone.',
    { details: { method: id, run, items: items.length } },
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}
