import { Logger } from '@nestjs/common';
import type { DiscoveryService } from '@nestjs/core';
import type { Warmpath } from '@warmpath/core';
import { WarmpathError } from '@warmpath/core/kernel';
import {
  bindWarmpath,
  decoratedMethodsOf,
  hasRuntime,
  prepareMethods,
  unbindWarmpath,
} from './decorators/decorated-method.js';
import { nestingProblems } from './decorators/nesting.js';
import { siblingProblems } from './decorators/siblings.js';

const logger = new Logger('Warmpath');

/**
 * Looks at every provider and controller once, at start: gives the runtime to instances that `useFactory` and `useValue`
 * brought (Nest injects into what it makes itself), makes their pipelines, and tells of decorators in a wrong order.
 * @returns what takes the runtime back from the instances that got it here
 * @throws WarmpathError `WP_BAD_OPTION` for a pipeline that cannot be made, a method named by a decorator that is missing or
 * leads back, and when strict for a wrong order
 */
export function sweepProviders(discovery: DiscoveryService, runtime: Warmpath, strict: boolean): () => void {
  const bound: object[] = [];
  const problems = new Set<string>();
  for (const wrapper of [...discovery.getProviders(), ...discovery.getControllers()]) {
    const prototype: unknown = (wrapper.metatype as { prototype?: unknown } | null)?.prototype;
    const instance: unknown = wrapper.isDependencyTreeStatic() && !wrapper.isTransient ? wrapper.instance : undefined;
    if (isObject(instance)) {
      const decorated = decoratedMethodsOf(instance);
      if (decorated.length === 0) continue;
      if (!hasRuntime(instance)) {
        bindWarmpath(instance, runtime);
        bound.push(instance);
      }
      refuse(siblingProblems(instance, decorated));
      prepareMethods(instance);
      for (const method of decorated) note(problems, nestingProblems(instance.constructor.name, method));
    } else if (isObject(prototype)) {
      const shape: object = Object.create(prototype);
      refuse(siblingProblems(shape, decoratedMethodsOf(shape)));
      for (const method of decoratedMethodsOf(shape)) note(problems, nestingProblems(shape.constructor.name, method));
    }
  }
  if (strict) refuse([...problems]);
  for (const problem of problems) logger.warn(problem);
  return () => {
    for (const instance of bound) unbindWarmpath(instance, runtime);
  };
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new WarmpathError('WP_BAD_OPTION', problems.join(' '), { details: { problems } });
}

function note(problems: Set<string>, found: readonly string[]): void {
  for (const problem of found) problems.add(problem);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
