/**
 * One dimension of one account: pure arithmetic on instants that the caller gives, in milliseconds, and that never go back.
 * The limit comes with each question, since it may change (feedback of a provider, shares of an outage); what is charged stays.
 */
export interface Meter {
  /** How long until `amount` fits, if nobody takes anything meanwhile: 0 now, Infinity never. Changes nothing that shows. */
  waitMs(amount: number, limit: number, now: number): number;
  /** In any case, above the limit if need be. */
  charge(amount: number, now: number): void;
  /** Takes back part of what was charged at `chargedAt`, as if it had never been; nothing where it counts no more. */
  refund(amount: number, chargedAt: number, now: number): void;
  /** What counts now. */
  used(now: number): number;
  /** Until nothing counts any more. */
  resetMs(now: number): number;
}
