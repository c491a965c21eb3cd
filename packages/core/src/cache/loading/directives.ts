import { badOption, type Duration, durationMs, rule, WarmpathError } from '../../kernel/index.js';
import type { Computation } from '../contract.js';

/** One computation's view of its cache, and what it has decided by the time it ends. */
export class Directives implements Computation {
  readonly signal: AbortSignal;
  readonly previous: Computation['previous'];
  readonly #cache: string;
  readonly #tags = new Set<string>();
  #ttlMs: number | undefined;
  #isStored = true;
  #isUnchanged = false;

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

  /** The previous value is right, whatever the computation has answered after saying so. */
  get isUnchanged(): boolean {
    return this.#isUnchanged;
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
    if (this.previous) {
      this.#isUnchanged = true;
      return undefined as never;
    }
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

const tagsRule = rule.arrayOf({
  text: 'a string that is not empty, of whole characters',
  // Half a surrogate pair would be another text once it has been through UTF-8, and escape its invalidation.
  allows: (tag) => rule.text.allows(tag) && (tag as string).isWellFormed(),
});

/** A copy: what becomes of the caller's list is the caller's business. */
export function checkedTags(cache: string, tags: readonly string[]): readonly string[] {
  if (!tagsRule.allows(tags)) throw badOption(`Cache '${cache}'`, 'tags', tagsRule.text, tags);
  return [...tags];
}
