/** Where a part of a text begins and ends, as for `slice`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

const abbreviation = /(?:^|[\s(])(?:e\.g|i\.e|etc|vs|cf|no|fig|approx|mr|mrs|ms|dr|st|a\.k\.a|incl|resp)\.$/i;

/**
 * The sentences of one paragraph. A sentence ends at `.`, `!` or `?` before white space and something that can begin
 * one; never inside inline code, brackets or after a common abbreviation. Spans hold no white space at their ends.
 * Cost: linear.
 */
export function sentenceSpans(text: string): Span[] {
  const spans: Span[] = [];
  let start = skipSpace(text, 0);
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at] as string;
    if (char === '`') {
      at = endOfCode(text, at) - 1;
    } else if (char === '(' || char === '[') {
      depth++;
    } else if (char === ')' || char === ']') {
      depth = Math.max(0, depth - 1);
    } else if ('.!?'.includes(char) && depth === 0) {
      const end = endOfClosers(text, at + 1);
      const next = skipSpace(text, end);
      if (next < text.length && (next === end || !endsSentence(text, at, next))) continue;
      spans.push({ start, end });
      start = next;
      at = next - 1;
    }
  }
  const end = text.trimEnd().length;
  if (start < end) spans.push({ start, end });
  return spans;
}

function endsSentence(text: string, stopAt: number, next: number): boolean {
  if (/\p{Ll}/u.test(text[next] as string)) return false;
  return !abbreviation.test(text.slice(Math.max(0, stopAt - 12), stopAt + 1));
}

/** The index after the code span that opens at `at`, or after the backticks alone when nothing closes them. */
export function endOfCode(text: string, at: number): number {
  let run = at;
  while (text[run] === '`') run++;
  const fence = text.slice(at, run);
  for (let close = text.indexOf(fence, run); close !== -1; close = text.indexOf(fence, close)) {
    let end = close;
    while (text[end] === '`') end++;
    if (end - close === fence.length) return end;
    close = end;
  }
  return run;
}

/** Quotes, brackets and emphasis that close after the full stop belong to the sentence. */
function endOfClosers(text: string, at: number): number {
  let end = at;
  while (end < text.length && `"'”’)]*_.!?`.includes(text[end] as string)) end++;
  return end;
}

function skipSpace(text: string, at: number): number {
  let next = at;
  while (next < text.length && /\s/.test(text[next] as string)) next++;
  return next;
}
