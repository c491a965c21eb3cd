import { type Candidate, headingOf, type Weighted } from './candidates.js';
import { codeBonus, deedOf } from './code-form.js';
import { isNamed, presence, unasked, type Vocabulary } from './concepts.js';
import type { Question } from './question.js';
import { stem, type Term, termsOf, vocabularyOf } from './terms.js';
import { leansBack, pointsElsewhere } from './units.js';

/** What the form of a unit, apart from its words, adds to or takes from its fit for a kind of question; 0 for neither. */
export function formBonus(question: Question, candidate: Candidate, concepts: readonly Weighted[]): number {
  const strong = concepts.filter(({ weak }) => !weak).map(({ concept }) => concept);
  const { kind, text } = candidate.unit;
  let bonus = openingBonus(question, candidate, strong) + kindBonus(question, candidate, strong, concepts);
  if (question.isYesNo && question.asked.has('default') && /\b(?:automatically|by default|unless)\b/i.test(text))
    bonus += 0.3;
  if (
    question.isYesNo &&
    !/^(?:since|because|although|while)\b/i.test(text) &&
    /\b(?:supports?|enabled?|disabled?|by default|automatically|requires?|cannot|not|only)\b/i.test(text)
  )
    bonus += 0.2;
  if (question.isValue && /\d|\bone\b|\btwo\b|\bthree\b|\bno limit\b|\bunlimited\b|\bnull\b/i.test(text)) bonus += 0.2;
  // An option answers yes or no only where it is a switch.
  if (question.isYesNo && kind === 'item' && isOtherOption(question, candidate)) bonus -= 0.6;
  if (question.looksLike?.test(text)) bonus += 0.2;
  if (question.isHowTo && kind !== 'code' && /\b(?:can|use|using|to|call|pass|set|by)\b/i.test(text)) bonus += 0.15;
  if (question.action && doesIt(question.action, text)) bonus += 0.3;
  if (question.isValue && /\b(?:is|are) [`'"\d]|\*\*Default:\*\*/.test(text)) bonus += 0.15;
  const isCalled = question.action !== '' && (isNamedAfter(question.action, candidate) || names(question, text));
  if (names(question, text)) bonus += 0.7;
  if (isCalled) bonus += 0.6;
  if (question.isHowTo && !isCalled && /^static method:/i.test(headingOf(candidate.unit))) bonus -= 0.6;
  if (question.isHowTo && isProperty(candidate))
    bonus -= isEvent(candidate) && !isCalled && !question.asked.has('event') ? 0.5 : 0.2;
  if (makes(question, candidate)) bonus += 0.6;
  if (isOpposite(question, candidate)) bonus -= 0.4;
  if ((question.isHowTo || question.isDefinition) && /^`(?:true|false)` (?:after|when|if|once)\b/.test(text))
    bonus -= 0.5;
  if (question.isHowTo && !isCalled && /^\W*(?:throws|returns|emitted|published|extends)\b/i.test(text)) bonus -= 0.5;
  // A rule about a thing does not say what it is.
  if (question.isDefinition && /\b(?:will only|only enable)\b/i.test(text)) bonus -= 0.3;
  if (pointsElsewhere.test(text)) bonus -= 0.35;
  if (kind === 'sentence' && /^(?:\S+ ){1,4}also\b/.test(text)) bonus -= 0.2;
  if (text.endsWith(':')) bonus -= 0.3;
  if (/\bdeprecated\b/i.test(text) && !question.asked.has('deprecat')) bonus -= 0.3;
  return bonus;
}

function isOtherOption({ asked }: Question, { unit, label }: Candidate): boolean {
  if (/^`[^`]+` (?:`|\((?!boolean))/.test(unit.text)) return true;
  return /^`[^`]+` \(/.test(unit.text) && label.some(({ parts }) => unasked(parts, asked) > 0);
}

/** "It also exposes `addHeader(name, value)`" names the very call that adds a header. */
function names({ action, asked }: Question, text: string): boolean {
  return Array.from(text.matchAll(/`(?:\w+\.)*(\w+)\(/g), ([, name = '']) => termsOf(name)[0]?.parts ?? []).some(
    (parts) => parts.length > 1 && parts[0] === action && parts.every((part) => asked.has(part)),
  );
}

/** "Caches responses ..." describes what one calls to cache them. */
function doesIt(action: string, text: string): boolean {
  const first = /^[A-Z][a-z]+s\b/.exec(text)?.[0];
  return first !== undefined && stem(first.toLowerCase()) === action;
}

/** What stands first under `deleteCookie(headers, name)`, and the code there, tells how to delete one. */
export function isNamedAfter(action: string, { unit }: Candidate): boolean {
  if (!unit.opens && unit.kind !== 'code') return false;
  const called = /(\w+)\(/.exec(headingOf(unit))?.[1];
  const { whole, parts } = termsOf(called ?? '')[0] ?? { whole: '', parts: [] };
  const verb = parts[0] ?? whole;
  return verb !== '' && presence({ word: action, whole: action, parts: [] }, new Map([[verb, 1]])) > 0;
}

/** Who asks how to enable something is misled by what stands under how to disable it. */
function isOpposite({ action }: Question, { heading, lead }: Candidate): boolean {
  const opposite = opposites.get(action);
  const holds = (word: string): boolean => heading.has(word) || lead.has(word);
  return opposite !== undefined && holds(opposite) && !holds(action);
}

const opposites: ReadonlyMap<string, string> = new Map(
  ['enable disable', 'open close', 'add remove', 'start stop', 'connect disconnect', 'activate deactivate'].flatMap(
    (pair) => {
      const [left = '', right = ''] = pair.split(' ').map(stem);
      return [
        [left, right],
        [right, left],
      ] as const;
    },
  ),
);

/** What is opened, created or started is made by the constructor that bears its name, such as `new WebSocket(url)`. */
function makes({ action, asked }: Question, { unit }: Candidate): boolean {
  if (!makingActions.has(action) || (!unit.opens && unit.kind !== 'code')) return false;
  const made = /^`?new (\w+)\(/.exec(headingOf(unit))?.[1];
  return made !== undefined && asked.has(termsOf(made)[0]?.whole ?? '');
}

const makingActions: ReadonlySet<string> = new Set(
  ['create', 'make', 'open', 'start', 'establish', 'construct'].map(stem),
);

function isEvent({ unit }: Candidate): boolean {
  return /^event:/i.test(headingOf(unit));
}

/** Under a name that nobody calls, such as `client.closed`, or an event, stands what something is, not how it is done. */
function isProperty(candidate: Candidate): boolean {
  const isMember = candidate.headingName !== undefined && /^`?[\w$]+(?:\.[\w$]+)+`?$/.test(headingOf(candidate.unit));
  return isMember || isEvent(candidate);
}

/** The first sentence of a section tells what the section is about, that of a page what the page is about. */
function openingBonus(question: Question, { unit, title, outer }: Candidate, strong: readonly Term[]): number {
  let bonus = strong.some(({ whole }) => title.some((term) => term.whole === whole)) ? 0.12 : 0;
  if (!unit.opens || question.isValue || question.isYesNo) return bonus;
  if (strong.some((concept) => isNamed(concept, outer))) bonus += question.isHowTo ? 0.3 : 0.2;
  const beginsPage = unit.headings.length <= 1 && !unit.passage.heading;
  if (beginsPage && isAbout(title, new Set(strong.map(({ whole }) => whole))))
    bonus += question.isDefinition ? 0.5 : 0.25;
  return bonus;
}

/** Whether a title names nothing but what is asked, or is a name that ends in its kind, such as ProxyAgent of a proxy. */
function isAbout(title: readonly Term[], asked: ReadonlySet<string>): boolean {
  const [name, ...more] = title;
  if (name === undefined) return false;
  if (title.every(({ whole }) => asked.has(whole))) return true;
  return more.length === 0 && name.parts.length > 1 && name.parts.slice(0, -1).every((part) => asked.has(part));
}

function kindBonus(
  question: Question,
  candidate: Candidate,
  strong: readonly Term[],
  concepts: readonly Weighted[],
): number {
  const { unit } = candidate;
  if (unit.kind === 'code') return codeBonus(question, candidate);
  if (unit.kind === 'item' || unit.kind === 'row') return labelBonus(question, candidate, strong, concepts);
  if (unit.kind === 'list') return listBonus(question, unit.text, strong);
  return (leansBack.test(unit.text) ? -0.35 : 0) + (/[.!?:)]["'”’*_`]*$/.test(unit.text) ? 0 : -0.35);
}

/** A list answers when what introduces it is on the subject, not when one of its items happens to be. */
function listBonus({ listed }: Question, list: string, strong: readonly Term[]): number {
  const intro = vocabularyOf(list.slice(0, list.indexOf('\n')));
  if (intro.has(listed)) return 1;
  return strong.some((concept) => presence(concept, intro) > 0.5) ? 0 : -0.5;
}

/** An option is what the question is about when the question names it, or spells it out as "maximum response size". */
function labelBonus(
  question: Question,
  { unit, own, words, label, labelWords }: Candidate,
  strong: readonly Term[],
  concepts: readonly Weighted[],
): number {
  const named = strong.some(({ whole }) => label.some((term) => term.whole === whole));
  const spelled = spelledBy(question, label, concepts);
  let bonus = question.isCount && /max|limit|count|num/i.test(unit.label) ? 0.5 : 0;
  if (named || spelled > 0) bonus += Math.max(named ? 0.6 : 0, (question.isValue ? 1.2 : 0.6) * spelled);
  else if (strong.some((concept) => presence(concept, labelWords) === 1)) bonus += 0.15;
  else if (isFirstIn(label, strong)) bonus += 0.3;
  else if (question.isHowTo || question.isDefinition) bonus -= 0.3;
  const deed = deedOf(question);
  if (question.isHowTo && spelled < 0.6 && !isFirstIn(label, strong) && !unit.label.includes('('))
    bonus -= deed && presence(deed, own) > 0.5 ? 0.3 : 0.7;
  // A name alone says nothing about itself.
  if (words < labelWords.size + 3) bonus -= 0.6;
  return bonus;
}

/** Options such as `keepAliveTimeout` are how one uses what they begin with. */
function isFirstIn(label: readonly Term[], strong: readonly Term[]): boolean {
  const parts = label[0]?.parts ?? [];
  return strong.some((concept) => concept.parts.length > 1 && concept.parts.every((part, at) => part === parts[at]));
}

/** The share of the question that a label spells, from 0 to 1; 0 when the label says anything else too. */
export function spelledBy({ asked }: Question, label: readonly Term[], concepts: readonly Weighted[]): number {
  const parts = label.flatMap((term) => (term.parts.length > 0 ? term.parts : [term.whole]));
  if (parts.length === 0 || unasked(parts, asked) > 0) return 0;
  const vocabulary = new Map(parts.map((part) => [part, 1] as const));
  let held = 0;
  let all = 0;
  for (const { concept, weight } of concepts) {
    all += weight;
    held += weight * presence(concept, vocabulary);
  }
  return all > 0 ? held / all : 0;
}

/** From 0 to about 1: a sentence whose subject is the concept, or that opens the section named after it. */
export function definition({ unit, heading, outer }: Candidate, concept: Term): number {
  if (unit.kind !== 'sentence' && unit.kind !== 'list') return 0;
  let credit = subjectOf(unit.text, concept) ? 0.45 : 0;
  if (credit > 0 && isA.test(unit.text)) credit += 0.9;
  if (isGlossed(unit.text, concept)) credit += 1.5;
  if (unit.opens) {
    const named = unit.headings.length > 0 || unit.passage.heading ? heading : outer;
    const fit = isNamed(concept, named) ? 1 / Math.max(1, named.size / Math.max(1, concept.parts.length + 1)) : 0;
    credit += 0.7 * Math.max(fit, isNamed(concept, outer) ? 0.6 : 0);
  }
  return credit;
}

const defining =
  /^(?:an?|the|each|every)?\s*[`*_]*([\p{L}\p{N}._$-]+)[`*_]*(?:\(\))?[`*_]*(?:\s+\p{L}+)?(?:\s+\([^()]*\))?\s+(?:is|are|was|does|can|lets|[\p{Ll}]{3,}s)\b/iu;

/** "Each interceptor is a function that ..." */
const isA = /^(?:an?|the|each|every)?\s*[`*_]*[\p{L}\p{N}._$-]+[`*_]*(?:\(\))?\s+(?:is|are) (?:an?|the|one of)\b/iu;

/** "It supports pipelining (sending multiple requests without ...)" says in passing what the word means. */
function isGlossed(text: string, { word }: Term): boolean {
  const at = text.toLowerCase().indexOf(`${word.toLowerCase()} (`);
  return at >= 0 && /^(?:\p{L}+ing|an?|the|that is|i\.e\.) (?:[^\s()]+ ){2}/u.test(text.slice(at + word.length + 2));
}

function subjectOf(text: string, concept: Term): boolean {
  const subject = defining.exec(text)?.[1];
  return subject !== undefined && isNamed(concept, vocabularyOf(subject));
}

/** From 1 down: too short says nothing, too long says too much. */
export function lengthFactor(words: number, code: string | undefined): number {
  if (code !== undefined) return 1 / (1 + Math.max(0, code.split('\n').length - 20) / 60);
  return words < 5 ? 0.55 : 1 / (1 + Math.max(0, words - 40) / 150);
}

/** What a name adds to what is asked, its last part left out: a ProxyAgent is the agent of any proxy. */
function special(parts: readonly string[], asked: Vocabulary): number {
  const added = unasked(parts, asked);
  const kind = parts.at(-1) ?? '';
  return added > 0 && !asked.has(kind) ? added - 1 : added;
}

/** From 1 down, for what stands under a name that is about something more special than was asked. */
export function specialFactor({ asked }: Question, { title, headingName }: Candidate): number {
  const names = headingName ? [...title, headingName] : title;
  const inNames = Math.max(0, ...names.map(({ parts }) => special(parts, asked)));
  const words = title.map(({ whole }) => whole);
  const doubled = isOfDoubles(names) && !testWords.some((word) => asked.has(word)) ? 0.6 : 0;
  return 1 / (1 + Math.max(doubled, 0.25 * Math.min(2, inNames), 0.15 * Math.min(2, unasked(words, asked))));
}

/** What stands in for the real thing in tests, such as a MockPool, answers only who asks about that. */
function isOfDoubles(names: readonly Term[]): boolean {
  return names.some(({ whole, parts }) => [whole, ...parts].some((word) => doubles.includes(word)));
}

const doubles = ['mock', 'stub', 'fake'].map(stem);
const testWords = [...doubles, ...['test', 'simulate', 'replay', 'record', 'pretend', 'intercept'].map(stem)];
