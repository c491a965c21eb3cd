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

/** The same for all functions in the options of a decorator. */
export type FitAll<Functions extends readonly unknown[], M extends AsyncMethod> = Functions extends readonly [
  infer First,
  ...infer Rest,
]
  ? FitsArguments<First, M> & FitAll<Rest, M>
  : unknown;

/**
 * A decorator for methods that return promises; on any other method it does not compile. Neither does it on one with whose
 * arguments the functions in its options cannot be called.
 */
export interface MethodPolicyDecorator<Functions extends readonly unknown[]> {
  <M extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<M> & FitAll<Functions, M>,
  ): void;
  <M extends AsyncMethod>(method: M & FitAll<Functions, M>, context: ClassMethodDecoratorContext): M;
}
