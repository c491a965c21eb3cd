import type { SseEvent } from '@warmpath/core/streaming';

/**
 * A chunk as an event: a string is the data; an object with `data` is read like Nest's MessageEvent (`type` names the
 * event, `id` and `retry` go along); anything else is sent as JSON.
 */
export function toSseEvent(chunk: unknown): SseEvent {
  if (typeof chunk === 'string') return { data: chunk };
  if (typeof chunk !== 'object' || chunk === null || !('data' in chunk)) return { data: json(chunk) };
  const { data, type, id, retry } = chunk as { data: unknown; type?: unknown; id?: unknown; retry?: unknown };
  return {
    data: typeof data === 'string' ? data : json(data),
    ...(typeof type === 'string' ? { event: type } : {}),
    ...(typeof id === 'string' || typeof id === 'number' ? { id: String(id) } : {}),
    ...(typeof retry === 'number' ? { retry } : {}),
  };
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}
