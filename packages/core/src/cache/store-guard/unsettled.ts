import type { Invalidation, StoredEntry } from '../store.js';

/** Past this many keys and tags one clear stands for all of them: it forgets more, and never less. */
const mostNames = 10_000;

/** As many as a store can be asked to forget in one call without being late for it. */
const namesPerCall = 1_000;

/** One invalidation on its way to the store; a later one of the same name takes its place. */
export interface Ticket {
  /** What the store is to be told: it covers at least what was asked for. */
  readonly invalidation: Invalidation;
}

/**
 * The invalidations that the store has not confirmed. As long as one is here, nothing that it covers is taken from the
 * store. It holds a bounded number of names, the last invalidation of each.
 */
export class Unsettled {
  readonly #keys = new Map<string, Ticket>();
  readonly #tags = new Map<string, Ticket>();
  #clear: Ticket | undefined;

  get isEmpty(): boolean {
    return !this.#clear && this.#keys.size === 0 && this.#tags.size === 0;
  }

  get coversAll(): boolean {
    return this.#clear !== undefined;
  }

  coversKey(key: string): boolean {
    return this.#clear !== undefined || this.#keys.has(key);
  }

  /** Whether nothing of the key is to stay, not even to stand in. */
  forgets(key: string): boolean {
    return this.#clear !== undefined || this.#keys.get(key)?.invalidation.type === 'delete';
  }

  covers(key: string, entry: Pick<StoredEntry, 'tags'>): boolean {
    return this.coversKey(key) || (this.#tags.size > 0 && entry.tags.some((tag) => this.#tags.has(tag)));
  }

  add(invalidation: Invalidation): Ticket {
    const { names, into } = this.#placeOf(invalidation);
    if (!into || this.#keys.size + this.#tags.size + names.length > mostNames) return this.#addClear();
    const ticket = { invalidation: this.#atLeast(invalidation) };
    for (const name of names) into.set(name, ticket);
    return ticket;
  }

  /** The store has confirmed it. What was invalidated again since stays. */
  settle(ticket: Ticket): void {
    if (this.#clear === ticket) this.#clear = undefined;
    const { names, into } = this.#placeOf(ticket.invalidation);
    for (const name of names) if (into?.get(name) === ticket) into.delete(name);
  }

  /** What there is to say to the store, in as few words as it takes; each settles the names that it holds. */
  gather(): Ticket[] {
    if (this.#clear) return [this.#addClear()]; // what was added since the last one was told is covered as well
    const tickets: Ticket[] = [];
    const gather = (names: string[], into: Map<string, Ticket>, say: (names: string[]) => Invalidation): void => {
      for (let from = 0; from < names.length; from += namesPerCall) {
        const some = names.slice(from, from + namesPerCall);
        const ticket = { invalidation: say(some) };
        for (const name of some) into.set(name, ticket);
        tickets.push(ticket);
      }
    };
    const ofType = (type: Invalidation['type']): string[] =>
      Array.from(this.#keys)
        .filter(([, ticket]) => ticket.invalidation.type === type)
        .map(([key]) => key);
    const [deleted, expired, tagged] = [ofType('delete'), ofType('expire'), [...this.#tags.keys()]];
    gather(deleted, this.#keys, (keys) => ({ type: 'delete', keys }));
    gather(expired, this.#keys, (keys) => ({ type: 'expire', keys }));
    gather(tagged, this.#tags, (tags) => ({ type: 'tags', tags }));
    return tickets;
  }

  #addClear(): Ticket {
    this.#keys.clear();
    this.#tags.clear();
    this.#clear = { invalidation: { type: 'clear' } };
    return this.#clear;
  }

  /** A key that is to be forgotten is not brought back by being expired as well. */
  #atLeast(invalidation: Invalidation): Invalidation {
    if (invalidation.type !== 'expire') return invalidation;
    const { keys } = invalidation;
    const isForgotten = keys.some((key) => this.#keys.get(key)?.invalidation.type === 'delete');
    return isForgotten ? { type: 'delete', keys } : invalidation;
  }

  #placeOf(invalidation: Invalidation): { names: readonly string[]; into: Map<string, Ticket> | undefined } {
    if (invalidation.type === 'clear') return { names: [], into: undefined };
    if (invalidation.type === 'tags') return { names: invalidation.tags, into: this.#tags };
    return { names: invalidation.keys, into: this.#keys };
  }
}
