import { type Candidate, holdsAll, repeats, toCandidate, type Weighted, weigh } from './candidates.js';
import { specialFactor, spelledBy } from './form.js';
import type { Question } from './question.js';
import { rank, type Scored } from './ranking.js';
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
  const chosen = compared.length > 1 ? compared : chooseBest(question, candidates, concepts, limit);
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
  const isExact = question.isValue || question.isYesNo || ['item', 'row'].includes(best.candidate.unit.kind);
  // Where the question spells a name, other names are other things.
  const isSpelled = spelledBy(question, best.candidate.label, concepts) > 0.7;
  const near = best.score * (isExact ? nearBestExact : nearBest);
  const chosen = question.isDefinition ? withFollowers(best.candidate, candidates, limit) : [];
  if (chosen.length > 1) return chosen;
  for (const { candidate, score, coverage } of ranked) {
    if (chosen.length >= limit || score < near) break;
    if (coverage < leastCoverage || chosen.some((other) => repeats(candidate, other))) continue;
    if (!isSpelled || candidate === best.candidate || candidate.unit.label === best.candidate.unit.label)
      chosen.push(candidate);
  }
  return question.isHowTo ? withCode(question, chosen, ranked, limit) : chosen;
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

/** How near to the best unit a block of code must come: on the page of the prose, elsewhere, about something special. */
const nearCode = { here: 0.35, elsewhere: 0.5, special: 0.8 };

/** "How do I" is answered by prose and one block of code that shows it. */
function withCode(
  question: Question,
  chosen: readonly Candidate[],
  ranked: readonly Scored[],
  limit: number,
): Candidate[] {
  const prose = chosen.filter(({ unit }) => unit.kind !== 'code');
  const best = ranked[0]?.score ?? 0;
  const least = (candidate: Candidate): number => {
    if (prose.some(({ unit }) => unit.passage.title === candidate.unit.passage.title)) return nearCode.here;
    const isSpecial = specialFactor(question, candidate) < 1 && !isIntroduced(candidate.unit);
    return isSpecial ? nearCode.special : nearCode.elsewhere;
  };
  const code = ranked.find(
    ({ candidate, score }) => candidate.unit.kind === 'code' && score >= best * least(candidate),
  );
  if (!code) return prose;
  const { unit } = code.candidate;
  // Code with a sentence of its own, or under a heading that asks the question, needs no sentence from elsewhere.
  const fitting = prose.filter((candidate) => {
    if (candidate.unit.passage === unit.passage) return true;
    const titled = ranked.find((scored) => scored.candidate === candidate)?.titled ?? 0;
    return !(isIntroduced(unit) && code.score >= best * nearCode.special) && (code.titled < 0.6 || titled > 0);
  });
  return [...fitting.slice(0, Math.max(0, limit - 1)), code.candidate];
}

/** Whether a block of code has the sentence that says what it does. */
function isIntroduced({ text }: Unit): boolean {
  return !/^(?:`{3}|~{3})/.test(text);
}

/** For each of the things compared, the unit that best says what it is. */
function chooseCompared(
  question: Question,
  candidates: readonly Candidate[],
  concepts: readonly Weighted[],
  limit: number,
): Candidate[] {
  const both = rank(question, candidates, concepts).find(({ coverage }) => coverage > 0.95);
  const chosen =
    both && both.candidate.unit.kind === 'sentence' && holdsAll(both.candidate, concepts) ? [both.candidate] : [];
  for (const concept of concepts.filter(({ weak }) => !weak).slice(0, limit)) {
    const best = rank({ ...question, isDefinition: true }, candidates, [concept]).find(({ candidate }) =>
      ['sentence', 'list'].includes(candidate.unit.kind),
    );
    if (!best || best.coverage < 0.5) return [];
    if (!chosen.some((other) => repeats(best.candidate, other))) chosen.push(best.candidate);
  }
  return chosen.slice(0, Math.max(limit, 2));
}
