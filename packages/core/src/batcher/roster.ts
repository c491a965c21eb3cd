/** What can be on a roster: it knows where. */
export interface Listed {
  /** -1 where it is on none. Only the roster writes here. */
  rosterIndex: number;
}

/**
 * A set of things that know where in it they are. Adding and removing cost a few nanoseconds, where a Set needs a hash of each
 * object, which costs as much as a load. Not in any order.
 */
export class Roster<T extends Listed> {
  readonly #list: T[] = [];

  get size(): number {
    return this.#list.length;
  }

  /** Nothing where it is on it already. */
  add(member: T): void {
    if (member.rosterIndex >= 0) return;
    member.rosterIndex = this.#list.length;
    this.#list.push(member);
  }

  /** Nothing where it is not on it. */
  delete(member: T): void {
    const index = member.rosterIndex;
    if (index < 0) return;
    member.rosterIndex = -1;
    const last = this.#list.pop();
    if (last === undefined || last === member) return;
    this.#list[index] = last;
    last.rosterIndex = index;
  }

  all(): readonly T[] {
    return [...this.#list];
  }
}
