import type { SearchResult } from 'minisearch';
import { closeness, type Occurrence } from './closeness.js';
import { countWords, type DocumentPassage } from './passages.js';
import type { Query, QueryWord } from './query.js';
import { type Searchable, withoutCode } from './searchable.js';
import { isStopWord, termsOf, wordsOf } from './tokens.js';

/** A question that names the page is often answered by how the page begins, one that asks what it is nearly always. */
const leadBoost = 1.6;
const definitionBoost = 4;
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
export interface Indexed {
  readonly passage: DocumentPassage;
  /** Its words in order, as numbers. */
  readonly text: Uint32Array;
  /** For each name that it explains, the stems of which it is made. */
  readonly defines: readonly (readonly string[])[];
  readonly isLead: boolean;
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
    this.#weights = query.words.map(({ terms }) => rarity.get(terms[0] ?? '') ?? mostRare);
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
    const lead = named ? this.#leadBoost() : 1;
    return (0.3 + 0.7 * covered) * (1 + closeBoost * close) * (1 + spelledBoost * spelled) * lead * found.weight;
  }

  /** Whether the question names the page that this passage begins. */
  isNamed({ isLead, passage }: Indexed): boolean {
    return isLead && this.#namesTitle(passage.title);
  }

  #leadBoost(): number {
    return this.#query.wantsDefinition || this.#query.compares ? definitionBoost : leadBoost;
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

  #namesTitle(title: string): boolean {
    const words = wordsOf(title).filter((word) => !isStopWord(word));
    return words.length > 0 && words.every((word) => this.#bits.has(termsOf(word)[0] ?? ''));
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
  const indexed = new Map<string, Indexed>();
  for (const { id, text, defines } of entries) {
    const passage = byId.get(id);
    if (!passage) continue;
    indexed.set(id, {
      passage,
      text: vocabulary.numbersOf(text),
      defines: defines.map((name) => wordsOf(name).flatMap((word) => partsOf(termsOf(word)))),
      isLead: !begun.has(passage.document),
      weight: Math.min(1, 0.6 + (0.4 * countWords(withoutCode(passage.text))) / fullWeightWords),
    });
    begun.add(passage.document);
  }
  return indexed;
}

/** The parts of an identifier, or the one word. */
function partsOf([whole = '', ...parts]: readonly string[]): string[] {
  const stems = parts.filter((part) => !part.startsWith('='));
  return stems.length > 0 ? stems : [whole];
}
