/**
 * A word of a text or a question. An identifier or compound (`keepAliveTimeout`, `keep-alive`, `HTTP/2`) is one term
 * that also knows its parts, so that either way of writing it finds the other.
 */
export interface Term {
  /** As written. */
  readonly word: string;
  /** Lower case, without punctuation, stemmed: what is compared. */
  readonly whole: string;
  /** Stemmed parts of a compound; empty for a simple word. */
  readonly parts: readonly string[];
}

const wordPattern = /[\p{L}\p{N}]+(?:[-_./'’][\p{L}\p{N}]+)*/gu;

export function termsOf(text: string): Term[] {
  return Array.from(text.matchAll(wordPattern), ([word]) => toTerm(word.replace(/['’]s$/u, '')));
}

/** A word that says how something is said, not what about; also a lone letter. */
export function isFiller({ word }: Term): boolean {
  const plain = word.toLowerCase();
  return stopWords.has(plain) || stopWords.has(plain.replace(/['’].*$/, '')) || (plain.length < 2 && !/\d/.test(plain));
}

/** The words that stand side by side, fillers between them left out, in either order: "agent user". */
export function pairsOf(terms: readonly Term[]): Set<string> {
  const stems = terms
    .filter((term) => !isFiller(term))
    .flatMap(({ whole, parts }) => (parts.length > 0 ? parts : [whole]));
  const pairs = new Set<string>();
  for (let at = 1; at < stems.length; at++) {
    const [left = '', right = ''] = [stems[at - 1], stems[at]];
    pairs.add(left < right ? `${left} ${right}` : `${right} ${left}`);
  }
  return pairs;
}

/** Everything that a text can be found by: its words, its compounds whole and in parts. */
export function vocabularyOf(text: string | readonly Term[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { whole, parts } of typeof text === 'string' ? termsOf(text) : text) {
    for (const key of new Set([whole, ...parts])) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

function toTerm(word: string): Term {
  const pieces = word
    .replace(/(\p{Ll}|\p{N})(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .split(/[^\p{L}\p{N}]+/u);
  const parts = pieces
    .filter((piece) => piece.length > 1 || /\d/.test(piece))
    .map((piece) => stem(piece.toLowerCase()));
  const whole = stem(pieces.join('').toLowerCase());
  return { word, whole, parts: pieces.length > 1 ? parts : [] };
}

/**
 * A light English stemmer: plurals, -ed, -ing, -ion, final -e and -y. It need not make words, only make the forms of
 * one word equal: redirect, redirects, redirected, redirecting and redirection are all `redirect`.
 */
export function stem(word: string): string {
  if (word.length <= 3 || /\d/.test(word)) return word;
  let root = word;
  if (root.endsWith('ies') && root.length > 4) root = root.slice(0, -2);
  else if (/(?:ss|sh|ch|x)es$/.test(root)) root = root.slice(0, -2);
  else if (root.endsWith('s') && !/(?:ss|us|is)$/.test(root)) root = root.slice(0, -1);
  for (const suffix of ['ing', 'ed', 'ion']) {
    const rest = root.slice(0, -suffix.length);
    if (!root.endsWith(suffix) || rest.length < 3 || !/[aeiouy]/.test(rest)) continue;
    if (suffix === 'ion' && !/[st]$/.test(rest)) continue;
    root = /([bdfgmnprt])\1$/.test(rest) ? rest.slice(0, -1) : rest;
    break;
  }
  if (root.length > 3 && root.endsWith('e')) root = root.slice(0, -1);
  return root.length > 2 && root.endsWith('y') ? `${root.slice(0, -1)}i` : root;
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Words that say how something is asked, not what about. Compared as written, in lower case. */
const stopWords: ReadonlySet<string> = words(`
  a about above after again against all also am an and any anyone are aren as at be because been before being below both
  but by can cannot could did didn do does doesn doing don down each either else ever few for from further had happen happened happening happens has hasn
  have having he hello help her here hers hey hi him his how i if in into is isn it its itself just know let like many
  may me might more most much must my need needed needs no nor not now of off ok on once one only or other our out over please
  possible same shall she should so some somehow someone something such tell than thank thanks that the their theirs
  them then there these they this those through to too under until up upon us very via want was wasn way ways we were
  what whats when where whether which while who whom whose why will with within without won would you your yours
  explain describe show give mean means between vs versus difference differences differ different compare compared
  comparison example examples exactly
`);

/** Words that nearly every manual has on every page: they count, but little. Stems. */
export const weakStems: ReadonlySet<string> = new Set(
  [
    ...words(`
  use using used make work get set happen support follow send do call create add find follow run start change
  handle allow enable provide take write value option option parameter argument thing type name default number kind purpose
  function method class object code library package module project documentation docs time custom http read
  `),
  ].map(stem),
);
