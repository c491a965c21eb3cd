/** Words of software English that ask and answer the same, one group a line. */
const groups: readonly (readonly string[])[] = [
  'abort cancel',
  'prevent disable disallow avoid forbid block',
  'mock stub fake simulate',
  'delete remove clear',
  'error exception failure fail',
  'throw raise',
  'die dead crash fail',
  'http2 h2',
  'authentication auth authorization credential',
  'certificate cert',
  'configure config configuration set',
  'interceptor intercept',
  'begin start',
  'end finish stop',
  'close shutdown stop terminate',
  'limit maximum max cap',
  'minimum min',
  'install installation setup',
  'environment env',
  'parameter argument option',
  'concurrent parallel simultaneous',
  'show print display',
  'directory folder',
  'message msg',
  'debug log trace',
  'fast speed performance',
  'body payload',
  'verify assert',
  'call invoke',
  'forever indefinite indefinitely persist persistent permanent',
  'own custom',
  'observe inspect monitor watch',
  'fix mend repair solve',
  'cache kept',
  'default automatic automatically',
  'upload formdata multipart',
  'listen receive subscribe',
].map((group) => group.split(' '));

/**
 * For each such word those of the same meaning, itself among them: who asks how to cancel finds what aborts.
 * @param formOf how the caller compares words, as a stemmer does; called with lower case base forms
 */
export function synonymsBy(formOf: (word: string) => string): ReadonlyMap<string, ReadonlySet<string>> {
  const byForm = new Map<string, Set<string>>();
  for (const group of groups.map((words) => words.map(formOf))) {
    for (const form of group) byForm.set(form, new Set([...(byForm.get(form) ?? []), ...group]));
  }
  return byForm;
}
