import { decorateMethod, decorateStandardMethod, type Policy } from './decorated-method.js';

type DecoratorArguments =
  | readonly [target: object, name: string | symbol, descriptor: PropertyDescriptor]
  | readonly [method: unknown, context: ClassMethodDecoratorContext];

/** The body of each decorator, in both worlds: legacy (`experimentalDecorators`, as Nest needs) and standard. */
export function applyPolicy(policy: Policy): (...args: DecoratorArguments) => unknown {
  return function decorate(...args) {
    if (args.length === 2) return decorateStandardMethod(policy, args[0], args[1]);
    const [target, name, descriptor] = args;
    descriptor.value = decorateMethod(policy, target, name, descriptor.value);
    return undefined;
  };
}
