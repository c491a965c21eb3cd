/** What titles and headings tell: what a page is about, of what kind, and what a section does. */
import { isStopWord, termsOf, wordsOf } from './tokens.js';

export interface PageTitle {
  /** The terms of its words. */
  readonly title: readonly string[];
  /** The parts of its words, of which a name such as "ProxyAgent" loses its kind. */
  readonly subject: readonly string[];
}

/** From this many titles on that end alike, the ending tells only what kind of thing each is about. */
const fewestOfKind = 3;

/** The last parts of names that several titles share, such as "agent" of RetryAgent, ProxyAgent and MockAgent. */
export function kindsOf(titles: Iterable<string>): Set<string> {
  const counts = new Map<string, number>();
  for (const title of titles) {
    const parts = nameParts(title);
    const kind = parts.at(-1);
    if (kind !== undefined && parts.length > 1) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return new Set([...counts].filter(([, count]) => count >= fewestOfKind).map(([kind]) => kind));
}

export function titleOf(title: string, kinds: ReadonlySet<string>): PageTitle {
  const words = tellingWords(title).map(termsOf);
  const parts = words.flatMap(partsOf);
  const hasKind = words.length === 1 && parts.length > 1 && kinds.has(parts.at(-1) ?? '');
  return { title: words.map(([whole = '']) => whole), subject: hasKind ? parts.slice(0, -1) : parts };
}

/** The parts of a title that is a single name; none for any other. */
function nameParts(title: string): string[] {
  const [name, ...more] = tellingWords(title);
  return name === undefined || more.length > 0 ? [] : partsOf(termsOf(name));
}

function tellingWords(text: string): string[] {
  return wordsOf(text).filter((word) => !isStopWord(word));
}

/** What a heading such as `deleteCookie(headers, name)` does: "delet"; empty for other headings. */
export function actionOf(heading: string): string {
  const called = /([\p{L}\p{N}]+)\(/u.exec(heading)?.[1];
  return called === undefined ? '' : (partsOf(termsOf(called))[0] ?? '');
}

/** The parts of an identifier, or the one word. */
export function partsOf([whole = '', ...parts]: readonly string[]): string[] {
  const stems = parts.filter((part) => !part.startsWith('='));
  return stems.length > 0 ? stems : [whole];
}
