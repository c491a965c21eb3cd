import { badOption, type Duration, durationMs, rule, WarmpathError } from '../../kernel/index.js';
import type { Computation } from '../contract.js';

/** What a computation answers with when the previous value is right as it is. */
export const notModified: unique symbol = Symbol('not modified');

/** One computation's view of its cache, and what it has decided by the time it ends. */
export class Directives implements Computation {
  readonly signal: AbortSignal;
  readonly previous: Computation['previous'];
  readonly #cache: string;
  readonly #tags = new Set<string>();
  #ttlMs: number | undefined;
  #isStored = true;

  constructor(cache: string, signal: AbortSignal, previous: Computation['previous']) {
    this.#cache = cache;
    this.signal = signal;
    this.previous = previous;
    // So that a computation may take what it needs by name: ({ setTtl, addTags }) => ...
    this.setTtl = this.setTtl.bind(this);
    this.addTags = this.addTags.bind(this);
    this.doNotStore = this.doNotStore.bind(this);
    this.notModified = this.notModified.bind(this);
  }

  get ttlMs(): number | undefined {
    return this.#ttlMs;
  }

  get tags(): readonly string[] {
    return [...this.#tags];
  }

  get isStored(): boolean {
    return this.#isStored;
  }

  setTtl(ttl: Duration): void {
    this.#ttlMs = checkedTtlMs(this.#cache, ttl);
  }

  addTags(...tags: readonly string[]): void {
    for (const tag of checkedTags(this.#cache, tags)) this.#tags.add(tag);
  }

  doNotStore(): void {
    this.#isStored = false;
  }

  notModified(): never {
    if (this.previous) return notModified as unknown as never;
    throw new WarmpathError(
      'WP_NOTHING_PREVIOUS',
      `A computation of cache '${this.#cache}' said notModified(), and there is no previous value. ` +
        'Ask upstream for the whole value when `previous` is undefined.',
      { details: { cache: this.#cache } },
    );
  }
}

export function checkedTtlMs(cache: string, ttl: Duration): number {
  if (!rule.duration.allows(ttl)) throw badOption(`Cache '${cache}'`, 'ttl', rule.duration.text, ttl);
  return durationMs(ttl);
}

const tagsRule = rule.arrayOf(rule.text);

export function checkedTags(cache: string, tags: readonly string[]): readonly string[] {
  if (!tagsRule.allows(tags)) throw badOption(`Cache '${cache}'`, 'tags', tagsRule.text, tags);
  return tags;
}
