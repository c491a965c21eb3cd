import { synonymsBy } from '@warmpath/core/models';
import { isCommonVerb, isStopWord, stem, termsOf, wordsOf } from './tokens.js';

/** A question as the index is asked for it. */
export interface Query {
  readonly words: readonly QueryWord[];
  /** Asks what something is, which the beginning of its page tells. */
  readonly wantsDefinition: boolean;
  /** Asks how things differ. */
  readonly compares: boolean;
  /** Asks which things there are. */
  readonly wantsList: boolean;
}

export interface QueryWord {
  /** The word itself first, then the parts of an identifier. */
  readonly terms: readonly string[];
  /** Words that say the same. */
  readonly others: readonly string[];
  /** How much it counts, from 0 to 1, apart from how rare it is. */
  readonly share: number;
}

const asksWhatItIs = /^\W*(?:what(?:'s| is| are| does| do)|explain|describe|tell me about)\b/i;
const asksHowTheyDiffer = /\b(?:differences?|differs?|different|versus|vs|compared?|comparison)\b/i;
const asksWhich = /^\W*(?:which|what) (?!is |are |was |does |do |happens )(?:\w+ ){0,2}?\w+[^s\W]s\b/i;
/** More words are not looked for; the bits of a number must do for them. */
const mostWords = 24;
const commonShare = 0.4;

/** Reads a question. `isKnown` says of a term whether any document holds it: what nothing holds tells nothing apart. */
export function readQuery(question: string, isKnown: (term: string) => boolean): Query {
  const words = wordsOf(question).map((word) => word.replace(/['’]s$/, ''));
  const telling = words.filter((word) => !isStopWord(word));
  // "How long" asks for a time, which documentation calls a timeout.
  const asksForTime = /\bhow long\b/i.test(question);
  const chosen = (telling.length > 0 ? telling : words).filter((word) => !(asksForTime && /^long$/i.test(word)));
  if (asksForTime) chosen.push('timeout');
  const all = chosen.map((word): QueryWord => {
    const terms = termsOf(word);
    const others = terms.length > 2 ? [] : othersOf(terms[0] ?? '').filter(isKnown);
    return { terms, others, share: isCommonVerb(word) ? commonShare : 1 };
  });
  // A word that nothing holds may be misspelt, unless it is short.
  const looked = all.filter(
    ({ terms, others }) => others.length > 0 || terms.some((term) => isKnown(term) || term.length > 4),
  );
  return {
    words: looked.slice(0, mostWords),
    wantsDefinition: asksWhatItIs.test(question) && looked.length <= 2,
    compares: asksHowTheyDiffer.test(question),
    wantsList: asksWhich.test(question),
  };
}

const sameMeaning = synonymsBy(stem);

function othersOf(term: string): string[] {
  return [...(sameMeaning.get(term) ?? [])].filter((other) => other !== term);
}
