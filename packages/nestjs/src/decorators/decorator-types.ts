/** A method that a policy can stand around: it answers with a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** Takes the arguments of a method, or as many of the first as it needs. */
export type ArgumentsFunction = (...args: never[]) => unknown;

/** Adds nothing unless it is a function that cannot be called with the method's arguments: then nothing satisfies it. */
export type FitsArguments<Key, M extends AsyncMethod> = Key extends (...args: Parameters<M>) => unknown
  ? unknown
  : Key extends ArgumentsFunction
    ? { readonly 'the function in the options does not take the arguments of this method': Parameters<M> }
    : unknown;

/**
 * A decorator for methods that return promises; on any other method it does not compile. Neither does it on one with whose
 * arguments the functions in its options cannot be called.
 */
export interface MethodPolicyDecorator<Key, Tags = () => unknown> {
  <M extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<M> & FitsArguments<Key, M> & FitsArguments<Tags, M>,
  ): void;
  <M extends AsyncMethod>(
    method: M & FitsArguments<Key, M> & FitsArguments<Tags, M>,
    context: ClassMethodDecoratorContext,
  ): M;
}
