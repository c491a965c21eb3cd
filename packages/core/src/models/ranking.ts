import type { Candidate, Weighted } from './candidates.js';
import { presence } from './concepts.js';
import { definition, formBonus, isNamedAfter, lengthFactor, specialFactor } from './form.js';
import type { Question } from './question.js';

/** How well a candidate answers. */
export interface Scored {
  readonly candidate: Candidate;
  readonly score: number;
  /** How much of the question it and its surroundings hold, from 0 to 1. */
  readonly coverage: number;
  /** How many of the words that could not stand just anywhere it and its surroundings hold. */
  readonly strong: number;
  /** How much of the question stands in the section's heading, from 0 to 1. */
  readonly titled: number;
}

/** All candidates, best first; of equals the one that stands first. */
export function rank(question: Question, candidates: readonly Candidate[], concepts: readonly Weighted[]): Scored[] {
  return candidates
    .map((candidate) => scoreOf(question, candidate, concepts))
    .sort(
      (left, right) =>
        right.score - left.score ||
        left.candidate.unit.rank - right.candidate.unit.rank ||
        left.candidate.unit.start - right.candidate.unit.start,
    );
}

function scoreOf(question: Question, candidate: Candidate, concepts: readonly Weighted[]): Scored {
  const { unit, words } = candidate;
  const { total, covered, own, titled, defines, strong } = sumsOf(question, candidate, concepts);
  const coverage = total === 0 ? 0 : covered / total;
  const inTitle = total === 0 ? 0 : titled / total;
  const shape =
    1 +
    0.25 * inTitle +
    0.45 * sharedPairs(question.pairs, candidate.pairs) +
    formBonus(question, candidate, concepts) +
    (question.isDefinition && unit.opens && concepts.length > 1 && inTitle > 0.9 ? 0.8 : 0) +
    (question.isDefinition || question.isComparison ? 1 : 0.3) * defines;
  const ownShare = total === 0 ? 0 : own / total;
  const silent = own === 0 && !unit.opens && unit.kind !== 'code' ? 0.5 : 1;
  const score =
    coverage *
    (0.7 + 0.3 * ownShare) *
    silent *
    Math.max(0.6, 1 - 0.05 * unit.rank) *
    lengthFactor(words, unit.kind === 'code' ? unit.text : undefined) *
    specialFactor(question, candidate) *
    Math.max(0.1, shape);
  return { candidate, score, coverage, strong, titled: inTitle };
}

/** The share of what stands side by side in the question that does so in a unit: phrases rather than words. */
function sharedPairs(asked: ReadonlySet<string>, held: ReadonlySet<string>): number {
  let shared = 0;
  for (const pair of asked) if (held.has(pair)) shared++;
  return asked.size === 0 ? 0 : shared / asked.size;
}

interface Sums {
  readonly total: number;
  readonly covered: number;
  /** Covered by the unit's own words, or by the heading that it defines. */
  readonly own: number;
  readonly titled: number;
  readonly defines: number;
  readonly strong: number;
}

/** What surrounds a unit also speaks for it, but less than its own words: least the headings further out. */
function sumsOf(question: Question, candidate: Candidate, concepts: readonly Weighted[]): Sums {
  // A heading with what it opens states what a question may only suppose.
  const headingCredit = candidate.unit.opens && !question.isYesNo ? 0.95 : 0.65;
  let [total, covered, own, titled, defines] = [0, 0, 0, 0, 0];
  let strong = 0;
  const heaviest = Math.max(...concepts.map(({ weight }) => weight));
  for (const { concept, weight, weak } of concepts) {
    const isDone = concept.whole === question.action && isNamedAfter(question.action, candidate);
    const inOwn = isDone ? 1 : presence(concept, candidate.own);
    const inHeading = presence(concept, candidate.heading);
    const held = Math.max(
      inOwn,
      0.75 * presence(concept, candidate.lead),
      headingCredit * inHeading,
      0.55 * presence(concept, candidate.outer),
    );
    total += weight;
    covered += weight * held;
    own += weight * Math.max(inOwn, question.isDefinition && candidate.unit.opens ? 0.8 * inHeading : 0);
    titled += weight * inHeading;
    if (!weak && held >= 0.35) strong++;
    if (!weak) defines = Math.max(defines, definition(candidate, concept) * (weight / heaviest));
  }
  return { total, covered, own, titled, defines, strong };
}
