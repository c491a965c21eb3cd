import MiniSearch from 'minisearch';
import type { DocumentPassage } from './passages.js';
import { type Query, readQuery } from './query.js';
import { type Searchable, searchableOf } from './searchable.js';
import { type Indexed, indexedOf, mostRare, rarityOf, SecondLook, Vocabulary } from './second-look.js';
import { Sources } from './sources.js';
import { termsOf, wordsOf } from './tokens.js';

export interface Retrieval {
  /** The passages that fit the question best, best first; none when no word of it occurs. */
  search(question: string, limit?: number): DocumentPassage[];
}

const boosts = { title: 1, heading: 1.5, above: 0.6, defines: 1.6, text: 1 };
/** A word that means the same as that of the question counts less than the word itself. */
const otherWeight = 0.7;
/** How many of the best matches are looked at again, besides the beginnings of pages that the question names. */
const secondLook = 40;
/** What each passage already taken from a page leaves of the score of its others. */
const samePage = 0.92;
/** Passages that share more of their words than this say the same. */
const sameText = 0.8;

interface Ranked {
  readonly found: Indexed;
  readonly score: number;
}

/** An index in memory over all passages: BM25, with identifiers found whole and in parts, then a second look at the best. */
export function createRetrieval(passages: readonly DocumentPassage[]): Retrieval {
  const index = new MiniSearch<Searchable>({
    fields: Object.keys(boosts),
    extractField: (entry, field) => {
      const value = entry[field as keyof Searchable];
      return typeof value === 'string' ? value : value.join(' ');
    },
    tokenize: wordsOf,
    processTerm: termsOf,
    searchOptions: { ...asGiven, boost: boosts, combineWith: 'OR', bm25: { k: 1.2, b: 0.75, d: 0.5 } },
  });
  const entries = passages.filter((passage) => !passage.onlyLinks).map(searchableOf);
  index.addAll(entries);
  const rarity = rarityOf(entries);
  const vocabulary = new Vocabulary();
  const sources = new Sources(passages);
  const indexed = indexedOf(passages, entries, vocabulary);

  return {
    search(question, limit = 6) {
      const query = readQuery(question, (term) => rarity.has(term));
      if (query.words.length === 0) return [];
      const weights = weightsOf(query, rarity);
      const hits = index.search([...weights.keys()].join(' '), {
        prefix: (term) => term.length > 4 && !/[=/]/.test(term),
        // Only what no document holds is likely to be misspelt.
        fuzzy: (term) => (term.length > 4 && !term.startsWith('=') && !rarity.has(term) ? 0.2 : false),
        weights: { prefix: 0.25, fuzzy: 0.5 },
        boostTerm: (term) => weights.get(term) ?? 1,
      });
      const isAllowed = sources.allowedBy(query);
      const look = new SecondLook(query, rarity, vocabulary);
      const ranked = hits.flatMap((hit, place) => {
        const found = indexed.get(String(hit.id));
        if (!found || !isAllowed(found.passage.document)) return [];
        if (place >= secondLook && !look.isNamed(found) && !look.isAbout(found)) return [];
        return [{ found, score: hit.score * look.factorOf(found, hit) }];
      });
      return distinct(ranked, limit);
    },
  };
}

/** Terms are made before the search, so the search takes them as they are. */
const asGiven = { tokenize: (text: string) => text.split(' '), processTerm: (term: string) => term };

/** The terms to look for. A word of every page says little, even where it stands in a heading. */
function weightsOf({ words }: Query, rarity: ReadonlyMap<string, number>): Map<string, number> {
  const weights = new Map<string, number>();
  const add = (term: string, share: number): void => {
    const weight = (share * (rarity.get(term) ?? mostRare)) / mostRare;
    weights.set(term, Math.max(weight, weights.get(term) ?? 0));
  };
  for (const { terms, others, share } of words) {
    for (const term of terms) add(term, share);
    for (const term of others) add(term, share * otherWeight);
  }
  return weights;
}

/**
 * The best `limit` passages, without those that repeat a better one: two pages may hold the same text. Each passage of a
 * page makes its next one count a little less, so that another page has its say.
 */
function distinct(ranked: readonly Ranked[], limit: number): DocumentPassage[] {
  const chosen: { readonly passage: DocumentPassage; readonly words: ReadonlySet<number> }[] = [];
  const left = [...ranked];
  const taken = new Map<string, number>();
  const worth = ({ found, score }: Ranked): number => score * samePage ** (taken.get(found.passage.document) ?? 0);
  while (chosen.length < limit && left.length > 0) {
    const best = left.reduce((top, each) => (worth(each) > worth(top) ? each : top));
    left.splice(left.indexOf(best), 1);
    const { passage, text } = best.found;
    const words = new Set(text);
    if (chosen.some((earlier) => overlap(earlier.words, words) > sameText)) continue;
    chosen.push({ passage, words });
    const { document } = passage;
    taken.set(document, (taken.get(document) ?? 0) + 1);
  }
  return chosen.map(({ passage }) => passage);
}

/** Jaccard's index: what two sets share, as a part of all that they hold. */
function overlap(left: ReadonlySet<number>, right: ReadonlySet<number>): number {
  let shared = 0;
  for (const word of left) if (right.has(word)) shared++;
  return shared / Math.max(1, left.size + right.size - shared);
}
