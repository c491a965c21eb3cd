import type { Lease } from './contract.js';

/** At each newcomer, so that there are never many more than are under way. */
const looks = 2;

/** Reservations under way. Nothing tells when one expires, so those that have are found by looking. */
export class OpenLeases {
  readonly #leases = new Set<Lease>();

  /** O(n). */
  get count(): number {
    return this.#look(this.#leases.size);
  }

  add(lease: Lease): void {
    this.#look(looks);
    this.#leases.add(lease);
  }

  delete(lease: Lease): void {
    this.#leases.delete(lease);
  }

  /** At those that were not looked at for longest. @returns how many are left */
  #look(most: number): number {
    let left = most;
    for (const lease of this.#leases) {
      if (left-- <= 0) break;
      this.#leases.delete(lease);
      if (lease.leftMs > 0) this.#leases.add(lease);
    }
    return this.#leases.size;
  }
}
