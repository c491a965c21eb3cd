import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  abortReason,
  ambientRules,
  type Clock,
  checkOptions,
  type Rules,
  rule,
  systemClock,
  wait,
} from '../kernel/index.js';
import { headingOf } from './candidates.js';
import {
  type ChatChunk,
  type ChatModel,
  type ChatRequest,
  type Citation,
  collectAnswer,
  lastQuestion,
  type ModelCall,
  type Passage,
} from './chat-model.js';
import { chooseUnits } from './choice.js';
import { readQuestion } from './question.js';
import { type Unit, unitsOf } from './units.js';

export interface ExtractiveOptions {
  /** The most sentences (or list items, table rows, short lists, blocks of code) in an answer. Default 3. */
  readonly sentences?: number;
  /** How fast the answer is streamed, for demonstrations; 0, the default, is as fast as it is read. */
  readonly wordsPerSecond?: number;
  readonly clock?: Clock;
}

const rules: Rules<ExtractiveOptions> = {
  sentences: rule.integer(1, 20),
  wordsPerSecond: rule.number(0, 10_000),
  clock: ambientRules.clock,
};

/** Passages past the first 32, and text past this many characters in all, are not read. */
const longestReading = 100_000;
const mostPassages = 32;

/** Raised with every change of what it answers, since caches outlive upgrades; a test holds it to that. */
const algorithm = 1;

/** What it says when the passages hold no answer. */
const noAnswer = 'The documents do not say anything about that.';

/**
 * A model without weights: it answers with the sentences, list items, table rows or blocks of code of
 * `request.passages` that fit the last user message best, each followed by `[1]`, `[2]`, ... and a citation whose quote
 * stands word for word in its passage. When no passage answers, it says so, without citations. The same request always
 * gives the same answer; `temperature`, `seed` and `images` change nothing, and there is no usage to report.
 * Cost: linear in the text of the passages, of which it reads 100,000 characters at most: some 5 ms for six passages of
 * usual length, some 100 ms at the bound.
 * @throws WarmpathError `WP_BAD_OPTION` for a bad option
 */
export function extractive(options?: ExtractiveOptions): ChatModel {
  checkOptions('extractive()', options, rules);
  const { sentences = 3, wordsPerSecond = 0, clock = systemClock } = options ?? {};
  const pauseMs = wordsPerSecond > 0 ? 1_000 / wordsPerSecond : 0;

  async function* stream(request: ChatRequest, call: ModelCall = {}): AsyncGenerator<ChatChunk, void, undefined> {
    const { signal } = call;
    if (signal?.aborted) throw abortReason(signal);
    const { parts, cut } = limited(answerTo(request, sentences), request);
    for (const [index, part] of parts.entries()) {
      if (part.type === 'text' && index > 0) {
        if (pauseMs > 0) await wait(clock, pauseMs, signal);
        else if (index % 16 === 0) await nextTurn();
      }
      if (signal?.aborted) throw abortReason(signal);
      yield part;
    }
    yield { type: 'finish', reason: cut ? 'length' : 'stop' };
  }
  return {
    name: 'extractive',
    version: `${algorithm}.${sentences}`,
    stream,
    generate: (request, call) => collectAnswer(stream(request, call)),
  };
}

type Part = Exclude<ChatChunk, { type: 'finish' }>;

function answerTo(request: ChatRequest, sentences: number): Part[] {
  const question = readQuestion(lastQuestion(request));
  const units = readingOf(request.passages ?? []).flatMap(unitsOf);
  const chosen = inReadingOrder(chooseUnits(question, units, sentences));
  if (chosen.length === 0) return wordsOf(noAnswer);
  return chosen.flatMap((unit, index): Part[] => {
    const marker = index + 1;
    const citation: Citation = { passage: unit.passage.id, quote: unit.quote, marker };
    const before = index === 0 ? '' : separator(chosen[index - 1] as Unit, unit);
    return [...wordsOf(before + withMarker(unit, chosen, marker)), { type: 'citation', citation }];
  });
}

/** The passages that are read, the last of them cut where the reading ends. */
function readingOf(passages: readonly Passage[]): Passage[] {
  const read: Passage[] = [];
  let left = longestReading;
  for (const passage of passages.slice(0, mostPassages)) {
    if (left <= 0) break;
    read.push(passage.text.length <= left ? passage : { ...passage, text: passage.text.slice(0, left) });
    left -= passage.text.length;
  }
  return read;
}

/** Passages in the order of their best unit, units of one passage as they stand in it, code of any passage last. */
function inReadingOrder(units: readonly Unit[]): Unit[] {
  const order = [...new Set(units.map((unit) => unit.passage))];
  const place = (unit: Unit): number => (unit.kind === 'code' ? order.length : order.indexOf(unit.passage));
  return units.toSorted((left, right) => place(left) - place(right) || left.start - right.start);
}

function withMarker(unit: Unit, all: readonly Unit[], marker: number): string {
  if (unit.kind === 'code') {
    const heading = headingOf(unit);
    const title = all.length === 1 && unit.text.startsWith('`') && heading ? `**${heading}**\n\n` : '';
    return `${title}${unit.text}\n\n[${marker}]`;
  }
  if (unit.kind === 'item' || unit.kind === 'row') return `${all.length > 1 ? '- ' : ''}${unit.text} [${marker}]`;
  const name = unit.kind === 'sentence' ? (describedName(unit) ?? describedTitle(unit)) : undefined;
  return `${name ? `${name}: ` : ''}${unit.text} [${marker}]`;
}

/** References write "Closes the client." under the heading `client.close()`: the reader of an answer needs that name. */
function describedName(unit: Unit): string | undefined {
  const heading = unit.opens ? headingOf(unit).replace(/^(?:class|event|static method):\s+/i, '') : '';
  const name = heading.replace(/^`([^`]+)`$/, '$1');
  if (/^event:/i.test(headingOf(unit)) && /^'[^']+'$/.test(name))
    return unit.text.includes(name) ? undefined : `\`${name}\``;
  const isName = name !== heading ? /[\p{Lu}_.(]/u.test(name.slice(1)) : /^[\w$]+[_.(][^\s`]*$/.test(name);
  const [plain = ''] = /[\w$.]+/.exec(name) ?? [];
  return !isName || unit.text.includes(plain) ? undefined : `\`${name}\``;
}

/** A page named "Pool" may begin "A pool of clients ...", without a word that this is what a Pool is. */
function describedTitle({ opens, headings, passage, text }: Unit): string | undefined {
  const beginsPage = opens && headings.length <= 1 && !passage.heading;
  const isNamed = /^[\w$.]+$/.test(passage.title) && !text.includes(passage.title);
  return beginsPage && isNamed && /^An? /.test(text) ? passage.title : undefined;
}

function separator(before: Unit, after: Unit): string {
  const isLine = (unit: Unit): boolean => unit.kind === 'item' || unit.kind === 'row';
  if (before.kind === 'sentence' && after.kind === 'sentence') return ' ';
  return isLine(before) && isLine(after) ? '\n' : '\n\n';
}

/** A text in pieces of one word with the white space after it. */
function wordsOf(text: string): Part[] {
  return Array.from(text.matchAll(/^\s+|\S+\s*/g), ([word]) => ({ type: 'text', text: word }));
}

/** Keeps the request's bounds: a piece counts as one token, a stop sequence ends the answer before itself. */
function limited(parts: readonly Part[], request: ChatRequest): { parts: readonly Part[]; cut: boolean } {
  const { maxOutputTokens = Number.POSITIVE_INFINITY, stop = [] } = request;
  const kept: Part[] = [];
  const whole = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const stops = stop
    .filter(Boolean)
    .map((sequence) => whole.indexOf(sequence))
    .filter((index) => index >= 0);
  let left = Math.min(whole.length, ...stops);
  let pieces = 0;
  for (const part of parts) {
    if (part.type === 'text') {
      if (left <= 0) break;
      if (pieces++ >= maxOutputTokens) return { parts: kept, cut: true };
      kept.push({ type: 'text', text: part.text.slice(0, left) });
      left -= part.text.length;
    } else if (left >= 0) kept.push(part);
  }
  return { parts: kept, cut: false };
}
