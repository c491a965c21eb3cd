import { abortReason } from '../../kernel/index.js';
import type { Place } from '../place.js';
import type { Flight } from './flight.js';
import type { Order } from './order.js';

export interface Seat {
  readonly flight: Flight;
  /** In the order's places. */
  readonly position: number;
}

/** Some flights that began together: one read of the store and one computation serve them all. */
export class Trip {
  readonly order: Order;
  readonly seats: Seat[] = [];
  // Most trips end in the store, and nobody ever asks for their signal: it costs more than the rest of a trip.
  #controller: AbortController | undefined;
  #aborted: { readonly reason: unknown } | undefined;

  constructor(order: Order) {
    this.order = order;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#aborted ??= { reason };
    this.#controller?.abort(reason);
  }

  throwIfAborted(): void {
    if (this.#aborted) throw abortReason(this.signal);
  }
}

export function underWay(seats: readonly Seat[]): Seat[] {
  return seats.filter(({ flight }) => !flight.isOver);
}

export function placesOf(seats: readonly Seat[]): Place[] {
  return seats.map(({ flight }) => flight.place);
}
