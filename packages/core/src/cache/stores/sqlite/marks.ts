import { type Name, nameBytes } from './names.js';
import type { MarkStatements } from './write-statements.js';

/** What a mark takes up beside its name, with both of its trees. */
const markOverheadBytes = 64;
/** How many one transaction trims at most, so that none lasts for long. */
const mostTrimmed = 256;

export interface NewMark {
  readonly space: number;
  readonly name: Name;
  readonly expired: boolean;
  readonly sequence: number;
  readonly origin: number;
  /** Up to where this store's feeds of the namespace have read: they will not see a mark that this one replaces. */
  readonly heard: number;
}

/** The origin of marks that are news to everybody. */
export const nobody = 0;

/**
 * Marks, one for each name: a new one replaces that of the same name, so a log of invalidations is no longer than there
 * are names.
 * @returns the bytes that were added
 */
export function putMark(statements: MarkStatements, mark: NewMark): number {
  const { space, name, sequence, origin, heard } = mark;
  const old = statements.find.get(space, name);
  if (!old) {
    statements.add.run(sequence, Number(mark.expired), origin, space, name);
    return nameBytes(name) + markOverheadBytes;
  }
  const [oldSequence, oldExpired, oldOrigin] = old;
  // Those who have not heard of the old mark hear the new one instead, so it must tell them no less: a deletion stays one,
  // and one by somebody else that we have not heard of is news to us as well.
  const expired = Number(mark.expired && oldExpired === 1);
  const isNewsToUs = oldOrigin !== origin && oldSequence > heard;
  statements.move.run(sequence, expired, isNewsToUs ? nobody : origin, oldSequence);
  return 0;
}

/**
 * Forgets the oldest marks, and raises the floor of their namespaces: whatever they may have voided counts as void.
 * @returns the bytes that were freed
 */
export function trimMarks(statements: MarkStatements, excessBytes: number): number {
  if (excessBytes <= 0) return 0;
  const floors = new Map<number, number>();
  let freed = 0;
  let last = 0;
  for (const [sequence, space, name] of statements.oldest.all(mostTrimmed)) {
    if (freed >= excessBytes) break;
    floors.set(space, sequence);
    freed += nameBytes(name) + markOverheadBytes;
    last = sequence;
  }
  statements.trim.run(last);
  for (const [space, floor] of floors) statements.raiseFloor.run(floor, space);
  return freed;
}
