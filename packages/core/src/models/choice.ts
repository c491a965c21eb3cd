import { type Candidate, headingOf, repeats, toCandidate, type Weighted, weigh } from './candidates.js';
import { isNamed, presence } from './concepts.js';
import { spelledBy } from './form.js';
import type { Question } from './question.js';
import { rank, type Scored } from './ranking.js';
import { withCode } from './shown-code.js';
import { stem, type Term, vocabularyOf } from './terms.js';
import { pointsElsewhere, type Unit } from './units.js';

/** A best unit that covers less of the question than this does not answer it. */
const leastCoverage = 0.28;
/** The same, where something is nowhere mentioned that an answer cannot do without. */
const leastWhenMissed = 0.6;
/** Further units say something only when they come this near to the best. */
const nearBest = 0.8;
const nearBestExact = 0.9;

/**
 * The units that answer a question, best first; none when the passages do not answer it.
 * Cost: units times concepts, after one reading of each unit.
 */
export function chooseUnits(question: Question, units: readonly Unit[], limit: number): Unit[] {
  const candidates = units.map(toCandidate);
  const concepts = weigh(question, candidates);
  if (!concepts.some(({ weak }) => !weak)) return [];
  const compared = question.isComparison ? chooseCompared(question, candidates, concepts, limit) : [];
  const chosen =
    compared.length > 1 || compared[0]?.unit.kind === 'list'
      ? compared
      : chooseBest(question, candidates, concepts, limit);
  return chosen.map(({ unit }) => unit);
}

function chooseBest(
  question: Question,
  candidates: readonly Candidate[],
  concepts: readonly Weighted[],
  limit: number,
): Candidate[] {
  const ranked = rank(question, candidates, concepts);
  const best = ranked[0];
  if (!best || !answers(best, concepts)) return [];
  const listed = question.listed ? listedSections(question, ranked, concepts).slice(0, limit) : [];
  if (listed.length > 1) return listed;
  const isExact =
    question.isValue || question.isYesNo || question.isHowTo || ['item', 'row'].includes(best.candidate.unit.kind);
  // Where the question spells a name, other names are other things.
  const isSpelled = spelledBy(question, best.candidate.label, concepts) > 0.7;
  const near = best.score * (isExact ? nearBestExact : nearBest);
  const chosen = question.isDefinition ? withFollowers(best.candidate, candidates, limit) : [];
  if (chosen.length > 1) return chosen;
  for (const { candidate, score, coverage } of ranked) {
    if (chosen.length >= limit || score < near) break;
    if (coverage < leastCoverage || chosen.some((other) => repeats(candidate, other))) continue;
    // What to do is told in one place; what another page says of it is another way to do it.
    if (question.isHowTo && candidate.unit.passage.title !== best.candidate.unit.passage.title) continue;
    if (!isSpelled || candidate === best.candidate || candidate.unit.label === best.candidate.unit.label)
      chosen.push(candidate);
  }
  if (question.isHowTo && question.isDefinition) chosen.push(...remedyFor(question, best.candidate, ranked));
  if (question.isHowTo) return withCode(question, chosen, ranked, limit);
  return question.listed ? withList(question.listed, chosen, ranked, limit) : chosen;
}

/** "What does it mean and how do I fix it?" asks twice: what is to be done stands in the section of what it means. */
function remedyFor({ action }: Question, { unit }: Candidate, ranked: readonly Scored[]): Candidate[] {
  const deed: Term = { word: action, whole: action, parts: [] };
  const remedy = ranked.find(
    ({ candidate }) =>
      candidate.unit.passage === unit.passage &&
      candidate.unit !== unit &&
      candidate.unit.kind !== 'code' &&
      headingOf(candidate.unit) === headingOf(unit) &&
      presence(deed, candidate.own) > 0.5,
  );
  return remedy ? [remedy.candidate] : [];
}

/** Which events a Client emits is told by the sections of its page that are headed "Event: ...". */
function listedSections({ listed }: Question, ranked: readonly Scored[], concepts: readonly Weighted[]): Candidate[] {
  const things = concepts.filter(({ weak, concept }) => !weak && concept.whole !== listed);
  const isListed = ({ candidate: { unit, title } }: Scored): boolean =>
    unit.opens &&
    unit.kind === 'sentence' &&
    stem(/^(\w+): /.exec(headingOf(unit))?.[1]?.toLowerCase() ?? '') === listed &&
    title.length === 1 &&
    things.some(({ concept }) => concept.whole === title[0]?.whole);
  return ranked.filter(isListed).map(({ candidate }) => candidate);
}

/** Who asks which things there are is also shown a list of such things from the page that answers. */
function withList(listed: string, chosen: readonly Candidate[], ranked: readonly Scored[], limit: number): Candidate[] {
  const page = chosen[0]?.unit.passage.title;
  const noun: Term = { word: listed, whole: listed, parts: [] };
  if (chosen.some(({ unit }) => unit.kind === 'list')) {
    return chosen.filter(({ unit }) => unit.kind === 'list' || unit.kind === 'sentence');
  }
  if (chosen.some(({ unit }) => unit.kind !== 'sentence')) return [...chosen];
  const list = ranked.find(
    ({ candidate: { unit, lead, heading, own } }) =>
      unit.kind === 'list' && unit.passage.title === page && [lead, heading, own].some((words) => isNamed(noun, words)),
  );
  return list ? [...chosen.slice(0, limit - 1), list.candidate] : [...chosen];
}

function answers({ coverage, strong }: Scored, concepts: readonly Weighted[]): boolean {
  const least = concepts.some(({ isMissed }) => isMissed) ? leastWhenMissed : leastCoverage;
  const telling = concepts.filter(({ weak }) => !weak).length;
  return coverage >= least && strong >= Math.min(2, Math.ceil(telling / 2));
}

/** A section's first sentence together with those that go on in the same paragraph. */
function withFollowers(best: Candidate, candidates: readonly Candidate[], limit: number): Candidate[] {
  const chosen = [best];
  if (!best.unit.opens) return chosen;
  for (let at = candidates.indexOf(best) + 1; chosen.length < limit; at++) {
    const last = (chosen.at(-1) as Candidate).unit;
    const next = candidates[at];
    if (next?.unit.kind !== 'sentence' || next.unit.passage !== last.passage || /:$/.test(next.unit.text)) break;
    if (pointsElsewhere.test(next.unit.text)) break;
    const between = last.passage.text.slice(last.end, Math.max(last.end, next.unit.start));
    if (/\n\s*\n|\S/.test(between)) break;
    if (next.unit.start < last.end) chosen.pop(); // it takes the one before it along
    chosen.push(next);
  }
  return chosen;
}

/** A list that has a line for each of the things compared. */
function contrasts({ unit }: Candidate, things: readonly Term[]): boolean {
  if (unit.kind !== 'list' || things.length < 2) return false;
  const labels = Array.from(unit.text.matchAll(/^\s*- (?:\*\*)?(`[^`]+`|[\w.]+)/gm), ([, label = '']) =>
    vocabularyOf(label),
  );
  return things.every((thing) => labels.some((label) => isNamed(thing, label)));
}

/** For each of the things compared, in the order asked, the unit that best says what it is. */
function chooseCompared(
  question: Question,
  candidates: readonly Candidate[],
  concepts: readonly Weighted[],
  limit: number,
): Candidate[] {
  const things = concepts.filter(({ weak }) => !weak).map(({ concept }) => concept);
  const contrast = rank(question, candidates, concepts).find(({ candidate }) => contrasts(candidate, things));
  if (contrast) return [contrast.candidate];
  const chosen: Candidate[] = [];
  for (const concept of concepts.filter(({ weak }) => !weak).slice(0, Math.max(limit, 2))) {
    const best = rank({ ...question, isDefinition: true }, candidates, [concept]).find(
      ({ candidate }) =>
        ['sentence', 'list'].includes(candidate.unit.kind) && !chosen.some((other) => repeats(candidate, other)),
    );
    if (!best || best.coverage < 0.5) return [];
    chosen.push(best.candidate);
  }
  return chosen;
}
