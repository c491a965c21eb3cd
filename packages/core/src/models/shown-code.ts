import { type Candidate, headingOf } from './candidates.js';
import { isCode, statementsIn } from './code-form.js';
import { presence } from './concepts.js';
import { specialFactor } from './form.js';
import type { Question } from './question.js';
import type { Scored } from './ranking.js';
import { vocabularyOf } from './terms.js';
import type { Unit } from './units.js';

/** How near to the best unit a block of code must come: in the section of the prose, on its page, elsewhere, under a more special name. */
const nearCode = { section: 0.12, page: 0.35, elsewhere: 0.5, special: 1 };
/** Code with a sentence of its own that comes this near needs no other sentence. */
const nearIntroduced = 0.8;
/** How much more such a block counts than one from elsewhere. */
const fitOfPlace = { section: 3, page: 1.8, elsewhere: 1 };
/** What code gains that uses all that the prose names. */
const fitOfNames = 0.8;

/** "How do I" is answered by prose and one block of code that shows it, from where the prose stands if possible. */
export function withCode(
  question: Question,
  chosen: readonly Candidate[],
  ranked: readonly Scored[],
  limit: number,
): Candidate[] {
  const prose = chosen.filter(({ unit }) => unit.kind !== 'code');
  const best = ranked[0]?.score ?? 0;
  const code = codeFor(question, prose, ranked);
  if (!code) return prose;
  const { unit } = code.candidate;
  // Code with a sentence of its own, or under a heading that asks the question, needs no sentence from elsewhere.
  const fitting = prose.filter((candidate) => {
    if (candidate.unit.passage === unit.passage)
      return candidate.unit.end <= unit.start || candidate.unit.start >= unit.end;
    const titled = ranked.find((scored) => scored.candidate === candidate)?.titled ?? 0;
    return !(isIntroduced(unit) && code.score >= best * nearIntroduced) && (code.titled < 0.6 || titled > 0);
  });
  return [...fitting.slice(0, Math.max(0, limit - 1)), code.candidate];
}

function codeFor(question: Question, prose: readonly Candidate[], ranked: readonly Scored[]): Scored | undefined {
  const best = ranked[0]?.score ?? 0;
  const names = namesIn(prose, question);
  let [chosen, mostFit]: [Scored | undefined, number] = [undefined, 0];
  for (const scored of ranked) {
    const { candidate, score } = scored;
    if (!isShowing(candidate.unit)) continue;
    const place = placeOf(candidate.unit, prose);
    const isSpecial = specialFactor(question, candidate) < 1 && !isIntroduced(candidate.unit);
    const least = place === 'elsewhere' && isSpecial ? nearCode.special : nearCode[place];
    const used = names.filter((name) => name.test(candidate.unit.text)).length / Math.max(1, names.length);
    const worth = score * (1 + fitOfNames * used);
    if (worth < best * least || worth * fitOfPlace[place] <= mostFit) continue;
    [chosen, mostFit] = [scored, worth * fitOfPlace[place]];
  }
  return chosen;
}

/** Code that does nothing but import shows nothing. */
function isShowing({ kind, text }: Unit): boolean {
  return kind === 'code' && isCode(text) && statementsIn(text) > 0;
}

/** Where code stands, seen from the prose. */
function placeOf(unit: Unit, prose: readonly Candidate[]): keyof typeof fitOfPlace {
  const onPage = prose.filter((candidate) => candidate.unit.passage.title === unit.passage.title);
  const section = (of: Unit): string => headingOf(of).replaceAll('`', '');
  if (onPage.some((candidate) => section(candidate.unit) === section(unit))) return 'section';
  return onPage.length > 0 ? 'page' : 'elsewhere';
}

/** What prose or its heading names as code and the question asks for, such as `persist()`, by how code would use it. */
function namesIn(prose: readonly Candidate[], { concepts }: Question): RegExp[] {
  const texts = prose.flatMap(({ unit }) => [unit.text, headingOf(unit)]);
  const named = texts.flatMap((text) => [...text.matchAll(/`([\w$.]+)(\()?[^`]*`/g)]);
  const asked = named.filter(([, name = '']) => {
    const vocabulary = vocabularyOf(name);
    return concepts.some((concept) => presence(concept, vocabulary) > 0.5);
  });
  const uses = asked.map(([, name = '', call]) => {
    const literal = name.replace(/[$.]/g, '\\$&');
    return `(?<![\\w$])${literal}${call ? '\\(' : '(?![\\w$])'}`;
  });
  return [...new Set(uses)].map((use) => new RegExp(use));
}

/** Whether a block of code has the sentence that says what it does. */
function isIntroduced({ text }: Unit): boolean {
  return !/^(?:`{3}|~{3})/.test(text);
}
