import { likeness, presence, type Vocabulary } from './concepts.js';
import { isWeak, type Question } from './question.js';
import { pairsOf, type Term, termsOf, vocabularyOf } from './terms.js';
import type { Unit } from './units.js';

/** A unit with all that comparing it needs, computed once. */
export interface Candidate {
  readonly unit: Unit;
  readonly own: Vocabulary;
  /** The words that stand side by side, as `pairsOf` writes them. */
  readonly pairs: ReadonlySet<string>;
  readonly words: number;
  readonly label: readonly Term[];
  readonly labelWords: Vocabulary;
  readonly title: readonly Term[];
  readonly lead: Vocabulary;
  readonly heading: Vocabulary;
  /** The first name of the nearest heading, such as `redirectHandler.history`. */
  readonly headingName: Term | undefined;
  readonly outer: Vocabulary;
}

/** A concept with how much it tells units apart. */
export interface Weighted {
  readonly concept: Term;
  readonly weight: number;
  /** Could stand in any manual. */
  readonly weak: boolean;
  /** An answer cannot do without it, and nothing that was read holds it. */
  readonly isMissed: boolean;
}

export function toCandidate(unit: Unit): Candidate {
  const terms = termsOf(unit.text.replace(typeOfOption, '$1:'));
  const own = vocabularyOf(terms);
  let words = 0;
  for (const count of own.values()) words += count;
  const heading = headingOf(unit);
  return {
    unit,
    own,
    pairs: pairsOf(terms),
    words,
    label: termsOf(unit.label),
    labelWords: vocabularyOf(unit.label),
    title: termsOf(unit.passage.title),
    lead: vocabularyOf(unit.lead),
    heading: vocabularyOf(heading),
    headingName: termsOf(heading).find(({ parts }) => parts.length > 0),
    outer: vocabularyOf([unit.passage.title, unit.passage.heading ?? '', ...unit.headings].join(' ')),
  };
}

/** "number" in "`timeout` (number or null):" is no word about the option. */
const typeOfOption = /^(`[^`]+`) \([^()]*\):/;

/** The nearest heading: inside the passage, or the one that it was cut from. */
export function headingOf({ headings, passage }: Unit): string {
  return headings.at(-1) ?? passage.heading?.split(' › ').at(-1) ?? '';
}

/** Rare words weigh more: the logarithm of how few units hold them (inverse document frequency, Spärck Jones 1972). */
export function weigh(question: Question, candidates: readonly Candidate[]): Weighted[] {
  const passages = [...Map.groupBy(candidates, ({ unit }) => unit.passage).values()];
  return question.concepts.map((concept) => {
    const holds = ({ own }: Candidate): boolean => presence(concept, own) >= 0.7;
    const holders = candidates.filter(holds).length;
    const weak = isWeak(concept);
    const rarity = Math.log(1 + (candidates.length + 1) / (holders + 1));
    const share = passages.filter((passage) => passage.some(holds)).length / passages.length;
    const everywhere = passages.length > 1 ? 1 - 0.4 * share : 1;
    return {
      concept,
      weak,
      isMissed: question.essential.includes(concept) && !candidates.some((candidate) => mentions(candidate, concept)),
      weight:
        concept.whole === question.subject
          ? 0.4 * Math.min(rarity, 1.5)
          : weak
            ? 0.3 * Math.min(rarity, 1.5)
            : rarity * everywhere,
    };
  });
}

function mentions({ own, outer }: Candidate, concept: Term): boolean {
  return Math.max(presence(concept, own), presence(concept, outer)) >= 0.7;
}

/** Units whose words are shared to more than this part say the same thing. */
const sameThing = 0.6;

export function repeats(candidate: Candidate, other: Candidate): boolean {
  const [left, right] = [candidate.unit, other.unit];
  const overlaps = left.passage === right.passage && left.start < right.end && right.start < left.end;
  return overlaps || likeness(candidate.own, other.own) > sameThing;
}
