import type { Candidate } from './candidates.js';
import { presence } from './concepts.js';
import { isWeak, type Question } from './question.js';
import { type Term, termsOf, vocabularyOf } from './terms.js';

/** Code answers only who asks how, and only when it shows what is to be done. */
export function codeBonus(question: Question, { unit, own, lead, outer }: Candidate): number {
  if (!question.isHowTo || !isCode(unit.text)) return -1.5;
  const deed = deedOf(question);
  const isShown = !deed || [own, lead, outer].some((words) => presence(deed, words) > 0.5);
  return (
    shownBy(unit.text) -
    (isShown ? 0 : 0.6) +
    (setsIt(question, unit.text) ? 0.6 : 0) -
    (lacksName(question, unit.text) ? 0.4 : 0) -
    (isForAnother(question, unit.text) ? 0.3 : 0)
  );
}

/** Code that sets a property of the name that is asked for, such as `ca: ...` for a CA certificate. */
function setsIt({ essential }: Question, code: string): boolean {
  const keys = Array.from(code.matchAll(/^\s*(?:'([^']+)'|(\w+)):\s/gm), ([, quoted, plain]) =>
    termsOf(quoted ?? plain ?? ''),
  );
  return keys.flat().some(({ whole }) => essential.some((concept) => concept.whole === whole));
}

/** Code after a sentence without a word of the question serves what that sentence is about. */
function isForAnother({ concepts }: Question, text: string): boolean {
  const intro = vocabularyOf(text.slice(0, Math.max(0, text.search(/^(?:`{3,}|~{3,})/m))));
  return intro.size >= 8 && !concepts.some((concept) => !isWeak(concept) && presence(concept, intro) > 0.5);
}

/** Code without the compound that is asked for, such as keep-alive, shows something else. */
function lacksName({ concepts }: Question, code: string): boolean {
  const compounds = concepts.filter(({ parts }) => parts.length > 1);
  if (compounds.length === 0) return false;
  const source = vocabularyOf(code.slice(Math.max(0, code.search(/^(?:`{3,}|~{3,})/m))));
  return !compounds.some((concept) => presence(concept, source) > 0.5);
}

/** What is to be done; nothing for a verb that goes with anything, such as "use". */
export function deedOf({ essential, action }: Question): Term | undefined {
  return essential.find(({ whole }) => whole === action);
}

/** A fence may hold a tree of files or a drawing: what names no language shows something only if it looks like code. */
export function isCode(fenced: string): boolean {
  const [, language = '', source = ''] = /^(?:`{3,}|~{3,})[ \t]*([\w-]*)[^\n]*\n([\s\S]*)/m.exec(fenced) ?? [];
  if (language !== '' && !/^te?xt$|^plain/.test(language)) return true;
  return /^\s*(?:\$ |npm |npx |curl )|[;{]\s*$|\w\(.*\)\s*$/m.test(source);
}

/** Code that only imports shows nothing, a single statement little. */
function shownBy(code: string): number {
  return [-0.5, -0.2][statementsIn(code)] ?? 0.1;
}

/** The lines of a unit's code that say something, imports left out. */
export function statementsIn(code: string): number {
  const lines = code.replace(/^[\s\S]*?(?:```|~~~).*\n/, '').split('\n');
  return lines.filter((line) => !/^\s*(?:$|import\b|const .* = require\b|\/\/|```|~~~)/.test(line)).length;
}
