import { createParser, type EventSourceMessage } from 'eventsource-parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeSse, isEventStream, type SseEvent, sseComment } from './index.js';

/** What a client makes of a text. */
function parse(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => events.push(event) });
  parser.feed(text);
  return events;
}

describe('encodeSse', () => {
  it('writes every field on a line of its own, and an empty line at the end', () => {
    expect(encodeSse({ data: 'hello', event: 'delta', id: '7', retry: 1_500 })).toBe(
      'event: delta\nid: 7\nretry: 1500\ndata: hello\n\n',
    );
    expect(encodeSse({ data: '' })).toBe('data: \n\n');
  });

  it.each(['a\nb', 'a\rb', 'a\r\nb'])('makes two fields of the two lines of %j', (data) => {
    expect(encodeSse({ data })).toBe('data: a\ndata: b\n\n');
  });

  it('lets nothing in a name or an id begin another field or another event', () => {
    const evil = 'x\n\ndata: stolen\r\nid: 9\0';
    const [event, ...more] = parse(encodeSse({ data: 'real', event: evil, id: evil }));
    expect(more).toEqual([]);
    expect(event?.data).toBe('real');
    expect(event?.id).toBe('x data: stolen id: 9 ');
  });

  it('brings any text to a client as it was, line ends as \\n', () =>
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\n', '\r', '\r\n', 'data: x', ': c', ' '))),
        (pieces) => {
          const data = pieces.join('').replace(/\uFEFF/g, '');
          const events = parse(encodeSse({ data, event: 'e' } satisfies SseEvent) + encodeSse({ data: 'next' }));
          expect(events.map((event) => event.data)).toEqual([data.replace(/\r\n|\r/g, '\n'), 'next']);
        },
      ),
    ));
});

describe('sseComment', () => {
  it('is seen by no client, whatever its text', () => {
    expect(sseComment('still here')).toBe(': still here\n\n');
    expect(parse(sseComment('x\ndata: y\n\n'))).toEqual([]);
  });
});

describe('isEventStream', () => {
  it.each([
    ['text/event-stream', true],
    ['Text/Event-Stream; charset=utf-8', true],
    ['application/x-ndjson', true],
    ['application/jsonl ;x=y', true],
    ['text/event-streams', false],
    ['application/json', false],
    [undefined, false],
    [['text/event-stream'], false],
  ])('%j: %s', (type, is) => {
    expect(isEventStream(type)).toBe(is);
  });
});
