import { checkOptions, isSpent, markSpent, type Rules, rule, WarmpathError } from '@warmpath/core/kernel';
import { FallbackError } from '@warmpath/core/retry';
import { applyPolicy } from './apply-policy.js';
import type { Policy } from './decorated-method.js';
import type { ArgumentsFunction, AsyncMethod, FitsArguments } from './decorator-types.js';

type FallbackFunction = (...args: never[]) => unknown;

export interface WithFallbackOptions<To extends string | FallbackFunction = string | FallbackFunction> {
  /** What answers instead: the name of a public method of the same class, or a function. It gets the same arguments. */
  readonly to: To;
  /**
   * Whether an error is a reason to fall back. Default: every error, also those marked non-retryable, since the substitute
   * is another way and not another try. A caller who has left gets its own abort in any case.
   */
  readonly when?: (error: unknown) => boolean;
  /** Names the fallback in events and metrics. Default `Class.method`. */
  readonly name?: string;
  /** Reject with `WP_MODULE_MISSING` where there is no WarmpathModule, instead of running the bare method. */
  readonly strict?: boolean;
}

type Substitute<M extends AsyncMethod> = (...args: Parameters<M>) => ReturnType<M> | Awaited<ReturnType<M>>;

/** What the class or the function has to be so that it can stand in for the method. */
type HasSubstitute<To, M extends AsyncMethod> = To extends string ? { readonly [Name in To]: Substitute<M> } : unknown;
type IsSubstitute<To, M extends AsyncMethod> = To extends ArgumentsFunction
  ? FitsArguments<To, M> & (ReturnType<To> extends ReturnType<M> | Awaited<ReturnType<M>> ? unknown : never)
  : unknown;

export interface WithFallbackDecorator<To> {
  <M extends AsyncMethod>(
    target: HasSubstitute<To, M>,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<M> & IsSubstitute<To, M>,
  ): void;
  <This extends HasSubstitute<To, M>, M extends AsyncMethod>(
    method: M & IsSubstitute<To, M>,
    context: ClassMethodDecoratorContext<This>,
  ): M;
}

const rules: Rules<WithFallbackOptions> = {
  to: rule.required(rule.either(rule.text, rule.function)),
  when: rule.function,
  name: rule.text,
  strict: rule.boolean,
};

/**
 * When the method fails, answers with a substitute that gets the same arguments. Put it above `@Cached`, or the
 * substitute's answer is kept in place of the real one.
 * @throws WarmpathError `WP_BAD_OPTION`; a call rejects with the substitute's error when that fails too
 */
export function WithFallback<To extends string | FallbackFunction>(
  options: WithFallbackOptions<To>,
): WithFallbackDecorator<To> {
  checkOptions<WithFallbackOptions>('@WithFallback()', options, rules);
  const { to, when, name, strict = false } = options;
  const policy: Policy = {
    kind: 'WithFallback',
    strict,
    ...(typeof to === 'string' ? { calls: to } : {}),
    layer(runtime, { id }, next) {
      const chain = runtime.fallback(name ?? id, when && { when });
      const substituteName = typeof to === 'string' ? to : to.name || 'substitute';
      return async (self, args) => {
        const steps = [
          { name: id, run: () => next(self, args) },
          { name: substituteName, run: () => Reflect.apply(substituteOf(self, to, id), self, args) },
        ];
        try {
          return (await chain(steps)).value;
        } catch (error) {
          const isOfThisChain = error instanceof FallbackError && error.failures[0]?.step === id;
          if (!isOfThisChain) throw error;
          // What the method's caller knows how to handle is what a method throws; the other failure is an event.
          throw isSpent(error) ? markSpent(error.cause) : error.cause;
        }
      };
    },
  };
  return applyPolicy(policy) as WithFallbackDecorator<To>;
}

function substituteOf(self: object, to: string | FallbackFunction, id: string): (...args: unknown[]) => unknown {
  const found: unknown = typeof to === 'string' ? Reflect.get(self, to) : to;
  if (typeof found === 'function') return found as (...args: unknown[]) => unknown;
  throw new WarmpathError('WP_BAD_OPTION', `@WithFallback() on ${id}: the class has no method '${String(to)}'.`, {
    details: { method: id, to: String(to) },
  });
}
