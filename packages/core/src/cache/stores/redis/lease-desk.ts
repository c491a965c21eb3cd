import type { RedisValue } from '../../../kernel/index.js';
import type { StoreLeaseHold, StoreLeaseRequest, StoreLeases } from '../../store.js';
import { generationIn, Judgement, tagsOf } from './judgement.js';
import { newGeneration } from './random-text.js';
import { type KnownKey, RedisFence } from './redis-fence.js';
import { generationMs, type Marks, markerMs, markTags, type RedisSpace } from './redis-space.js';
import { leaseScript, releaseScript, renewScript } from './scripts.js';
import type { Versions } from './versions.js';

type Outcome = StoreLeases['outcomes'][number];

/** An entry that has come since may be void or stale already: then the lease is asked for once more, as often as that. */
const mostRounds = 4;

const unknown: KnownKey = { generation: undefined, newest: 0 };

/** Who computes what. */
export class LeaseDesk {
  readonly #space: RedisSpace;
  readonly #ttlMs: number;

  constructor(space: RedisSpace, ttlMs: number) {
    this.#space = space;
    this.#ttlMs = ttlMs;
  }

  async acquire({ keys, fence, token, signal }: Omit<StoreLeaseRequest, 'namespace'>): Promise<StoreLeases> {
    const before = fence instanceof RedisFence ? fence : undefined;
    const tags = before?.tags ?? [];
    const known = new Map(keys.map((key) => [key, before?.known(key) ?? unknown]));
    const outcomes = new Map<string, Outcome>();
    let at: Pick<Versions, 'epoch' | 'run' | 'seq'> =
      before ?? (await markTags(this.#space, [], markerMs, signal)).versions;
    for (let round = 1; outcomes.size < known.size && round <= mostRounds; round++) {
      const open = [...known.keys()].filter((key) => !outcomes.has(key));
      // The versions come after the leases, so that an entry that has just come is held against what it was stored under.
      const [answers, marks] = await Promise.all([
        this.#lease(open, { known, at, token }, signal),
        markTags(this.#space, tags, markerMs, signal),
      ]);
      await this.#settle(open, answers, { marks, known, outcomes }, signal);
      at = marks.versions;
    }
    return {
      // Whoever was never asked may compute as well: what is stored is the fence's affair.
      outcomes: keys.map((key) => outcomes.get(key) ?? 'granted'),
      fence: new RedisFence(at, tags, () => known),
      ttlMs: this.#ttlMs,
    };
  }

  async renew({ keys, token, signal }: Omit<StoreLeaseHold, 'namespace'>): Promise<void> {
    const { keys: names } = this.#space;
    const part = {
      names: (key: string) => [names.lease(key), names.generation(key)],
      first: [token, `${this.#ttlMs}`, `${generationMs}`],
    };
    await this.#space.runForKeys(renewScript, [...new Set(keys)], part, signal);
  }

  async release({ keys, token, signal }: Omit<StoreLeaseHold, 'namespace'>): Promise<void> {
    const { keys: names } = this.#space;
    const part = {
      names: (key: string) => [names.lease(key)],
      first: [token, names.channel],
      args: (key: string) => [key],
    };
    await this.#space.runForKeys(releaseScript, [...new Set(keys)], part, signal);
  }

  #lease(
    keys: readonly string[],
    { known, at, token }: { known: ReadonlyMap<string, KnownKey>; at: Pick<Versions, 'epoch' | 'seq'>; token: string },
    signal: AbortSignal,
  ): Promise<readonly RedisValue[]> {
    const { keys: names, random } = this.#space;
    const part = {
      names: (key: string) => [names.entry(key), names.generation(key), names.lease(key)],
      first: [token, at.epoch, `${at.seq}`, `${this.#ttlMs}`, `${generationMs}`],
      args: (key: string) => {
        const { generation = '', newest } = known.get(key) ?? unknown;
        return [generation, `${newest}`, newGeneration(random)];
      },
    };
    return this.#space.runForKeys(leaseScript, keys, part, signal);
  }

  /** Takes down what was answered: an outcome, or what is known now for the next round. */
  async #settle(
    keys: readonly string[],
    answers: readonly RedisValue[],
    { marks, known, outcomes }: { marks: Marks; known: Map<string, KnownKey>; outcomes: Map<string, Outcome> },
    signal: AbortSignal,
  ): Promise<void> {
    const judgement = new Judgement(this.#space, marks.versions, marks.tags);
    const come = keys.flatMap((key, index) => {
      const [kind, bytes] = partsOf(answers[index]);
      if (kind === 2) return [{ key, found: judgement.add(bytes) }];
      known.set(key, { generation: bytes.toString('latin1'), newest: known.get(key)?.newest ?? 0 });
      outcomes.set(key, kind === 0 ? 'granted' : 'held');
      return [];
    });
    const more = judgement.close(signal);
    if (more) await more;
    for (const { key, found } of come) {
      const entry = judgement.entryOf(found);
      const isFresh = entry !== undefined && entry !== 'unreadable' && entry.freshUntil > this.#space.clock.wall();
      if (isFresh) outcomes.set(key, entry);
      known.set(key, { generation: generationIn(found), newest: judgement.newest(tagsOf(found)) });
    }
  }
}

function partsOf(answer: RedisValue | undefined): readonly [kind: number, bytes: Buffer] {
  const [kind, bytes] = Array.isArray(answer) ? answer : [];
  if (typeof kind === 'number' && Buffer.isBuffer(bytes)) return [kind, bytes];
  throw new TypeError('A script of the Redis store has answered with something else than a lease.');
}
