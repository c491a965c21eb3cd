import { synonymsBy } from './synonyms.js';
import { stem, type Term } from './terms.js';

/** The terms of a text, whole and in parts, with how often each occurs. */
export type Vocabulary = ReadonlyMap<string, number>;

const sameMeaning = synonymsBy(stem);

/**
 * How much of a concept a vocabulary holds, from 0 to 1: the word itself 1, all parts of a compound 0.85, a word of the
 * same meaning 0.75, some parts a little.
 */
export function presence(concept: Term, vocabulary: Vocabulary): number {
  if (vocabulary.has(concept.whole)) return 1;
  const { parts } = concept;
  if (parts.length > 0) {
    const held = parts.filter((part) => vocabulary.has(part)).length;
    if (held === parts.length) return 0.85;
    if (held > 0) return (0.3 * held) / parts.length;
  }
  for (const other of sameMeaning.get(concept.whole) ?? []) if (vocabulary.has(other)) return 0.75;
  return 0;
}

/** Whether a vocabulary holds the concept itself, in one piece or in parts. */
export function isNamed(concept: Term, vocabulary: Vocabulary): boolean {
  return presence(concept, vocabulary) >= 0.85;
}

/** Shared words as a share of the smaller vocabulary's words, from 0 to 1. */
export function likeness(left: Vocabulary, right: Vocabulary): number {
  const [small, large] = left.size < right.size ? [left, right] : [right, left];
  let shared = 0;
  for (const word of small.keys()) if (large.has(word)) shared++;
  return small.size === 0 ? 1 : shared / small.size;
}

/**
 * What a name made of `parts` adds to what is asked: the number of its parts that are not asked for, when at least one
 * is; 0 for any other name. "EnvHttpProxyAgent" adds three to a question about a proxy.
 */
export function unasked(parts: readonly string[], asked: Vocabulary): number {
  const strange = parts.filter((part) => presence({ word: part, whole: part, parts: [] }, asked) === 0).length;
  return strange === parts.length ? 0 : strange;
}
