/** A method that a policy can stand around: it answers with a promise. */
export type AsyncMethod = (...args: never[]) => Promise<unknown>;

/** Takes the arguments of a method, or as many of the first as it needs. */
export type ArgumentsFunction = (...args: never[]) => unknown;

/** Adds nothing when the function can be called with the method's arguments, and cannot be satisfied when it cannot. */
export type FitsArguments<Key, M extends AsyncMethod> = Key extends (...args: Parameters<M>) => unknown
  ? unknown
  : { readonly 'the function in the options does not take the arguments of this method': Parameters<M> };

/** A decorator for methods that return promises; on any other method it does not compile. */
export interface MethodPolicyDecorator<Key> {
  <M extends AsyncMethod>(
    target: object,
    name: string | symbol,
    descriptor: TypedPropertyDescriptor<M> & FitsArguments<Key, M>,
  ): void;
  <M extends AsyncMethod>(method: M & FitsArguments<Key, M>, context: ClassMethodDecoratorContext): M;
}
