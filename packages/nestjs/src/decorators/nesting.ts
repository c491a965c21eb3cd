import type { DecoratedMethod, PolicyKind } from './decorated-method.js';

interface WrongNesting {
  readonly outer: PolicyKind;
  readonly inner: PolicyKind;
  readonly why: string;
}

const wrong: readonly WrongNesting[] = [
  { outer: 'RateLimited', inner: 'Cached', why: 'answers from the cache use up quota' },
  { outer: 'Cached', inner: 'WithFallback', why: "the substitute's answer is kept in place of the real one" },
  { outer: 'Batched', inner: 'Cached', why: 'the batch method is called instead, so nothing is ever cached' },
  { outer: 'Batched', inner: 'RateLimited', why: 'the batch method is called instead, so nothing is ever limited' },
  { outer: 'Batched', inner: 'WithFallback', why: 'the batch method is called instead, so there is never a fallback' },
];

/** What is wrong with the order of a method's decorators, one sentence each. The outermost stands first in the source. */
export function nestingProblems(owner: string, { name, policies }: DecoratedMethod): string[] {
  const kinds = policies.map(({ kind }) => kind);
  return wrong
    .filter(({ outer, inner }) => {
      const outermost = kinds.indexOf(outer);
      return outermost >= 0 && kinds.lastIndexOf(inner) > outermost;
    })
    .map(({ outer, inner, why }) => {
      return `${owner}.${String(name)}: @${outer} stands outside @${inner}, so ${why}. Swap the two.`;
    });
}
