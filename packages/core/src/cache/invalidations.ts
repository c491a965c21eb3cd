/** The most names whose last invalidation is remembered one by one. */
const mostNames = 100_000;

/**
 * The order of invalidations in this process, as a sequence of integers; no clock has a say in it. A value remembers the
 * sequence at which its computation, or its read from the store, began. It is right as long as none of the names that
 * rule it (tags, its own id) was invalidated later than that.
 */
export class Invalidations {
  #sequence = 0;
  /** What began before this was invalidated, whatever its names. */
  #allBefore = 0;
  /** Of what began before this nobody can say whether it was. */
  #certainFrom = 0;
  /** Names invalidated up to this sequence may be forgotten: what began before it counts as invalidated if it has names. */
  #forgottenUpTo = 0;
  /** The sequence of each name's last invalidation, oldest first. */
  readonly #last = new Map<string, number>();

  /** The present: what begins now is ruled by what is invalidated after it. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Cost: O(1) for each name. */
  add(names: readonly string[]): void {
    this.#sequence++;
    for (const name of names) {
      this.#last.delete(name);
      this.#last.set(name, this.#sequence);
    }
    // Not to know whether a name was meant has to count as yes: that costs misses, never an old value.
    for (const [name, sequence] of this.#last) {
      if (this.#last.size <= mostNames) break;
      this.#last.delete(name);
      this.#forgottenUpTo = sequence;
    }
  }

  addAll(): void {
    this.#sequence++;
    this.#last.clear();
    this.#allBefore = this.#sequence;
  }

  /** Something may have been invalidated, and cannot be told. */
  addGap(): void {
    this.#certainFrom = ++this.#sequence;
  }

  /** Whether all that was invalidated after `since` is known. */
  isCertain(since: number): boolean {
    return since >= this.#certainFrom;
  }

  /** Whether one of the names is known to have been invalidated after `since`. Cost: one lookup for each name, if anything was at all. */
  hasTouched(names: readonly string[], since: number): boolean {
    if (since === this.#sequence) return false;
    if (since < this.#allBefore) return true;
    if (names.length === 0) return false;
    return since < this.#forgottenUpTo || names.some((name) => (this.#last.get(name) ?? 0) > since);
  }
}
