import { isWeak, presence, type Question } from './question.js';
import { type Term, termsOf, vocabularyOf } from './terms.js';
import { leansBack, type Unit } from './units.js';

/** A unit with how well it answers. */
export interface Ranked {
  readonly unit: Unit;
  readonly score: number;
}

type Vocabulary = ReadonlyMap<string, number>;

/** A unit with all that comparing it needs, computed once. */
interface Candidate {
  readonly unit: Unit;
  readonly own: Vocabulary;
  readonly label: Vocabulary;
  /** The words of the label, compounds whole. */
  readonly names: ReadonlySet<string>;
  /** The words of the document's title, compounds whole: "Client" is not named by "H2CClient". */
  readonly titles: ReadonlySet<string>;
  readonly lead: Vocabulary;
  readonly heading: Vocabulary;
  readonly outer: Vocabulary;
  readonly words: number;
}

interface Weighted {
  readonly concept: Term;
  readonly weight: number;
  readonly weak: boolean;
}

/** A best unit that covers less of the question than this does not answer it. */
const leastCoverage = 0.36;
/** Further units say something only when they come this near to the best. */
const nearBest = 0.62;
const nearBestValue = 0.8;
const sameThing = 0.6;

/**
 * The units that answer a question, best first; none when the passages do not answer it.
 * Cost: units times concepts, after one reading of each unit.
 */
export function chooseUnits(question: Question, units: readonly Unit[], limit: number): Ranked[] {
  const candidates = units.map(toCandidate);
  const concepts = weigh(question.concepts, candidates);
  if (!concepts.some(({ weak }) => !weak)) return [];
  if (question.isComparison) {
    const compared = chooseCompared(question, candidates, concepts, limit);
    if (compared.length > 1) return compared;
  }
  return chooseBest(question, candidates, concepts, limit);
}

function chooseBest(
  question: Question,
  candidates: readonly Candidate[],
  concepts: readonly Weighted[],
  limit: number,
): Ranked[] {
  const ranked = rank(question, candidates, concepts);
  const best = ranked[0];
  if (!best || best.coverage < leastCoverage || !best.holdsRare) return [];
  const isExact = question.isValue || ['item', 'row'].includes(best.candidate.unit.kind);
  const near = best.score * (isExact ? nearBestValue : nearBest);
  const chosen: Chosen[] = question.isDefinition ? withFollowers(best, candidates, limit) : [];
  for (const { candidate, score, coverage } of ranked) {
    if (chosen.length >= limit || score < near) break;
    if (coverage < leastCoverage || chosen.some((other) => repeats(candidate, other))) continue;
    chosen.push({ unit: candidate.unit, score, own: candidate.own });
  }
  if (question.isHowTo) return withCode(chosen, ranked, limit);
  return chosen;
}

type Chosen = Ranked & { readonly own: Vocabulary };

/** A section's first sentence together with those that go on in the same paragraph. */
function withFollowers(best: Scored, candidates: readonly Candidate[], limit: number): Chosen[] {
  const { candidate, score } = best;
  const chosen: Chosen[] = [{ unit: candidate.unit, score, own: candidate.own }];
  if (!candidate.unit.opens) return chosen;
  for (let at = candidates.indexOf(candidate) + 1; chosen.length < limit; at++) {
    const last = (chosen.at(-1) as Chosen).unit;
    const next = candidates[at];
    if (next?.unit.kind !== 'sentence' || next.unit.passage !== last.passage || /^see\b|:$/i.test(next.unit.text))
      break;
    const between = last.passage.text.slice(last.end, Math.max(last.end, next.unit.start));
    if (/\n\s*\n|\S/.test(between)) break;
    if (next.unit.start < last.end) chosen.pop(); // it takes the one before it along
    chosen.push({ unit: next.unit, score, own: next.own });
  }
  return chosen;
}

/** "How do I" is answered by prose and one block of code that shows it. */
function withCode(chosen: readonly Ranked[], ranked: readonly Scored[], limit: number): Ranked[] {
  const prose = chosen.filter(({ unit }) => unit.kind !== 'code');
  const near = prose[0]?.unit.passage;
  const code = ranked
    .filter(({ candidate }) => candidate.unit.kind === 'code')
    .map((scored) => (scored.candidate.unit.passage === near ? { ...scored, score: scored.score * 1.15 } : scored))
    .reduce<Scored | undefined>((top, scored) => (top && top.score >= scored.score ? top : scored), undefined);
  if (!code || code.score < (ranked[0]?.score ?? 0) * 0.5) return prose;
  // Under a heading that asks the question, code answers it better than a sentence from elsewhere.
  const fitting = prose.filter(({ unit }) => {
    const titled = ranked.find(({ candidate }) => candidate.unit === unit)?.titled ?? 0;
    return code.titled < 0.6 || titled > 0 || unit.passage === code.candidate.unit.passage;
  });
  return [...fitting.slice(0, Math.max(0, limit - 1)), { unit: code.candidate.unit, score: code.score }];
}

/** For each of the things compared, the unit that best says what it is. */
function chooseCompared(
  question: Question,
  candidates: readonly Candidate[],
  concepts: readonly Weighted[],
  limit: number,
): Ranked[] {
  const chosen: Chosen[] = [];
  const both = rank(question, candidates, concepts).find(({ coverage }) => coverage > 0.95);
  if (both?.holdsRare && both.candidate.unit.kind === 'sentence' && holdsAll(both.candidate.own, concepts)) {
    chosen.push({ unit: both.candidate.unit, score: both.score, own: both.candidate.own });
  }
  for (const concept of concepts.filter(({ weak }) => !weak).slice(0, limit)) {
    const definition = { ...question, isDefinition: true };
    const best = rank(definition, candidates, [concept]).find(({ candidate }) =>
      ['sentence', 'list'].includes(candidate.unit.kind),
    );
    if (!best || best.coverage < 0.5) return [];
    if (chosen.some((other) => repeats(best.candidate, other))) continue;
    chosen.push({ unit: best.candidate.unit, score: best.score, own: best.candidate.own });
  }
  return chosen.slice(0, Math.max(limit, 2));
}

function holdsAll(vocabulary: Vocabulary, concepts: readonly Weighted[]): boolean {
  return concepts.every(({ concept, weak }) => weak || presence(concept, vocabulary) >= 0.85);
}

interface Scored {
  readonly candidate: Candidate;
  readonly score: number;
  readonly coverage: number;
  readonly holdsRare: boolean;
  /** How much of the question stands in the section's heading, from 0 to 1. */
  readonly titled: number;
}

function rank(question: Question, candidates: readonly Candidate[], concepts: readonly Weighted[]): Scored[] {
  const scored = candidates.map((candidate) => scoreOf(question, candidate, concepts));
  return scored.sort(
    (left, right) =>
      right.score - left.score ||
      left.candidate.unit.rank - right.candidate.unit.rank ||
      left.candidate.unit.start - right.candidate.unit.start,
  );
}

function scoreOf(question: Question, candidate: Candidate, concepts: readonly Weighted[]): Scored {
  const { unit } = candidate;
  let total = 0;
  let covered = 0;
  let holdsRare = false;
  let defines = 0;
  let ownCovered = 0;
  let titled = 0;
  const headingCredit = unit.opens ? 0.95 : 0.65;
  for (const { concept, weight, weak } of concepts) {
    const own = presence(concept, candidate.own);
    const held = Math.max(
      own,
      0.75 * presence(concept, candidate.lead),
      headingCredit * presence(concept, candidate.heading),
      0.55 * presence(concept, candidate.outer),
    );
    ownCovered += own * weight;
    titled += presence(concept, candidate.heading) * weight;
    total += weight;
    covered += weight * held;
    if (!weak && held >= 0.35) holdsRare = true;
    if (!weak) defines = Math.max(defines, definition(candidate, concept));
  }
  const coverage = total === 0 ? 0 : covered / total;
  const shape =
    1 +
    0.25 * (titled / (total || 1)) +
    formBonus(question, candidate, concepts) +
    (question.isDefinition || question.isComparison ? defines : 0.3 * defines);
  const silent = ownCovered === 0 && !unit.opens && unit.kind !== 'code' ? 0.5 : 1;
  const score =
    coverage * silent * Math.max(0.6, 1 - 0.05 * unit.rank) * lengthFactor(candidate) * Math.max(0.1, shape);
  return { candidate, score, coverage, holdsRare, titled: titled / (total || 1) };
}

/** From 0 to about 1: a sentence whose subject is the concept, or that opens the section named after it. */
function definition({ unit, heading, outer }: Candidate, concept: Term): number {
  if (unit.kind !== 'sentence' && unit.kind !== 'list') return 0;
  let credit = subjectOf(unit.text, concept) ? 0.45 : 0;
  if (unit.opens) {
    const named = unit.headings.length > 0 || unit.passage.heading ? heading : outer;
    const fit =
      presence(concept, named) >= 0.85 ? 1 / Math.max(1, named.size / Math.max(1, concept.parts.length + 1)) : 0;
    credit += 0.7 * Math.max(fit, presence(concept, outer) >= 0.85 ? 0.6 : 0);
  }
  return credit;
}

const defining =
  /^(?:an?|the)?\s*[`*_]*([\p{L}\p{N}._$-]+)[`*_]*(?:\(\))?[`*_]*(?:\s+\p{L}+)?(?:\s+\([^()]*\))?\s+(?:is|are|was|does|can|lets|[\p{Ll}]{3,}s)\b/iu;

function subjectOf(text: string, concept: Term): boolean {
  const subject = defining.exec(text)?.[1];
  return subject !== undefined && presence(concept, vocabularyOf(subject)) >= 0.85;
}

function formBonus(question: Question, candidate: Candidate, concepts: readonly Weighted[]): number {
  const { unit, label } = candidate;
  let bonus = 0;
  const named = concepts.some(({ concept, weak }) => !weak && candidate.names.has(concept.whole));
  if (unit.kind === 'item' || unit.kind === 'row') {
    if (named) bonus += 0.6;
    else if (concepts.some(({ concept, weak }) => !weak && presence(concept, label) === 1)) bonus += 0.15;
    else if (question.isHowTo || question.isDefinition) bonus -= 0.3;
    if (question.isHowTo) bonus -= 0.4;
    if (question.isCount && /max|limit|count|num/i.test(unit.label)) bonus += 0.5;
  }
  if (concepts.some(({ concept, weak }) => !weak && candidate.titles.has(concept.whole))) bonus += 0.12;
  if (unit.kind === 'sentence' && leansBack.test(unit.text)) bonus -= 0.35;
  if (question.isHowTo && /^\W*(?:throws|returns|emitted|extends)\b/i.test(unit.text)) bonus -= 0.5;
  if (/^see\b|, see [^,]+$/i.test(unit.text)) bonus -= 0.35;
  if (unit.kind === 'sentence' && !/[.!?:)]["'”’*_`]*$/.test(unit.text)) bonus -= 0.35;
  if (
    unit.opens &&
    !question.isValue &&
    concepts.some(({ concept, weak }) => !weak && presence(concept, candidate.outer) >= 0.85)
  )
    bonus += question.isHowTo ? 0.3 : 0.2;
  if (question.isYesNo && /\b(?:supports?|enabled?|disabled?|by default|requires?|cannot|not|only)\b/i.test(unit.text))
    bonus += 0.2;
  if (question.isValue && /\d|\bone\b|\btwo\b|\bthree\b|\bno limit\b|\bunlimited\b|\bnull\b/i.test(unit.text))
    bonus += 0.2;
  if (unit.kind === 'code') bonus += question.isHowTo ? shownBy(unit.text) : -0.5;
  if (question.isHowTo && /\b(?:can|use|using|to|call|pass|set|by)\b/i.test(unit.text) && unit.kind !== 'code')
    bonus += 0.15;
  if (unit.text.endsWith(':')) bonus -= 0.3;
  return bonus;
}

/** Code that only imports shows nothing, a single statement little. */
function shownBy(code: string): number {
  const lines = code.replace(/^[\s\S]*?(?:```|~~~).*\n/, '').split('\n');
  const said = lines.filter((line) => !/^\s*(?:$|import\b|const .* = require\b|\/\/|```|~~~)/.test(line)).length;
  return [-0.5, -0.2][said] ?? 0.1;
}

function lengthFactor({ words, unit }: Candidate): number {
  if (unit.kind === 'code') return 1 / (1 + Math.max(0, unit.text.split('\n').length - 20) / 60);
  if (words < 5) return 0.55;
  return 1 / (1 + Math.max(0, words - 40) / 150);
}

/** Rare words weigh more: the logarithm of how few units hold them (inverse document frequency, Spärck Jones 1972). */
function weigh(concepts: readonly Term[], candidates: readonly Candidate[]): Weighted[] {
  const passages = [...Map.groupBy(candidates, ({ unit }) => unit.passage).values()];
  return concepts.map((concept) => {
    const holders = candidates.filter(({ own }) => presence(concept, own) >= 0.7).length;
    const weak = isWeak(concept);
    const rarity = Math.log(1 + (candidates.length + 1) / (holders + 1));
    const share =
      passages.filter((passage) => passage.some(({ own }) => presence(concept, own) >= 0.7)).length / passages.length;
    const everywhere = passages.length > 1 ? 1 - 0.4 * share : 1;
    return { concept, weak, weight: weak ? 0.3 * Math.min(rarity, 1.5) : rarity * everywhere };
  });
}

function repeats(candidate: Candidate, chosen: Chosen): boolean {
  const { unit } = candidate;
  const overlaps = unit.passage === chosen.unit.passage && unit.start < chosen.unit.end && chosen.unit.start < unit.end;
  return overlaps || likeness(candidate.own, chosen.own) > sameThing;
}

/** Shared words as a share of the smaller text's words. */
function likeness(left: Vocabulary, right: Vocabulary): number {
  const [small, large] = left.size < right.size ? [left, right] : [right, left];
  let shared = 0;
  for (const word of small.keys()) if (large.has(word)) shared++;
  return small.size === 0 ? 1 : shared / small.size;
}

function toCandidate(unit: Unit): Candidate {
  const own = vocabularyOf(unit.text);
  let words = 0;
  for (const count of own.values()) words += count;
  const inner = unit.headings.at(-1) ?? unit.passage.heading ?? '';
  return {
    unit,
    own,
    words,
    label: vocabularyOf(unit.label),
    names: new Set(termsOf(unit.label).map(({ whole }) => whole)),
    titles: new Set(termsOf(unit.passage.title).map(({ whole }) => whole)),
    lead: vocabularyOf(unit.lead),
    heading: vocabularyOf(inner),
    outer: vocabularyOf([unit.passage.title, unit.passage.heading ?? '', ...unit.headings].join(' ')),
  };
}
