import { currentContext, linkAbort, runShared, type Timer, untilAborted } from '../../kernel/index.js';
import type { Computation } from '../contract.js';
import type { Entry } from '../entry.js';
import type { ResolvedCacheOptions } from '../options.js';
import { type Place, placeText } from '../place.js';
import type { Reports } from '../reports.js';
import { type Beginning, type Found, servedValue, type Tiers } from '../tiers.js';
import { Directives } from './directives.js';
import { Flight, type FlightOwner, type Landed } from './flight.js';
import { Landing } from './landing.js';
import { Leases, type Turn, type Wait, type Watch } from './leases.js';
import { checkedValues, type Order, onlyAt } from './order.js';
import { StandIns } from './stand-ins.js';
import { placesOf, type Seat, Trip, underWay } from './trip.js';

/** What came of one place of an order, and whether it is the outcome of somebody else's flight. */
export type Arrival = Landed & { readonly isShared: boolean };

/** Gets what memory does not have: from the store, or from one computation for all who ask at the same time. */
export class Loader {
  readonly #options: ResolvedCacheOptions;
  readonly #tiers: Tiers;
  readonly #reports: Reports;
  readonly #flights = new Map<string, Flight>();
  readonly #trips = new Set<Trip>();
  readonly #standIns: StandIns;
  readonly #landing: Landing;
  readonly #leases: Leases;
  #isClosed = false;

  constructor(options: ResolvedCacheOptions, tiers: Tiers, reports: Reports) {
    this.#options = options;
    this.#tiers = tiers;
    this.#reports = reports;
    this.#standIns = new StandIns(options.clock, tiers);
    this.#landing = new Landing(options, tiers, reports, this.#standIns);
    this.#leases = new Leases(options, tiers);
  }

  /** Joins what is under way for these places, begins the rest, and waits for all of it. */
  async load(order: Order, signal: AbortSignal | undefined): Promise<Arrival[]> {
    const joined = order.places.map((place) => this.#joinable(place));
    const positions = [...order.places.keys()].filter((position) => !joined[position]);
    const own = new Map(this.#launch(order, positions, false).map(({ position, flight }) => [position, flight]));
    const arrive = (position: number): Promise<Arrival> => {
      const flight = joined[position] ?? own.get(position);
      if (!flight) throw new Error('Every place has a flight');
      return this.#arrive(order, position, flight, joined[position] !== undefined, signal);
    };
    return Promise.all(order.places.map((_, position) => arrive(position)));
  }

  /** `load` for an order of one place, at less cost. */
  loadOne(order: Order, place: Place, signal: AbortSignal | undefined): Promise<Arrival> {
    const joined = this.#joinable(place);
    const flight = joined ?? this.#launch(order, [0], false)[0]?.flight;
    if (!flight) throw new Error('Every place has a flight');
    return this.#arrive(order, 0, flight, joined !== undefined, signal);
  }

  /** Computes anew in the background what is there already, unless that is under way or not allowed now. */
  refresh(order: Order): void {
    if (this.#isClosed) return;
    const { places } = order;
    const positions = [...places.keys()].filter((position) => !this.#joinable(places[position] as Place));
    if (positions.length === 0) return;
    if (this.#mayRefresh()) this.#launch(order, positions, true);
    else for (const position of positions) this.#reports.refreshSkipped(places[position] as Place);
  }

  /** Whether the computation of what stands in has failed a moment ago. */
  isPaused(entry: Entry): boolean {
    return this.#standIns.isPaused(entry);
  }

  /** What is under way for a place is not kept, and newcomers begin anew. */
  void(place: Place): void {
    const text = placeText(place.tenant, place.text);
    const flight = this.#flights.get(text);
    if (flight) {
      flight.isVoid = true;
      flight.hold?.release(); // newcomers need not wait for what is not kept
    }
    this.#flights.delete(text);
  }

  /** Ends what nobody waits for; from now on nothing is refreshed. */
  close(): void {
    this.#isClosed = true;
    for (const { seats } of this.#trips) {
      if (!seats.every(({ flight }) => flight.isUnattended)) continue;
      const reason = new DOMException('The cache was closed', 'AbortError');
      for (const { flight } of seats) flight.giveUp(reason);
    }
  }

  /** A flight that a newcomer may wait for: nothing that is known to rule it was invalidated since it began. */
  #joinable(place: Place): Flight | undefined {
    const text = placeText(place.tenant, place.text);
    const flight = this.#flights.get(text);
    if (!flight || this.#tiers.isUntouched(place, flight.tags, flight.began)) return flight;
    this.void(place);
    return undefined;
  }

  async #arrive(
    order: Order,
    position: number,
    flight: Flight,
    isShared: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Arrival> {
    const joinedAt = this.#tiers.sequence;
    const late = flight.isSlow ? this.#standIns.of(flight, 'slow') : undefined;
    const landed = late ?? (await flight.join(signal));
    // A tag may be named only inside of the computation: who came after its invalidation must not get what began before it.
    const isRight =
      joinedAt === flight.began || this.#tiers.isUntouched(flight.place, landed.entry.tags ?? [], flight.began);
    if (isRight) return { ...landed, isShared: isShared && landed.stale === false };
    return this.loadOne(onlyAt(order, position, flight.place), flight.place, signal);
  }

  #launch(order: Order, positions: readonly number[], isBackground: boolean): Seat[] {
    if (positions.length === 0) return [];
    const trip = new Trip(order);
    const { seats } = trip;
    const owner: FlightOwner = {
      onOver: (flight) => this.#unlink(flight),
      onAbandoned: (flight, reason) => {
        this.#unlink(flight);
        if (!seats.every((seat) => seat.flight.isAbandoned || seat.flight.isOver)) return;
        this.#trips.delete(trip); // it may never end: nobody says that a computation obeys its signal
        trip.abort(reason);
      },
    };
    for (const position of positions) {
      const place = order.places[position];
      if (!place) continue;
      const { sequence: began } = this.#tiers;
      const kept = this.#tiers.kept(place);
      const previous = kept && ({ entry: kept, level: 'memory' } as const);
      const tags = [...order.tags, ...(kept?.tags ?? [])];
      const flight = new Flight(place, { began, tags, previous, isBackground }, owner);
      seats.push({ flight, position });
      this.#flights.set(placeText(place.tenant, place.text), flight);
    }
    this.#trips.add(trip);
    void this.#travel(trip, seats, this.#leases.beginWait()).then(() => this.#trips.delete(trip));
    return seats;
  }

  /** Never rejects: how it went reaches the callers through their flights. */
  async #travel(trip: Trip, all: readonly Seat[], wait: Wait): Promise<void> {
    const { clock } = this.#options;
    let seats = all;
    const began = clock.now();
    try {
      trip.throwIfAborted(); // everybody left while somebody else was waited for
      const beginning = await this.#askStore(trip, seats);
      seats = underWay(seats);
      if (seats.length === 0) return;
      trip.throwIfAborted(); // or while the store was asked
      if (this.#tiers.hasLeases) await this.#takeTurns(trip, seats, beginning, wait, began);
      else await this.#compute(trip, seats, beginning);
    } catch (error) {
      for (const { flight } of seats) this.#landing.crash(flight, error, clock.now() - began);
    }
  }

  /** Computes what nobody else does, and waits for the rest. */
  async #takeTurns(
    trip: Trip,
    seats: readonly Seat[],
    beginning: Beginning,
    wait: Wait,
    askedAt: number,
  ): Promise<void> {
    const watch = this.#leases.watch(placesOf(seats));
    try {
      const turn = await this.#leases.acquire(placesOf(seats), beginning, askedAt);
      const sorted = turn && this.#sort(trip, seats, turn, this.#leases.mayWait(wait));
      trip.throwIfAborted(); // everybody left while it was asked for
      if (!sorted) return await this.#compute(trip, seats, beginning);
      const { mine, held, changed } = sorted;
      await Promise.all([
        mine.length > 0 && this.#compute(trip, mine, turn),
        held.length > 0 && this.#waitFor(trip, held, watch, wait),
        changed.length > 0 && this.#travel(trip, changed, wait),
      ]);
    } finally {
      watch.end();
    }
  }

  /** What is to be computed here, is computed elsewhere, or has changed since and is worth another read. */
  #sort(trip: Trip, seats: readonly Seat[], turn: Turn, mayWait: boolean): Record<'mine' | 'held' | 'changed', Seat[]> {
    const sorted: Record<'mine' | 'held' | 'changed', Seat[]> = { mine: [], held: [], changed: [] };
    for (const [index, seat] of seats.entries()) {
      const { flight } = seat;
      const outcome = turn.outcomes[index];
      if (outcome === 'granted') {
        flight.hold = this.#leases.hold(flight.place, turn, trip.signal);
        if (flight.isVoid) flight.hold.release();
      } else if (typeof outcome === 'object') this.#takeStored(flight, outcome, 'store');
      if (flight.isOver) continue;
      if (outcome === 'granted' || (outcome === 'held' && !mayWait)) sorted.mine.push(seat);
      else sorted[outcome === 'held' ? 'held' : 'changed'].push(seat);
    }
    return sorted;
  }

  /** Somebody else computes them. */
  async #waitFor(trip: Trip, seats: readonly Seat[], watch: Watch, wait: Wait): Promise<void> {
    const softTimer = wait.looks === 0 ? this.#standInLate(seats.map(({ flight }) => flight)) : undefined;
    try {
      const waited = await this.#leases.wait(watch, wait, trip.signal);
      await this.#travel(trip, this.#anew(trip, underWay(seats)), waited);
    } finally {
      softTimer?.cancel();
    }
  }

  /**
   * Nothing of a flight that waited has begun yet: so what was invalidated meanwhile does not rule it. Where newcomers have
   * begun another one since, there is one to follow.
   */
  #anew({ signal }: Trip, seats: readonly Seat[]): Seat[] {
    this.#tiers.catchUp();
    return seats.filter(({ flight }) => {
      const text = placeText(flight.place.tenant, flight.place.text);
      const current = this.#joinable(flight.place);
      if (current && current !== flight) {
        current.join(signal).then(
          (landed) => flight.land(landed),
          (error: unknown) => flight.fail(error),
        );
        return false;
      }
      const kept = this.#tiers.kept(flight.place);
      flight.beginAnew(this.#tiers.sequence, kept && { entry: kept, level: 'memory' });
      this.#flights.set(text, flight);
      return true;
    });
  }

  async #askStore({ order: { tags } }: Trip, seats: readonly Seat[]): Promise<Beginning> {
    if (!this.#tiers.hasStore) return { sequence: this.#tiers.sequence, fence: undefined };
    const found: Found = await this.#tiers.read(placesOf(seats), tags);
    for (const [index, { flight }] of seats.entries()) {
      const entry = found.entries[index];
      if (entry) this.#takeStored(flight, entry, found.level);
    }
    return found;
  }

  /** Lands what the store has. What it has and is stale stands in: at once while it may, or for what is computed now. */
  #takeStored(flight: Flight, entry: Entry, level: Found['level']): void {
    const { clock, staleWhileRevalidateMs } = this.#options;
    const now = clock.now();
    // A refresh looks for what somebody else has computed since, not for what it is to replace.
    const isNews = !flight.isBackground || !flight.previous || entry.storedAt > flight.previous.entry.storedAt + 1;
    if (entry.freshUntil > now && isNews) {
      flight.land({ entry, level, stale: false });
      return;
    }
    if (flight.previous?.entry !== entry) flight.previous = { entry, level };
    if (flight.isBackground || now >= entry.freshUntil + staleWhileRevalidateMs) return;
    const answer = { entry, level, stale: 'revalidating' } as const;
    if (this.#mayRefresh()) {
      flight.relieve(answer);
      return;
    }
    this.#reports.refreshSkipped(flight.place);
    flight.land(answer);
  }

  /** Never rejects. */
  async #compute(trip: Trip, seats: readonly Seat[], beginning: Beginning): Promise<void> {
    const { clock, name, hardTimeoutMs } = this.#options;
    const flights = seats.map(({ flight }) => flight);
    const began = clock.now();
    const tenant = seats[0]?.flight.place.tenant;
    const { order, signal } = trip;
    // Without a deadline of its own nothing but its callers ends it.
    const own =
      hardTimeoutMs === undefined
        ? undefined
        : linkAbort({ parents: [signal], timeoutMs: hardTimeoutMs, clock, what: `A computation of cache '${name}'` });
    const softTimer = this.#standInLate(flights);
    let written: Promise<void> | undefined;
    const decided = new Directives(name, own?.signal ?? signal, this.#previousOf(flights));
    try {
      for (const flight of flights) if (!flight.isBackground) this.#reports.miss(flight.place);
      const positions = seats.map(({ position }) => position);
      const computing = runShared(own ?? { signal }, tenant, currentContext()?.budget, async () =>
        order.compute(positions, decided),
      );
      const result = await (own ? untilAborted(computing, own.signal) : computing);
      const values = checkedValues(name, flights.length, result);
      written = this.#landing.land({ order, flights, values, decided, beginning, tookMs: clock.now() - began });
    } catch (error) {
      for (const flight of flights) this.#landing.crash(flight, error, clock.now() - began);
    } finally {
      own?.release();
      softTimer?.cancel();
      this.#release(flights, written);
    }
  }

  /** The others may look once they can find what there is. */
  #release(flights: readonly Flight[], written: Promise<void> | undefined): void {
    const release = (): void => {
      for (const { hold } of flights) hold?.release();
    };
    if (written) void written.then(release);
    else release();
  }

  /** Past the soft timeout those who have something to stand in get that; the computation goes on for its own sake. */
  #standInLate(flights: readonly Flight[]): Timer | undefined {
    const { softTimeoutMs, clock } = this.#options;
    if (softTimeoutMs === undefined || !flights.some(({ previous }) => previous)) return undefined;
    return clock.schedule(softTimeoutMs, () => {
      for (const flight of flights) {
        flight.isSlow = true;
        const answer = this.#standIns.of(flight, 'slow');
        if (answer) flight.relieve(answer);
      }
    });
  }

  /** Of one value. That of many could not say which of them are as they were. */
  #previousOf(flights: readonly Flight[]): Computation['previous'] {
    const entry = flights.length === 1 ? flights[0]?.previous?.entry : undefined;
    return entry && { value: servedValue(entry), ageMs: this.#options.clock.now() - entry.storedAt };
  }

  /** A function that fails to say whether there is spare capacity has not said that there is. */
  #mayRefresh(): boolean {
    try {
      return this.#options.canRefresh() === true; // a promise is no yes
    } catch {
      return false;
    }
  }

  #unlink(flight: Flight): void {
    const text = placeText(flight.place.tenant, flight.place.text);
    if (this.#flights.get(text) === flight) this.#flights.delete(text);
  }
}
