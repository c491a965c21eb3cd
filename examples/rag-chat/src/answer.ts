import { isWarmpathError, type Warmpath } from '@warmpath/core';
import type { ChatChunk, Citation, Passage } from '@warmpath/core/models';
import type { AnswerEvent } from '@warmpath/express';
import type { Library } from './library.js';
import type { DocumentPassage } from './passages.js';
import type { Question } from './question.js';

/** A citation with what a reader needs to find it. */
interface Source {
  /** The n of the `[n]` in the answer. */
  readonly marker: number;
  readonly passage: string;
  readonly title: string;
  readonly heading: string;
  /** An exact part of the passage, where the model gave one. */
  readonly quote?: string;
  readonly url: string;
}

/** What is said at the end of a stream, and beside the answer in JSON. */
interface Outcome {
  /** `none` when no passage matched and no model was asked. */
  readonly layer: string;
  readonly model: string;
  /** How long ago the answer was made; 0 when it is new. */
  readonly ageMs: number;
  readonly firstChunkMs: number;
  readonly totalMs: number;
  readonly reason: string;
  readonly citations: readonly Source[];
}

interface Answer extends Outcome {
  readonly answer: string;
}

export interface Answering {
  /** The events of a streamed answer: meta, text and citation, done. */
  events(question: Question): AsyncIterable<AnswerEvent>;
  /** The same answer in one piece. Both share one cache entry. */
  whole(question: Question): Promise<Answer>;
}

type Part =
  | { readonly type: 'meta'; readonly layer: string; readonly model: string; readonly passages: readonly Passage[] }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'citation'; readonly citation: Source }
  | { readonly type: 'done'; readonly outcome: Outcome };

const nothingFound =
  'The documents hold nothing about this. Try other words, or the exact name of what you are looking for.';

const mostAttempts = 3;

/** @param stopping ends the answers that are under way with its reason */
export function createAnswering(library: Library, runtime: Warmpath, stopping?: AbortSignal): Answering {
  /** The one way to an answer: find passages, ask the chat (cache, then models), say what came from where. */
  async function* parts(question: Question): AsyncIterable<Part> {
    const startedAt = runtime.clock.now();
    const since = (): number => Math.round((runtime.clock.now() - startedAt) * 10) / 10;
    const found = library.search(question.searchFor);
    const passages = found.map(passageOf);
    const byId = new Map(passages.map((passage) => [passage.id, passage]));
    const { layer, model, ageMs, chunks } =
      found.length > 0
        ? await runtime.chat.stream({ messages: question.messages, passages }, stopping ? { signal: stopping } : {})
        : { layer: 'none', model: 'none', ageMs: 0, chunks: unanswered() };
    const citations: Source[] = [];
    let firstChunkMs: number | undefined;
    let reason = 'stop';
    for await (const chunk of chunks) {
      // The headers go out with the first event: until then a failure can still have a status of its own.
      if (firstChunkMs === undefined) {
        firstChunkMs = since();
        yield { type: 'meta', layer, model, passages };
      }
      if (chunk.type === 'text') yield chunk;
      else if (chunk.type === 'finish') reason = chunk.reason;
      else {
        const citation = sourceOf(chunk.citation, byId);
        if (!citation) continue;
        citations.push(citation);
        yield { type: 'citation', citation };
      }
    }
    const totalMs = since();
    const outcome = {
      layer,
      model,
      ageMs: Math.round(ageMs),
      firstChunkMs: firstChunkMs ?? totalMs,
      totalMs,
      reason,
      citations,
    };
    yield { type: 'done', outcome };
  }

  return {
    async *events(question) {
      for await (const part of parts(question)) yield eventOf(part);
    },
    async whole(question) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await collected(parts(question));
        } catch (error) {
          // Another process was writing it and is gone. Nothing of it has been shown here, so it can begin anew.
          if (attempt === mostAttempts || !isWarmpathError(error, 'WP_STREAM_LOST')) throw error;
        }
      }
    },
  };
}

async function collected(parts: AsyncIterable<Part>): Promise<Answer> {
  let answer = '';
  let outcome: Outcome | undefined;
  for await (const part of parts) {
    if (part.type === 'text') answer += part.text;
    else if (part.type === 'done') outcome = part.outcome;
  }
  if (!outcome) throw new Error('The answer ended without an outcome.');
  return { answer, ...outcome };
}

/** The address that opens a passage on the page. */
function passageUrl(id: string): string {
  return `/#passage=${encodeURIComponent(id)}`;
}

export function passageOf({ id, title, headings, text }: DocumentPassage): Passage {
  return { id, title, heading: headings.join(' › '), text, url: passageUrl(id) };
}

function sourceOf(citation: Citation, passages: ReadonlyMap<string, Passage>): Source | undefined {
  const passage = passages.get(citation.passage);
  if (!passage) return undefined;
  const { id, title, heading = '' } = passage;
  const quote = citation.quote === undefined ? {} : { quote: citation.quote };
  return { marker: citation.marker, passage: id, title, heading, ...quote, url: passageUrl(id) };
}

async function* unanswered(): AsyncIterable<ChatChunk> {
  yield { type: 'text', text: nothingFound };
  yield { type: 'finish', reason: 'stop' };
}

function eventOf(part: Part): AnswerEvent {
  switch (part.type) {
    case 'meta': {
      const { layer, model } = part;
      const passages = part.passages.map(({ id, title, heading, url }) => ({ id, title, heading, url }));
      return { event: 'meta', data: { layer, model, passages } };
    }
    case 'text':
      return { event: 'text', data: { text: part.text } };
    case 'citation':
      return { event: 'citation', data: part.citation };
    case 'done':
      return { event: 'done', data: part.outcome };
  }
}
