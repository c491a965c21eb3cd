import type { DecoratedMethod } from './decorated-method.js';

/**
 * What is wrong with the methods that decorators call by name, one sentence each: a name that the class does not have, and
 * a substitute that leads back to the method it stands in for, which would call for ever.
 */
export function siblingProblems(instance: object, methods: readonly DecoratedMethod[]): string[] {
  const owner = instance.constructor.name;
  const calls = new Map(
    methods.map(({ name, policies }) => [name, policies.flatMap(({ calls: named }) => named ?? [])]),
  );
  const leadsBack = (from: string | symbol, seen: ReadonlySet<string | symbol>): boolean => {
    return (calls.get(from) ?? []).some((next) => seen.has(next) || leadsBack(next, new Set([...seen, next])));
  };
  return methods.flatMap(({ name, policies }) => {
    const where = `${owner}.${String(name)}`;
    return policies.flatMap(({ kind, calls: named }) => {
      if (named === undefined) return [];
      if (typeof Reflect.get(instance, named) !== 'function')
        return [`@${kind} on ${where}: there is no method '${named}'.`];
      const isLoop = named === name || leadsBack(named, new Set([name, named]));
      return isLoop ? [`@${kind} on ${where}: '${named}' leads back to it, so a failing call would never end.`] : [];
    });
  });
}
