/**
 * Who waits with which signal: one listener a signal, however many wait with it, so that joining and leaving cost O(1) where
 * the listeners of a signal are a list. A signal that nobody waits with any more has none.
 */
export class AbortWatch<T> {
  readonly #parties = new Map<AbortSignal, Party<T>>();
  readonly #onAbort: (members: readonly T[], signal: AbortSignal) => void;

  /** @param onAbort is told of all that wait with a signal at once, when they are watched no more */
  constructor(onAbort: (members: readonly T[], signal: AbortSignal) => void) {
    this.#onAbort = onAbort;
  }

  get signals(): number {
    return this.#parties.size;
  }

  /** To be called with a signal that is not aborted. */
  join(signal: AbortSignal, member: T): void {
    let party = this.#parties.get(signal);
    if (party === undefined) {
      party = new Party<T>((left) => {
        this.#parties.delete(signal);
        this.#onAbort([...left], signal);
      });
      this.#parties.set(signal, party);
      signal.addEventListener('abort', party, { once: true });
    }
    party.members.add(member);
  }

  /** Nothing where it is not watched. */
  leave(signal: AbortSignal, member: T): void {
    const party = this.#parties.get(signal);
    if (party === undefined || !party.members.delete(member) || party.members.size > 0) return;
    this.#parties.delete(signal);
    signal.removeEventListener('abort', party);
  }
}

/** An object rather than a function, so that one member costs no closure over another. */
class Party<T> {
  readonly members = new Set<T>();
  readonly #onAbort: (members: ReadonlySet<T>) => void;

  constructor(onAbort: (members: ReadonlySet<T>) => void) {
    this.#onAbort = onAbort;
  }

  handleEvent(): void {
    this.#onAbort(this.members);
  }
}
