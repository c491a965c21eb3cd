/** How words become search terms: identifiers whole and in parts, endings off, words that carry no meaning dropped. */

const wordPattern = /https?\/\d(?:\.\d)?|[\p{L}\p{N}_$]+(?:[.'’-][\p{L}\p{N}_$]+)*/giu;
const camelBoundary = /(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u;
const separators = /[._$'’-]+/;

/** Words of a question that say nothing about its subject. */
const stopWords = new Set(
  `a about also an and any are as at be been between but by can compare compared comparison could describe did differ
  difference differences different do does each explain for from get had happen happened happens has have here
  how i if in into is it its just like many may me mean means might much must my need needed needs no of on only or our per please
  shall should so some support supported supports tell than that the their them then there these they this through to
  us use used using via want was way we were what when where which who why will with would you your`.split(/\s+/),
);

/** Verbs that go with any subject: what they are done to tells more. */
const commonVerbs = new Set(
  'add call create handle make put read run send set take work write'.split(' ').map((verb) => stem(verb)),
);

export function isStopWord(word: string): boolean {
  return stopWords.has(word.toLowerCase());
}

export function isCommonVerb(word: string): boolean {
  return commonVerbs.has(stem(word.toLowerCase()));
}

/** The words of a text as they stand, identifiers in one piece. */
export function wordsOf(text: string): string[] {
  return text.match(wordPattern) ?? [];
}

/** The terms of one word: itself, and its parts where it is an identifier. */
export function termsOf(word: string): string[] {
  const whole = word.toLowerCase();
  const protocol = /^(https?)\/(\d)(?:\.\d)?$/.exec(whole);
  if (protocol) return [`${protocol[1]}/${whole.slice(whole.indexOf('/') + 1)}`, `${protocol[1]}${protocol[2]}`];
  const segments = word.split(separators).filter((segment) => segment !== '');
  const parts = segments.flatMap(segmentTerms);
  return segments.length > 1 ? [whole, ...parts] : parts;
}

/** A plain word also counts as itself, so that a Client comes before a MockClient where a client is asked for. */
function segmentTerms(segment: string): string[] {
  const whole = segment.toLowerCase();
  const parts = segment.split(camelBoundary);
  return parts.length > 1 ? [whole, ...parts.map((part) => stem(part.toLowerCase()))] : [stem(whole), `=${whole}`];
}

/**
 * Takes plural, -ing, -ed and -er/-or endings off, so that a question about mocking finds MockAgent. Light on purpose:
 * a word that loses too much meets words that it has nothing to do with.
 */
export function stem(word: string): string {
  if (word.length < 4 || /[^\p{Ll}]/u.test(word)) return word;
  let root = word;
  if (/(?:ss|sh|ch|x|z)es$/.test(root)) root = root.slice(0, -2);
  else if (/ies$/.test(root) && root.length > 4) root = `${root.slice(0, -3)}y`;
  else if (/[^sui]s$/.test(root)) root = root.slice(0, -1);
  for (const ending of ['ing', 'ed', 'ion', 'or', 'er']) {
    const rest = root.slice(0, -ending.length);
    if (!root.endsWith(ending) || rest.length < 4 || !/[aeiouy]/.test(rest)) continue;
    root = /([bdfgmnprt])\1$/.test(rest) ? rest.slice(0, -1) : rest;
    break;
  }
  return root.length > 4 && root.endsWith('e') ? root.slice(0, -1) : root;
}
