import type { Vocabulary } from './concepts.js';
import { isFiller, pairsOf, stem, type Term, termsOf, vocabularyOf, weakStems } from './terms.js';

/** What kind of answer a question wants; several can hold. */
export interface Question {
  /** What it is about: its words without those that only ask. */
  readonly concepts: readonly Term[];
  /** The same, whole and in parts. */
  readonly asked: Vocabulary;
  /** The stem of the verb of "How do I deploy ..."; empty for other questions. */
  readonly action: string;
  /** Concepts that an answer cannot do without: names, and the action. */
  readonly essential: readonly Term[];
  /** Those that stand side by side, as `pairsOf` writes them. */
  readonly pairs: ReadonlySet<string>;
  /** Asks what something is or why, which the beginning of its section tells. */
  readonly isDefinition: boolean;
  readonly isHowTo: boolean;
  readonly isComparison: boolean;
  /** Asks for a number, a limit, a default. */
  readonly isValue: boolean;
  readonly isCount: boolean;
  readonly isYesNo: boolean;
  /** Of "Does undici retry ...", "undici's retries": what the whole text may be about without a word of it. */
  readonly subject: string;
  /** The stem of the noun of "Which errors ...", which wants several things; empty for other questions. */
  readonly listed: string;
  /** What the answer must look like, where the asking word tells: "when" wants a time. */
  readonly looksLike: RegExp | undefined;
}

const looks: readonly (readonly [asks: RegExp, answers: RegExp])[] = [
  [
    /\b(?:when|what (?:year|date|month|day|time|century|decade))\b/,
    /\b\d{4}s?\b|\bcentury\b|\b(?:january|february|march|april|may|june|july|august|september|october|november|december)\b/i,
  ],
  [/\b(?:who|whom|whose)\b/, /(?<=[\p{Ll},)] )\p{Lu}\p{Ll}/u],
  [/\bwhere\b|\bwhat (?:city|country|place|state)\b/, /\b(?:in|at|near|from|to|on) (?:the )?\p{Lu}/u],
  [
    /\bhow (?:many|much|long|often|big|large|high|far|old)\b/,
    /\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|no limit|unlimited|null)\b/i,
  ],
  [/\bwhy\b/, /\b(?:because|since|so that|in order to|to avoid|due to|therefore|reason)\b/i],
];

/** Questions are read up to here. */
const longestQuestion = 2_000;

const definition =
  /^(?:so |and |but |please )*(?:what(?:'s|’s| is| are| does| do)|who is|why|explain|describe|define|tell me about)\b/;
const workings = /\bhow (?:do|does) .*\bwork\b/;
const comparison = /\b(?:differen(?:ce|ces|t)|differ|vs\.?|versus|compared?|comparison)\b/;
const howTo = /\bhow (?:do|does|can|could|to|should|would|might|must|i|we)\b|\bexample\b|\bshow me\b|\bway to\b/;
const yesNo = /^(?:does|do|is|are|can|could|will|has|have|should|must)\b/;
const subjectOf = /^(?:does|do|can|will|should) ([\w-]+)|\b([\w-]+)['’]s (?=\w)/;
const count = /\bhow (?:many|often)\b|\bmaximum\b/;
const value =
  /\b(?:default|how (?:many|much|long|often|big|large|high)|what (?:number|value|limit|size)|maximum|minimum)\b|^what (?:is|are) (?:the|its) .*\b(?:timeout|limit|size|length|interval|delay|port)\b/;
const listOf =
  /^(?:which|what)(?: (?:kinds?|types?) of)?(?: (?!is|are|was|were|do|does|happens)\w+)? (?!is\b|does\b|was\b|happens\b)(\w+[^s\W]s)\b/;
const actionOf = /\bhow (?:(?:do|can|could|should|would) (?:i|we|you|one)|to) ([\w-]+)/;

export function readQuestion(asked: string): Question {
  const text = asked.slice(0, longestQuestion).trim();
  const lower = text.toLowerCase();
  const concepts = conceptsOf(text);
  const action = stem(actionOf.exec(lower)?.[1] ?? '');
  return {
    concepts,
    asked: vocabularyOf(concepts),
    action,
    essential: concepts.filter((concept) => !isWeak(concept) && (concept.whole === action || isName(concept, text))),
    pairs: pairsOf(termsOf(text)),
    isComparison: comparison.test(lower),
    isHowTo: howTo.test(lower) && !workings.test(lower),
    isDefinition: definition.test(lower) || workings.test(lower) || concepts.length <= 1,
    isYesNo: yesNo.test(lower),
    subject: stem(subjectOf.exec(lower)?.slice(1).find(Boolean) ?? ''),
    listed: stem(listOf.exec(lower)?.[1] ?? ''),
    isCount: count.test(lower),
    isValue: value.test(lower) && !yesNo.test(lower),
    looksLike: looks.find(([asks]) => asks.test(lower))?.[1],
  };
}

/** A word that could stand in any manual says little about what is asked. */
export function isWeak(concept: Term): boolean {
  return concept.parts.length === 0 && weakStems.has(concept.whole);
}

function conceptsOf(text: string): Term[] {
  const concepts = new Map<string, Term>();
  for (const term of termsOf(text)) {
    if (!isFiller(term)) concepts.set(term.whole, term);
  }
  return [...concepts.values()];
}

/** "AFC", "HTTP/2", "Kubernetes": written unlike a common word, apart from the capital that begins a question. */
function isName({ word }: Term, text: string): boolean {
  return /\p{Lu}|\d/u.test(text.startsWith(word) ? word.slice(1) : word);
}
