/** One server-sent event (WHATWG HTML §9.2). */
export interface SseEvent {
  readonly data: string;
  /** The event's name; a client that does not know it ignores the event. Default: `message`. */
  readonly event?: string;
  /** What a client that reconnects sends as Last-Event-ID. */
  readonly id?: string;
  /** Milliseconds that a client should wait before it reconnects. */
  readonly retry?: number;
}

/** The event as it goes over the wire: data of several lines becomes several fields, as the format demands. */
export function encodeSse({ data, event, id, retry }: SseEvent): string {
  let frame = '';
  if (event !== undefined) frame += `event: ${oneLine(event)}\n`;
  if (id !== undefined) frame += `id: ${oneLine(id)}\n`;
  if (retry !== undefined) frame += `retry: ${Math.round(retry)}\n`;
  for (const line of data.split(/\r\n|\r|\n/)) frame += `data: ${line}\n`;
  return `${frame}\n`;
}

/** A comment: clients ignore it, proxies see that the stream is alive. */
export function sseComment(text: string): string {
  return `: ${oneLine(text)}\n\n`;
}

/** A line end inside a field would begin a new one, and U+0000 in an id makes clients drop it. */
function oneLine(text: string): string {
  return text.replace(/[\r\n\0]+/g, ' ');
}

const eventStreams = /^(text\/event-stream|application\/(x-ndjson|jsonl|x-jsonlines))\s*(;|$)/i;

/** Whether a Content-Type is one that delivers piece by piece, so that nothing on the way may hold pieces back. */
export function isEventStream(contentType: unknown): boolean {
  return typeof contentType === 'string' && eventStreams.test(contentType);
}
