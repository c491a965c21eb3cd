import type { SearchResult } from 'minisearch';
import { closeness, type Occurrence } from './closeness.js';
import { countWords, type DocumentPassage } from './passages.js';
import type { Query, QueryWord } from './query.js';
import { type Searchable, withoutCode } from './searchable.js';
import { actionOf, kindsOf, type PageTitle, partsOf, titleOf } from './titles.js';
import { termsOf, wordsOf } from './tokens.js';

/** A question that names the page is often answered by how the page begins, one that asks what it is nearly always. */
const leadBoost = 1.6;
const definitionBoost = 6;
/** What a page gains at its beginning that is about what is asked, and what one loses that is about something special. */
const aboutBoost = 2.5;
const specialLoss = 0.75;
/** What the rest of a page gains that the question names. */
const pageBoost = 1.35;
/** Longer titles are sentences rather than names. */
const longestSubject = 3;
/** What lists gain where several things are asked for. */
const listBoost = 1.25;
/** What a section gains whose heading is a call of what the question wants done. */
const actionBoost = 1.3;
/** What a name that the question spells out in words adds, and words of the question that stand together. */
const spelledBoost = 1.2;
const closeBoost = 1;
/** About the length of a sentence. */
const closeWords = 16;
/** Below this many words outside code a passage rarely answers anything: it counts less the shorter it is. */
const fullWeightWords = 30;
/** Past one passage in some 150, a word cannot tell more. */
export const mostRare = 5;

/** A passage with all that a second look at it needs. */
export interface Indexed extends PageTitle {
  readonly passage: DocumentPassage;
  /** Its words in order, as numbers. */
  readonly text: Uint32Array;
  /** For each name that it explains, the stems of which it is made. */
  readonly defines: readonly (readonly string[])[];
  readonly isLead: boolean;
  /** Holds a table, or a list with the sentence that introduces it. */
  readonly isList: boolean;
  /** What a heading such as `deleteCookie(headers, name)` does; empty for other headings. */
  readonly action: string;
  readonly weight: number;
}

/** Judges what the index found by how much of one question it holds, and how close together. */
export class SecondLook {
  readonly #query: Query;
  readonly #vocabulary: Vocabulary;
  /** Of each word of the question, by how rare it is. */
  readonly #weights: readonly number[];
  /** The bits of the words that a term answers. */
  readonly #bits = new Map<string, number>();
  readonly #bitsOfWord = new Map<number, number>();

  constructor(query: Query, rarity: ReadonlyMap<string, number>, vocabulary: Vocabulary) {
    this.#query = query;
    this.#vocabulary = vocabulary;
    this.#weights = query.words.map(({ terms, share }) => share * (rarity.get(terms[0] ?? '') ?? mostRare));
    for (const [index, { terms, others }] of query.words.entries()) {
      for (const term of [terms[0] ?? '', ...others]) this.#bits.set(term, (this.#bits.get(term) ?? 0) | (1 << index));
    }
  }

  factorOf(found: Indexed, hit: SearchResult): number {
    const named = this.isNamed(found);
    // The page of one side of a comparison says nothing about the other, and need not.
    const isSide = named && this.#query.compares;
    const covered = isSide ? 1 : this.#covered(new Set(hit.queryTerms));
    const close = isSide ? 1 : closeness(this.#occurrences(found.text), this.#weights, closeWords);
    const spelled = Math.max(0, ...found.defines.map((parts) => this.#spelled(parts)));
    const base = (0.3 + 0.7 * covered) * (1 + closeBoost * close) * (1 + spelledBoost * spelled);
    const acts = this.#bits.has(found.action) ? actionBoost : 1;
    const lists = this.#query.wantsList && found.isList ? listBoost : 1;
    return base * this.#pageFactor(found, named) * acts * lists * found.weight;
  }

  /** Whether the question names the page that this passage begins. */
  isNamed({ isLead, title }: Indexed): boolean {
    return isLead && this.#asksFor(title);
  }

  /** The same for a page that is about what is asked, such as ProxyAgent where a proxy is. */
  isAbout({ isLead, subject }: Indexed): boolean {
    return isLead && this.#asksFor(subject);
  }

  #pageFactor(found: Indexed, named: boolean): number {
    if (named) return this.#query.wantsDefinition || this.#query.compares ? definitionBoost : leadBoost;
    if (this.isAbout(found)) return 1 + aboutBoost * this.#spelled(found.subject);
    if (this.#asksFor(found.title)) return pageBoost;
    return this.#isSpecial(found.subject) ? specialLoss : 1;
  }

  /** The share of the question that a passage holds; an identifier's parts and other words of the same meaning count less. */
  #covered(matched: ReadonlySet<string>): number {
    let held = 0;
    let all = 0;
    for (const [index, word] of this.#query.words.entries()) {
      const weight = this.#weights[index] ?? 0;
      all += weight;
      held += weight * shareHeld(word, matched);
    }
    return all > 0 ? held / all : 0;
  }

  #occurrences(text: Uint32Array): Occurrence[] {
    const occurrences: Occurrence[] = [];
    for (const [position, number] of text.entries()) {
      const words = this.#bitsOfWord.get(number) ?? this.#readBits(number);
      if (words > 0) occurrences.push({ position, words });
    }
    return occurrences;
  }

  #readBits(number: number): number {
    let bits = 0;
    for (const term of this.#vocabulary.termsOf(number)) bits |= this.#bits.get(term) ?? 0;
    this.#bitsOfWord.set(number, bits);
    return bits;
  }

  /** The share of the question that an identifier spells, such as maxResponseSize; 0 when it says anything else too. */
  #spelled(parts: readonly string[]): number {
    let bits = 0;
    for (const part of parts) {
      const bit = this.#bits.get(part);
      if (!bit) return 0;
      bits |= bit;
    }
    const all = this.#weights.reduce((sum, weight) => sum + weight, 0);
    const held = this.#weights.reduce((sum, weight, index) => (bits & (1 << index) ? sum + weight : sum), 0);
    return all > 0 ? held / all : 0;
  }

  /** The page of a SOCKS5 proxy holds much of what is asked about a proxy, and is about another thing. */
  #isSpecial(subject: readonly string[]): boolean {
    const asked = subject.filter((term) => this.#bits.has(term)).length;
    return asked > 0 && asked < subject.length && subject.length <= longestSubject;
  }

  #asksFor(terms: readonly string[]): boolean {
    return terms.length > 0 && terms.every((term) => this.#bits.has(term));
  }
}

function shareHeld({ terms: [whole = '', ...parts], others }: QueryWord, matched: ReadonlySet<string>): number {
  if (matched.has(whole)) return 1;
  if (others.some((other) => matched.has(other))) return 0.8;
  return parts.length > 0 ? (0.5 * parts.filter((part) => matched.has(part)).length) / parts.length : 0;
}

/** The inverse document frequency of each term, in natural logarithms. */
export function rarityOf(entries: readonly Searchable[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { title, heading, text } of entries) {
    const terms = new Set(wordsOf(`${title} ${heading} ${text}`).flatMap(termsOf));
    for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  }
  return new Map(
    [...counts].map(([term, count]) => [term, Math.min(mostRare, Math.log(1 + entries.length / (count + 0.5)))]),
  );
}

/** Numbers for words, so that whole texts can be kept in order at four bytes a word. */
export class Vocabulary {
  readonly #numbers = new Map<string, number>();
  readonly #terms: (readonly string[])[] = [];

  numbersOf(text: string): Uint32Array {
    return Uint32Array.from(wordsOf(text), (word) => {
      const known = this.#numbers.get(word);
      if (known !== undefined) return known;
      this.#terms.push(termsOf(word));
      this.#numbers.set(word, this.#terms.length - 1);
      return this.#terms.length - 1;
    });
  }

  termsOf(number: number): readonly string[] {
    return this.#terms[number] ?? [];
  }
}

/** Reads all passages once; what it keeps of each is about four bytes a word. */
export function indexedOf(
  passages: readonly DocumentPassage[],
  entries: readonly Searchable[],
  vocabulary: Vocabulary,
): Map<string, Indexed> {
  const byId = new Map(passages.map((passage) => [passage.id, passage]));
  const begun = new Set<string>();
  const kinds = kindsOf(new Map(passages.map(({ document, title }) => [document, title])).values());
  const indexed = new Map<string, Indexed>();
  for (const { id, text, defines } of entries) {
    const passage = byId.get(id);
    if (!passage) continue;
    indexed.set(id, {
      passage,
      text: vocabulary.numbersOf(text),
      defines: defines.map((name) => wordsOf(name).flatMap((word) => partsOf(termsOf(word)))),
      isLead: !begun.has(passage.document),
      isList: listed.test(passage.text),
      action: actionOf(passage.headings.at(-1) ?? ''),
      ...titleOf(passage.title, kinds),
      weight: Math.min(1, 0.6 + (0.4 * countWords(withoutCode(passage.text))) / fullWeightWords),
    });
    begun.add(passage.document);
  }
  return indexed;
}

const listed = /^\|? *:?-+:? *\||:[ \t]*\n\n?[ \t]*[-*+] /m;
