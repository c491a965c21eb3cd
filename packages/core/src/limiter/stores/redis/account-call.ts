import type { Amounts, CalendarDimension } from '../../dimensions.js';
import type { StoreSettle, StoreTake, StoreVerdict } from '../../store.js';
import { Ask } from './ask.js';
import type { Reply } from './reply.js';
import type { Shape } from './shape.js';

interface Step {
  write(ask: Ask): void;
  read(reply: Reply): void;
  reject(error: unknown): void;
}

interface AccountSteps {
  readonly shape: Shape;
  readonly keys: readonly string[];
  readonly steps: Step[];
  since: { readonly at: number; readonly agoMs: number; readonly generation: string } | undefined;
}

type Part = 'limits' | 'isLost' | 'debt' | 'own' | 'lease' | 'penalise';

const none: readonly Amounts[] = [];

/** In the place of a generation: of whichever. */
const anyGeneration = ' '.repeat(8);

/** What one process asks of some accounts in one turn of the event loop, in this order. */
export class AccountCall {
  readonly #accounts = new Map<string, AccountSteps>();
  #size = 0;

  /** What is decided in it: further ones count each. */
  get size(): number {
    return this.#size;
  }

  get keys(): readonly string[] {
    return Array.from(this.#accounts.values(), ({ keys }) => keys).flat();
  }

  take(shape: Shape, keys: readonly string[], request: StoreTake): Promise<StoreVerdict> {
    const { amounts, debt, own, since, penalise, more = none } = request;
    const lease = shape.hasPlaces ? request.lease : undefined;
    const account = this.#account(shape, keys);
    // Limiters of one name may disagree about their limits.
    const limits = request.limits ?? (account.shape === shape ? undefined : shape.limits);
    if (since) account.since = { ...since, generation: own?.generation ?? anyGeneration };
    const write = (ask: Ask): void => {
      begin(ask, 1, { limits, debt, own, lease, penalise });
      writeAmounts(ask, amounts, more);
      if (limits) ask.numbers(limits);
      if (debt) ask.numbers(debt);
      if (own) {
        ask.mark(own.generation);
        ask.numbers(own.amounts);
      }
      if (lease) writeLease(ask, lease.id, lease.ttlMs);
    };
    return this.#add(account, write, (reply) => reply.verdicts(amounts, more), 1 + more.length);
  }

  settle(shape: Shape, keys: readonly string[], request: StoreSettle): Promise<void> {
    const { corrections, at, generation } = request;
    const leaseId = shape.hasPlaces ? request.leaseId : undefined;
    const write = (ask: Ask): void => {
      begin(ask, 2, { lease: leaseId !== undefined });
      ask.numbers(corrections);
      ask.number(at);
      ask.mark(generation);
      if (leaseId !== undefined) writeLease(ask, leaseId, 0);
    };
    return this.#add(this.#account(shape, keys), write, () => {});
  }

  /** @param isLost whether a place that is not there is taken again, whatever the limit */
  extend(shape: Shape, keys: readonly string[], leaseId: string, ttlMs: number, isLost = false): Promise<boolean> {
    const write = (ask: Ask): void => {
      begin(ask, 3, { isLost, lease: true });
      writeLease(ask, leaseId, ttlMs);
    };
    return this.#add(this.#account(shape, keys), write, (reply) => reply.flag());
  }

  /**
   * @param process who asks
   * @param candidate the generation of accounts that are not there
   * @param periodOf the present period of a calendar
   */
  ask(
    process: string,
    candidate: string,
    periodOf: (calendar: CalendarDimension) => { readonly start: number; readonly end: number },
  ): Buffer {
    const ask = new Ask();
    const shapes = [...new Set(Array.from(this.#accounts.values(), ({ shape }) => shape))];
    ask.mark(process);
    ask.mark(candidate);
    const calendars = shapes.flatMap((shape) => shape.calendars);
    ask.byte(calendars.length);
    for (const calendar of calendars) {
      const { start, end } = periodOf(calendar);
      ask.numbers([start, end]);
    }
    ask.byte(shapes.length);
    ask.byte(this.#accounts.size);
    let period = 1;
    for (const shape of shapes) {
      shape.describe(ask, period);
      period += shape.calendars.length;
    }
    for (const { shape, steps, since } of this.#accounts.values()) {
      ask.byte(shapes.indexOf(shape) + 1);
      ask.byte(steps.length);
      ask.numbers([since?.at ?? 0, since?.agoMs ?? 0]);
      ask.mark(since?.generation ?? anyGeneration);
      for (const step of steps) step.write(ask);
    }
    return ask.end();
  }

  resolve(reply: Reply): void {
    for (const { steps } of this.#accounts.values()) {
      reply.account();
      for (const step of steps) step.read(reply);
    }
  }

  reject(error: unknown): void {
    for (const { steps } of this.#accounts.values()) for (const step of steps) step.reject(error);
  }

  #account(shape: Shape, keys: readonly string[]): AccountSteps {
    const [name = ''] = keys;
    const known = this.#accounts.get(name);
    if (known) return known;
    const account = { shape, keys, steps: [], since: undefined };
    this.#accounts.set(name, account);
    return account;
  }

  #add<T>({ steps }: AccountSteps, write: (ask: Ask) => void, read: (reply: Reply) => T, size = 1): Promise<T> {
    this.#size += size;
    return new Promise((resolve, reject) => {
      steps.push({ write, read: (reply) => resolve(read(reply)), reject });
    });
  }
}

/** @param kind 1: take, 2: settle, 3: extend; and what comes with it */
function begin(ask: Ask, kind: number, has: Partial<Record<Part, unknown>>): void {
  ask.byte(kind);
  ask.byte(Boolean(has.limits ?? has.isLost));
  ask.byte(Boolean(has.debt));
  ask.byte(Boolean(has.own));
  ask.byte(Boolean(has.lease));
  ask.byte(Boolean(has.penalise));
}

function writeLease(ask: Ask, id: string, ttlMs: number): void {
  ask.text(id);
  ask.number(ttlMs);
}

/** How many there are; their sum, where they are several; each. */
function writeAmounts(ask: Ask, first: Amounts, more: readonly Amounts[]): void {
  ask.byte(1 + more.length);
  if (more.length > 0) {
    for (let index = 0; index < first.length; index++) {
      let sum = first[index] as number;
      for (const amounts of more) sum += amounts[index] as number;
      ask.number(sum);
    }
  }
  ask.numbers(first);
  for (const amounts of more) ask.numbers(amounts);
}
