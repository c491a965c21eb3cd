import type { Invalidation } from '../../store.js';

/** What is said on the channel of a namespace. */
export type BusMessage =
  | {
      readonly type: 'invalidated';
      readonly seq: number;
      readonly epoch: string;
      readonly publisher: string;
      readonly invalidation: Invalidation;
    }
  /** Its lease has ended, or a stream of it is followed or goes on: whoever watches it may look again. */
  | { readonly type: 'changed'; readonly key: string };

const invalidated = /^(\d{1,16}) (\S+) (\S+) (delete|expire|tags|clear) (.*)$/s;

/** @returns undefined for what none of ours has said, or one of a version to come */
export function parseBusMessage(text: string): BusMessage | undefined {
  if (text.startsWith('r ') || text.startsWith('s ')) return { type: 'changed', key: text.slice(2) };
  const [, seq, epoch = '', publisher = '', type = '', json = ''] = invalidated.exec(text) ?? [];
  const invalidation = invalidationOf(type, namesIn(json));
  return invalidation && { type: 'invalidated', seq: Number(seq), epoch, publisher, invalidation };
}

function invalidationOf(type: string, names: readonly string[] | undefined): Invalidation | undefined {
  if (!names) return undefined;
  if (type === 'delete' || type === 'expire') return { type, keys: names };
  return type === 'tags' ? { type, tags: names } : { type: 'clear' };
}

function namesIn(json: string): readonly string[] | undefined {
  try {
    const names: unknown = JSON.parse(json);
    return Array.isArray(names) && names.every((name) => typeof name === 'string') ? names : undefined;
  } catch {
    return undefined;
  }
}
