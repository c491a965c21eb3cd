import { Inject, Logger, Optional } from '@nestjs/common';
import type { Warmpath } from '@warmpath/core';
import { WarmpathError } from '@warmpath/core/kernel';
import { WARMPATH } from '../tokens.js';
import { classLabel } from './class-label.js';
import { getOrMake } from './get-or-make.js';

export type PolicyKind = 'Cached' | 'RateLimited' | 'Batched' | 'WithFallback';

/** One call of a decorated method: on this instance, with these arguments. */
export type Step = (self: object, args: readonly unknown[]) => unknown;

/** What one decorator asks for. */
export interface Policy {
  readonly kind: PolicyKind;
  /** Refuse to run without a runtime, instead of running the bare method. */
  readonly strict: boolean;
  /** The method of the same class that this one calls by name, where it does. */
  readonly calls?: string;
  /** Called once for each runtime and class, never for each call. */
  layer(runtime: Warmpath, place: Place, next: Step): Step;
}

/** Where a layer stands. */
export interface Place {
  /** `Class.method`, distinct for every policy of a kind in one runtime: the name of its cache, limiter or batcher. */
  readonly id: string;
}

/** A method as it was written in a class, with all our decorators on it. */
export interface DecoratedMethod {
  readonly declaredBy: object;
  readonly name: string | symbol;
  /** Outermost first, whatever foreign decorators stand between them. */
  readonly policies: readonly Policy[];
}

type Method = (this: unknown, ...args: unknown[]) => unknown;

interface OpenMethod extends DecoratedMethod {
  readonly policies: Policy[];
  /** One for each wrapper: makes its pipeline ahead of the first call. */
  readonly prepare: ((runtime: Warmpath, self: object) => void)[];
}

/** The policies of one wrapper: those that stand next to each other in the source. Outermost first. */
const wrappers = new WeakMap<object, Policy[]>();
const methods = new WeakMap<object, Map<string | symbol, OpenMethod>>();
const runtimes = new WeakMap<object, Warmpath>();
const warned = new WeakSet<object>();
const slot = Symbol('warmpath.runtime');
const logger = new Logger('Warmpath');

/**
 * Puts a policy around a method and returns what takes the method's place. Decorators run bottom-up, so the newest is the
 * outermost; one that finds a wrapper of ours joins it, one that finds a foreign wrapper gets its own around that.
 */
export function decorateMethod(policy: Policy, target: object, name: string | symbol, value: unknown): Method {
  if (typeof value !== 'function') throw misplaced(policy.kind, target, name, 'is not a method');
  if (typeof target === 'function') throw misplaced(policy.kind, target, name, 'is static, so it has no instance');
  const method = openMethod(target, name);
  method.policies.unshift(policy);
  receiveRuntime(target);
  const joined = wrappers.get(value);
  if (joined) {
    joined.unshift(policy);
    return value as Method;
  }
  return wrap(value as Method, policy, method);
}

/** The same for standard decorators, which learn the class only from its first instance. */
export function decorateStandardMethod(policy: Policy, value: unknown, context: ClassMethodDecoratorContext): Method {
  if (context.static) throw misplaced(policy.kind, Object, context.name, 'is static, so it has no instance');
  const joined = wrappers.get(value as object);
  if (joined) {
    joined.unshift(policy);
    return value as Method;
  }
  let declaredBy: object | undefined;
  const own: Policy[] = [policy];
  const method: OpenMethod = {
    get declaredBy() {
      return declaredBy ?? Object.prototype;
    },
    name: context.name,
    policies: own,
    prepare: [],
  };
  const wrapper = wrap(value as Method, policy, method);
  wrappers.set(wrapper, own);
  context.addInitializer(function learnClass(this: unknown) {
    if (declaredBy !== undefined || typeof this !== 'object' || this === null) return;
    declaredBy = ownerOf(this, context.name);
    getOrMake(methods, declaredBy, () => new Map<string | symbol, OpenMethod>()).set(context.name, method);
  });
  return wrapper;
}

/** The decorated methods of an instance, its class's own and those it inherits. */
export function decoratedMethodsOf(instance: object): DecoratedMethod[] {
  const found: DecoratedMethod[] = [];
  for (let link = Object.getPrototypeOf(instance); link !== null; link = Object.getPrototypeOf(link)) {
    found.push(...(methods.get(link)?.values() ?? []));
  }
  return found;
}

/**
 * Gives an instance its runtime by hand: for objects made without Nest, such as in a unit test. Objects that Nest makes,
 * and those that `useFactory` or `useValue` give it, have theirs already.
 */
export function bindWarmpath<T extends object>(instance: T, runtime: Warmpath): T {
  runtimes.set(instance, runtime);
  return instance;
}

/**
 * Makes the pipelines of an instance's methods before their first call, so that what is wrong with them shows at start.
 * @throws WarmpathError `WP_BAD_OPTION` such as for a name that another decorator has taken
 */
export function prepareMethods(instance: object): void {
  const runtime = runtimes.get(instance);
  if (!runtime) return;
  for (const method of decoratedMethodsOf(instance) as OpenMethod[]) {
    for (const prepare of method.prepare) prepare(runtime, instance);
  }
}

export function unbindWarmpath(instance: object, runtime: Warmpath): void {
  if (runtimes.get(instance) === runtime) runtimes.delete(instance);
}

export function hasRuntime(instance: object): boolean {
  return runtimes.has(instance);
}

function wrap(original: Method, policy: Policy, method: OpenMethod): Method {
  const policies = [policy];
  const pipelines = new WeakMap<Warmpath, WeakMap<object, Step>>();

  const pipelineFor = (runtime: Warmpath, self: object): Step => {
    const byClass = getOrMake(pipelines, runtime, () => new WeakMap<object, Step>());
    return getOrMake(byClass, self.constructor, () => compose(runtime, self.constructor));
  };
  const compose = (runtime: Warmpath, owner: object): Step => {
    const innermost: Step = (self, args) => Reflect.apply(original, self, args);
    return (wrappers.get(wrapper) ?? policies).reduceRight<Step>(
      (next, layer) => layer.layer(runtime, { id: idOf(runtime, owner, method, layer, wrapper) }, next),
      innermost,
    );
  };
  const wrapper: Method = function (this: unknown, ...args: unknown[]): unknown {
    const runtime = runtimeOf(this);
    if (runtime === undefined) return withoutRuntime(method, this, () => Reflect.apply(original, this, args));
    let pipeline: Step;
    try {
      pipeline = pipelineFor(runtime, this as object);
    } catch (error) {
      return Promise.reject(error);
    }
    return pipeline(this as object, args);
  };
  method.prepare.push(pipelineFor);
  // Guards, Swagger and parameter metadata are read from the function: through the link they are the original's, live.
  Object.setPrototypeOf(wrapper, original);
  Object.defineProperty(wrapper, 'name', { value: original.name, configurable: true });
  Object.defineProperty(wrapper, 'length', { value: original.length, configurable: true });
  wrappers.set(wrapper, policies);
  return wrapper;
}

function runtimeOf(self: unknown): Warmpath | undefined {
  if (typeof self !== 'object' || self === null) return undefined;
  // The second way is for a Proxy around the instance.
  return runtimes.get(self) ?? (self as { [slot]?: Warmpath })[slot];
}

function withoutRuntime(method: DecoratedMethod, self: unknown, bare: () => unknown): unknown {
  const owner = typeof self === 'object' && self !== null ? self.constructor : method.declaredBy.constructor;
  const what = `${owner.name}.${String(method.name)}`;
  const decorators = method.policies.map(({ kind }) => `@${kind}`).join(', ');
  const why = 'the app does not import WarmpathModule, or this instance was not made by Nest';
  if (method.policies.some(({ strict }) => strict)) {
    const message = `${what} is marked strict and ran without a runtime for ${decorators}: ${why}.`;
    return Promise.reject(new WarmpathError('WP_MODULE_MISSING', message, { details: { method: what } }));
  }
  if (!warned.has(owner)) {
    warned.add(owner);
    logger.warn(`${what} runs without its ${decorators}: ${why}. Further calls to ${owner.name} are not reported.`);
  }
  return bare();
}

/**
 * `Class.method`; a second policy of the same kind counts on. An inherited method belongs to the class of the instance, so
 * that two subclasses share nothing; one that is reached through `super` says which class it is from.
 */
function idOf(runtime: Warmpath, owner: object, method: DecoratedMethod, policy: Policy, wrapper: object): string {
  const alike = method.policies.filter(({ kind }) => kind === policy.kind);
  const position = alike.indexOf(policy);
  const label = `${classLabel(runtime, owner)}.${String(method.name)}`;
  const declaredBy = method.declaredBy.constructor;
  const overridden = declaredBy !== owner && !inherits(owner, method, wrapper);
  const from = overridden ? `(${classLabel(runtime, declaredBy)})` : '';
  return `${label}${from}${position > 0 ? `#${position + 1}` : ''}`;
}

/** Whether the class has the method as it was declared further up, rather than one of its own. */
function inherits(owner: object, method: DecoratedMethod, wrapper: object): boolean {
  const prototype: unknown = (owner as { prototype?: unknown }).prototype;
  if (typeof prototype !== 'object' || prototype === null) return true;
  const reached: unknown = Reflect.get(prototype, method.name);
  return reached === wrapper || reached === Reflect.get(method.declaredBy, method.name);
}

function openMethod(target: object, name: string | symbol): OpenMethod {
  const named = getOrMake(methods, target, () => new Map<string | symbol, OpenMethod>());
  return getOrMake(named, name, () => ({ declaredBy: target, name, policies: [], prepare: [] }));
}

/**
 * Has Nest inject the runtime into every instance, into an accessor over a WeakMap: it is no property of the instance, so
 * spreading, comparing and freezing instances are as before, and the runtime is always that of the instance's own app.
 */
function receiveRuntime(target: object): void {
  if (slot in target) return;
  Object.defineProperty(target, slot, {
    configurable: true,
    get(this: object) {
      return runtimes.get(this);
    },
    set(this: object, runtime: Warmpath) {
      runtimes.set(this, runtime);
    },
  });
  Inject(WARMPATH)(target, slot);
  Optional()(target, slot);
}

function ownerOf(instance: object, name: string | symbol): object {
  let link: object = Object.getPrototypeOf(instance);
  while (!Object.hasOwn(link, name)) link = Object.getPrototypeOf(link);
  return link;
}

function misplaced(kind: PolicyKind, target: object, name: string | symbol, why: string): WarmpathError {
  const owner = typeof target === 'function' ? target.name : target.constructor.name;
  const message = `@${kind}() belongs on a method of a class's instances; ${owner}.${String(name)} ${why}.`;
  return new WarmpathError('WP_BAD_OPTION', message, { details: { decorator: kind, method: String(name) } });
}
