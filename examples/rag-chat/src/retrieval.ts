import MiniSearch, { type SearchResult } from 'minisearch';
import { isLinkDefinition, plainText } from './markdown.js';
import { countWords, type DocumentPassage } from './passages.js';
import { isStopWord, termsOf, wordsOf } from './tokens.js';

export interface Retrieval {
  /** The passages that fit the question best, best first; none when no word of it occurs. */
  search(question: string, limit?: number): DocumentPassage[];
}

interface Entry {
  readonly id: string;
  readonly title: string;
  /** The nearest heading counts more than those above it, which many passages share. */
  readonly heading: string;
  readonly above: string;
  /** Names that a list item or a table row explains, as in "* `timeout` {number} ...". */
  readonly defines: string;
  readonly text: string;
}

const boosts = { title: 1, heading: 1.5, above: 0.6, defines: 1.6, text: 1 };
/** A question that names the page is often answered by how the page begins, one that asks what it is nearly always. */
const leadBoost = 1.6;
const definitionBoost = 2.5;
const asksWhatItIs = /^\W*(?:what(?:'s| is| are| does| do)|explain|describe|tell me about)\b/i;
/** Below this many words outside code a passage rarely answers anything: it counts less the shorter it is. */
const fullWeightWords = 30;
/** How many of the best matches are looked at again for how much of the question they cover. */
const secondLook = 40;
/** Passages that share more of their words than this say the same. */
const sameText = 0.8;

/** An index in memory over all passages: BM25, with identifiers found whole and in parts. */
export function createRetrieval(passages: readonly DocumentPassage[]): Retrieval {
  const byId = new Map(passages.map((passage) => [passage.id, passage]));
  const leads = leadsOf(passages);
  const index = new MiniSearch<Entry>({
    fields: Object.keys(boosts),
    tokenize: wordsOf,
    processTerm: termsOf,
    searchOptions: { ...asGiven, boost: boosts, combineWith: 'OR', bm25: { k: 1.2, b: 0.5, d: 0.5 } },
  });
  const entries = passages.filter((passage) => !passage.onlyLinks).map(entryOf);
  index.addAll(entries);
  const rarity = rarityOf(entries);

  function score(hit: SearchResult, question: readonly QueryWord[], forLead: number): number {
    const passage = byId.get(String(hit.id));
    if (!passage) return 0;
    const matched = new Set(hit.queryTerms);
    const weight = Math.min(1, 0.6 + (0.4 * countWords(withoutCode(passage.text))) / fullWeightWords);
    const lead = leads.has(passage.id) && namesTitle(passage.title, question) ? forLead : 1;
    return hit.score * (0.3 + 0.7 * coverage(question, matched, rarity)) * weight * lead;
  }

  return {
    search(question, limit = 6) {
      const words = queryWords(question, rarity);
      if (words.length === 0) return [];
      const hits = index.search(words.flatMap((word) => word.terms).join(' '), {
        prefix: (term) => term.length > 4 && !/[=/]/.test(term),
        // Only what no document holds is likely to be misspelt.
        fuzzy: (term) => (term.length > 4 && !term.startsWith('=') && !rarity.has(term) ? 0.2 : false),
        weights: { prefix: 0.25, fuzzy: 0.5 },
        // A word of every page says little, even where it stands in a heading.
        boostTerm: (term) => Math.min(1, (rarity.get(term) ?? mostRare) / fullWeightRarity),
      });
      const forLead = asksWhatItIs.test(question) && words.length <= 2 ? definitionBoost : leadBoost;
      const ranked = hits
        .slice(0, secondLook)
        .map((hit) => ({ id: String(hit.id), score: score(hit, words, forLead) }))
        .sort((left, right) => right.score - left.score);
      return distinct(
        ranked.flatMap(({ id }) => byId.get(id) ?? []),
        limit,
      );
    },
  };
}

/** Terms are made before the search, so the search takes them as they are. */
const asGiven = { tokenize: (text: string) => text.split(' '), processTerm: (term: string) => term };

interface QueryWord {
  /** The word itself first, then the parts of an identifier. */
  readonly terms: readonly string[];
}

function queryWords(question: string, rarity: ReadonlyMap<string, number>): QueryWord[] {
  const words = wordsOf(question);
  const telling = words.filter((word) => !isStopWord(word));
  // "How long" asks for a time, which documentation calls a timeout.
  const asksForTime = /\bhow long\b/i.test(question);
  const chosen = (telling.length > 0 ? telling : words).filter((word) => !(asksForTime && /^long$/i.test(word)));
  if (asksForTime) chosen.push('timeout');
  const known = chosen.map((word) => ({ terms: termsOf(word) }));
  // Words that nothing holds cannot tell passages apart, unless they are misspelt.
  return known.filter(({ terms }) => terms.some((term) => rarity.has(term) || term.length > 4));
}

/** The share of the question that a passage holds, each word by how rare it is; an identifier's parts count less. */
function coverage(
  question: readonly QueryWord[],
  matched: ReadonlySet<string>,
  rarity: ReadonlyMap<string, number>,
): number {
  let held = 0;
  let all = 0;
  for (const { terms } of question) {
    const [whole = '', ...parts] = terms;
    const weight = rarity.get(whole) ?? mostRare;
    all += weight;
    if (matched.has(whole)) held += weight;
    else if (parts.length > 0) held += (0.5 * weight * parts.filter((part) => matched.has(part)).length) / parts.length;
  }
  return all > 0 ? held / all : 0;
}

const mostRare = 5;
/** A word in one passage out of twenty or fewer has its full weight. */
const fullWeightRarity = 3;

/** The inverse document frequency of each term, in natural logarithms. */
function rarityOf(entries: readonly Entry[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { title, heading, text } of entries) {
    const terms = new Set(wordsOf(`${title} ${heading} ${text}`).flatMap(termsOf));
    for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  }
  return new Map(
    [...counts].map(([term, count]) => [term, Math.min(mostRare, Math.log(1 + entries.length / (count + 0.5)))]),
  );
}

/** For each document the passage that it begins with. */
function leadsOf(passages: readonly DocumentPassage[]): Set<string> {
  const leads = new Map<string, string>();
  for (const { document, id, onlyLinks } of passages) {
    if (!onlyLinks && !leads.has(document)) leads.set(document, id);
  }
  return new Set(leads.values());
}

function namesTitle(title: string, question: readonly QueryWord[]): boolean {
  const asked = new Set(question.flatMap(({ terms }) => terms));
  const words = wordsOf(title).filter((word) => !isStopWord(word));
  return words.length > 0 && words.every((word) => asked.has(termsOf(word)[0] ?? ''));
}

/** The first `limit` passages that do not repeat an earlier one: two pages may hold the same text. */
function distinct(ranked: readonly DocumentPassage[], limit: number): DocumentPassage[] {
  const chosen: { passage: DocumentPassage; words: Set<string> }[] = [];
  for (const passage of ranked) {
    if (chosen.length >= limit) break;
    const words = new Set(wordsOf(searchableText(passage.text)));
    if (chosen.some((earlier) => overlap(earlier.words, words) > sameText)) continue;
    chosen.push({ passage, words });
  }
  return chosen.map(({ passage }) => passage);
}

function overlap(left: ReadonlySet<string>, right: ReadonlySet<string>): number {
  const shared = [...left].filter((word) => right.has(word)).length;
  return shared / Math.max(1, left.size + right.size - shared);
}

function withoutCode(text: string): string {
  return text.replace(/^[ \t]*(`{3,}|~{3,})[\s\S]*?(?:^[ \t]*\1|$(?![\s\S]))/gm, '');
}

function entryOf(passage: DocumentPassage): Entry {
  const [heading = '', ...above] = passage.headings.toReversed();
  return {
    id: passage.id,
    title: passage.title,
    heading,
    above: above.join(' '),
    defines: [...passage.text.matchAll(/^[ \t]*(?:[-*+]|\d+[.)]|\|)[ \t]+\**`([^`\n]+)`/gm)]
      .map((match) => match[1])
      .join(' '),
    text: searchableText(passage.text),
  };
}

/** The text as a reader sees it: the addresses of links and images find nothing. */
function searchableText(text: string): string {
  return text
    .split('\n')
    .filter((line) => !isLinkDefinition(line))
    .map((line) => plainText(line.replace(/!?\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)/g, '')))
    .join('\n');
}
