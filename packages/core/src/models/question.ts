import { stem, stopWords, type Term, termsOf, weakStems } from './terms.js';

/** What kind of answer a question wants; several can hold. */
export interface Question {
  /** What it is about: its words without those that only ask. */
  readonly concepts: readonly Term[];
  readonly isDefinition: boolean;
  readonly isHowTo: boolean;
  readonly isComparison: boolean;
  /** Asks for a number, a limit, a default. */
  readonly isValue: boolean;
  readonly isCount: boolean;
  readonly isYesNo: boolean;
}

/** Questions are read up to here. */
const longestQuestion = 2_000;

export function readQuestion(asked: string): Question {
  const text = asked.slice(0, longestQuestion).trim();
  const lower = text.toLowerCase();
  const concepts = new Map<string, Term>();
  for (const term of termsOf(text)) {
    const plain = term.word.toLowerCase();
    if (stopWords.has(plain) || stopWords.has(plain.replace(/['’].*$/, '')) || (plain.length < 2 && !/\d/.test(plain)))
      continue;
    concepts.set(term.whole, term);
  }
  return {
    concepts: [...concepts.values()],
    isComparison: /\b(?:differen(?:ce|ces|t)|differ|vs\.?|versus|compared?|comparison)\b/.test(lower),
    isHowTo: /\bhow (?:do|does|can|could|to|should|would|might|must|i|we)\b|\bexample\b|\bshow me\b|\bway to\b/.test(
      lower,
    ),
    isDefinition:
      /^(?:so |and |but |please )*(?:what(?:'s|’s| is| are| does| do)|who is|explain|describe|define|tell me about)\b/.test(
        lower,
      ) || concepts.size <= 1,
    isYesNo: /^(?:does|do|is|are|can|could|will|has|have|should|must)\b/.test(lower),
    isCount: /\bhow (?:many|often)\b|\bmaximum\b/.test(lower),
    isValue:
      /\b(?:default|how (?:many|much|long|often|big|large|high)|what (?:number|value|limit|size)|maximum|minimum)\b/.test(
        lower,
      ),
  };
}

/** A word that could stand in any manual says little about what is asked. */
export function isWeak(concept: Term): boolean {
  return concept.parts.length === 0 && weakStems.has(concept.whole);
}

/** Words that ask and answer the same; compared as stems. */
const sameMeaning: readonly (readonly string[])[] = [
  ['abort', 'cancel'],
  ['mock', 'stub', 'fake', 'simulate'],
  ['delete', 'remove', 'clear'],
  ['error', 'exception', 'failure', 'fail'],
  ['http2', 'h2'],
  ['authentication', 'auth', 'authorization', 'credential'],
  ['certificate', 'cert'],
  ['configure', 'config', 'configuration', 'set'],
  ['interceptor', 'intercept'],
  ['begin', 'start'],
  ['end', 'finish', 'stop'],
  ['limit', 'maximum', 'max'],
  ['install', 'installation', 'setup'],
].map((group) => group.map(stem));

const groupOf: ReadonlyMap<string, readonly string[]> = new Map(
  sameMeaning.flatMap((group) => group.map((word) => [word, group] as const)),
);

/**
 * How much of a concept a vocabulary holds, from 0 to 1: the word itself 1, all parts of a compound 0.85, a word of the
 * same meaning 0.7, some parts a little.
 */
export function presence(concept: Term, vocabulary: ReadonlyMap<string, number>): number {
  if (vocabulary.has(concept.whole)) return 1;
  const { parts } = concept;
  if (parts.length > 0) {
    const held = parts.filter((part) => vocabulary.has(part)).length;
    if (held === parts.length) return 0.85;
    if (held > 0) return (0.3 * held) / parts.length;
  }
  return groupOf.get(concept.whole)?.some((word) => vocabulary.has(word)) ? 0.7 : 0;
}
