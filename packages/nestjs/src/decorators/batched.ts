import {
  type BatchCall,
  type Batcher,
  type BatcherOptions,
  type BatchResults,
  batcherRules,
} from '@warmpath/core/batcher';
import { checkOptions, type Rules, rule, WarmpathError } from '@warmpath/core/kernel';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import { PartsByName } from './parts-by-name.js';

export interface BatchedOptions<Run extends string = string>
  extends Omit<BatcherOptions, 'name' | 'weight' | 'key' | 'classify' | 'apart' | 'clock' | 'random' | 'onEvent'> {
  /** The public method of the same class that answers many items at once. */
  readonly run: Run;
  /** Names the batcher in events and metrics. Default `Class.method`. */
  readonly name?: string;
  /** As in `BatcherOptions`, of whatever the method takes. */
  readonly weight?: OfItems<NonNullable<BatcherOptions['weight']>>;
  readonly key?: OfItems<(item: unknown) => unknown> | false;
  readonly classify?: OfItems<NonNullable<BatcherOptions['classify']>>;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

/** A function of items whose type the decorated method decides, which the compiler sees only later. */
type OfItems<Run extends (...args: never[]) => unknown> = { run(...args: Parameters<Run>): ReturnType<Run> }['run'];

/**
 * The batch method: one result for each item in their order, a Map by item (or by `key`), or nothing where it has called
 * `call.settle` for each; an Error value fails its own item alone.
 */
export type BatchMethod<Item, Result> = (
  items: Item[],
  call: BatchCall<Result>,
  // A method that settles each item has nothing to return.
  // biome-ignore lint/suspicious/noConfusingVoidType: see above
) => Promise<BatchResults<Result, unknown> | void>;

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

const { name: _name, apart: _apart, clock: _clock, random: _random, onEvent: _onEvent, ...policyRules } = batcherRules;
const rules: Rules<BatchedOptions> = {
  ...policyRules,
  run: rule.required(rule.text),
  name: rule.text,
  strict: rule.boolean,
};

/**
 * Packs calls into batches: callers go on asking for one item, the method named by `run` gets many.
 * ```ts
 * @Batched({ run: 'embedMany', maxItems: 64, window: '10ms' })
 * embed(text: string): Promise<number[]> { return this.embedMany([text]).then(([vector]) => vector); }
 *
 * embedMany(texts: string[]): Promise<(number[] | Error)[]> { ... }
 * ```
 * Items of different instances never travel together, nor do those of different tenants unless `scope` is `'shared'`.
 * The decorated method's own body runs only where there is no WarmpathModule, and for layers inside this one it does not.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function Batched<const Run extends string>(options: BatchedOptions<Run>): BatchedDecorator<Run> {
  checkOptions<BatchedOptions>('@Batched()', options, rules);
  const { run, name, strict = false, ...limits } = options;
  const batchers = new PartsByName<Batcher<unknown, unknown>>();
  const policy: Policy = {
    kind: 'Batched',
    strict,
    calls: run,
    layer(runtime, { id }) {
      const batcher = batchers.get(runtime, name ?? id, (own) =>
        runtime.batcher<unknown, unknown, unknown>(
          own,
          (items, call) => callBatchMethod(run, own, items, call),
          limits,
        ),
      );
      return (self, [item]) => batcher.load(item, { apart: self });
    },
  };
  return applyPolicy(policy) as BatchedDecorator<Run>;
}

/** Items of different instances are apart, by the instance. */
async function callBatchMethod(
  run: string,
  id: string,
  items: readonly unknown[],
  call: BatchCall<unknown>,
): Promise<BatchResults<unknown, unknown>> {
  const self = call.apart as object;
  const method: unknown = Reflect.get(self, run);
  if (typeof method !== 'function') {
    throw new WarmpathError('WP_BAD_OPTION', `@Batched() on ${id}: the class has no method '${run}'.`, {
      details: { method: id, run },
    });
  }
  return Reflect.apply(method, self, [[...items], call]);
}
