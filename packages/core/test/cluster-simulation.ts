import { type Cache, type CacheLevel, type CacheOptions, type CacheStore, createCache } from '../src/cache/index.js';
import type { RedisPort } from '../src/kernel/index.js';
import { type Clock, type Random, seededRandom } from '../src/kernel/index.js';
import { Truth, type Version } from './cluster-truth.js';
import { SimulatedClock } from './simulated-clock.js';
import { noFaults } from './simulated-link.js';
import { type SimulatedPort, SimulatedRedis } from './simulated-redis.js';

/** What a simulated day looks like. */
export interface Weather {
  /** What may go wrong beside the network, and what the network does. */
  readonly faults: boolean;
  /** Whether the server comes back without what it had acknowledged: then nothing is promised until that was told again. */
  readonly losses: boolean;
  readonly servers: number;
}

/** A bug that is built in on purpose, to see that it is found. */
export interface Plant {
  readonly port?: (port: RedisPort) => RedisPort;
  readonly store?: (store: CacheStore) => CacheStore;
  readonly options?: Partial<CacheOptions>;
}

export interface ClusterOptions {
  readonly seed: number;
  readonly weather: Weather;
  readonly makeStore: (port: RedisPort, clock: Clock, random: Random) => CacheStore;
  readonly plant?: Plant;
}

const keys = ['a', 'b', 'c'] as const;
const staleWindowMs = 3_000;
/** A silence is noticed at the next look. */
const noticedWithinMs = 200;
const hardTimeoutMs = 4_000;
/** A wait for somebody else's computation, and then one's own. */
const longestCallMs = 3 * hardTimeoutMs;
/** What was deferred is tried again after half a minute at most, and so is a store that was left alone. */
const recoveryMs = 70_000;
const runMs = 10_000;
/** How long a value that is set may take to reach the store. */
const soonMs = 100;
const lateMs = 31_000;

/** A read, and since when. */
interface Asked {
  readonly node: Node;
  readonly way: string;
  readonly at: number;
}

/** One process: it may die at any time, and then nothing of it goes on. */
class Node {
  readonly cache: Cache;
  readonly port: SimulatedPort;
  isDead = false;
  #wallAheadMs: number;

  constructor({ makeStore, plant = {} }: ClusterOptions, redis: SimulatedRedis, clock: Clock, random: Random) {
    this.#wallAheadMs = (random() - 0.5) * 1_800_000;
    const own: Clock = {
      now: () => clock.now(),
      wall: () => clock.wall() + this.#wallAheadMs,
      schedule: (ms, run) =>
        clock.schedule(ms, () => {
          if (!this.isDead) run();
        }),
    };
    this.port = redis.connect();
    const store = makeStore(plant.port?.(this.port) ?? this.port, own, random);
    const options: CacheOptions = {
      name: 'simulated',
      clock: own,
      random,
      store: plant.store?.(store) ?? store,
      ttl: ['500ms', '5s', '1h'][Math.floor(random() * 3)] as '5s',
      staleWindow: staleWindowMs,
      hardTimeout: hardTimeoutMs,
      ...(random() < 0.5 ? { grace: '1h' as const } : {}),
      ...(random() < 0.3 ? { staleWhileRevalidate: '1s' as const } : {}),
      ...(random() < 0.3 ? { earlyRefresh: true } : {}),
      ...(random() < 0.3 ? { maxEntries: 1 } : {}),
      ...plant.options,
    };
    this.cache = createCache(options);
  }

  stepWall(ms: number): void {
    this.#wallAheadMs += ms;
  }

  die(): void {
    this.isDead = true;
    this.port.cut();
    void this.port.close();
  }
}

/** Random processes, on a random network, before a random server: a day of it is one seed. */
export class ClusterSimulation {
  /** What was done, by its name. */
  readonly seen = new Map<string, number>();
  readonly #options: ClusterOptions;
  readonly #random: Random;
  readonly #clock = new SimulatedClock();
  readonly #redis: SimulatedRedis;
  readonly #truth = new Truth();
  readonly #nodes: Node[];
  readonly #log: string[] = [];
  readonly #underWay = new Set<{ readonly node: Node; readonly what: string }>();
  #violation: string | undefined;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#redis = new SimulatedRedis({ clock: this.#clock, random: this.#random, servers: options.weather.servers });
    const count = 2 + Math.floor(this.#random() * 3);
    this.#nodes = Array.from({ length: count }, () => this.#newNode());
  }

  /** @throws Error that names the seed, what was wrong, and what led to it */
  async run(): Promise<void> {
    await this.#until(100);
    const busyMs = 5 + this.#random() * 150;
    const wrongs = this.#options.weather.faults ? 0.1 * this.#random() ** 2 : 0;
    while (this.#clock.now() < runMs && !this.#violation) {
      await this.#until(this.#clock.now() + this.#random() * busyMs);
      if (this.#chance(wrongs)) this.#goWrong();
      else this.#call(this.#pick(this.#nodes));
    }
    await this.#recover();
    if (this.#violation)
      throw new Error(`Seed ${this.#options.seed}: ${this.#violation}\n${this.#log.slice(-80).join('\n')}`);
  }

  /** When all is well again everything that was deferred is told, everybody is answered, and nobody gets what is old. */
  async #recover(): Promise<void> {
    for (const server of this.#redis.servers) {
      server.isFull = false;
      server.thaw();
      if (!server.isAnswering) server.restart({ commands: 0 });
    }
    for (const node of this.#nodes) node.port.faults = noFaults;
    await this.#until(this.#clock.now() + longestCallMs + recoveryMs);
    const hanging = [...this.#underWay].filter(({ node }) => !node.isDead).map(({ what }) => what);
    if (hanging.length > 0) this.#fail(`These calls have not come back: ${hanging.join(', ')}`);
    for (const node of this.#nodes) this.#truth.acknowledgeAll(node);
    for (const node of this.#nodes) for (const key of keys) void this.#read(node, key, 'resolve');
    await this.#until(this.#clock.now() + 5_000);
  }

  #newNode(): Node {
    const node = new Node(this.#options, this.#redis, this.#clock, this.#random);
    if (this.#options.weather.faults) this.#shake(node);
    return node;
  }

  /** The network of a node changes: for the better or for the worse. */
  #shake({ port }: Node): void {
    const isBad = this.#chance(0.5);
    const rate = (most: number): number => (isBad && this.#chance(0.5) ? this.#random() * most : 0);
    port.faults = {
      ...port.faults,
      delayMs: isBad && this.#chance(0.3) ? [1, 80] : [0.2, 2],
      fails: rate(0.2),
      hangs: rate(0.1),
      cuts: rate(0.05),
      loses: rate(0.5),
      duplicates: rate(0.3),
      delays: rate(0.3),
      unawareMs: isBad && this.#chance(0.3) ? [0, 5_000] : [0, 0],
    };
  }

  #goWrong(): void {
    const node = this.#pick(this.#nodes);
    const server = this.#pick(this.#redis.servers);
    const { losses } = this.#options.weather;
    const faults: Record<string, () => void> = {
      shake: () => this.#shake(node),
      cut: () => node.port.cut(this.#pick(['commands', 'messages', 'all'] as const)),
      'clock of a node': () => node.stepWall((this.#random() - 0.5) * 600_000),
      'clock of the server': () => {
        server.aheadMs += (this.#random() - 0.5) * 20_000;
      },
      death: () => {
        // Whoever alone knows of what a server has lost must not die before it is told again.
        if (losses) return;
        node.die();
        this.#nodes[this.#nodes.indexOf(node)] = this.#newNode();
      },
      freeze: () => {
        server.freeze();
        this.#clock.schedule(this.#random() * 6_000, () => server.thaw());
      },
      full: () => {
        server.isFull = true;
        this.#clock.schedule(this.#random() * 5_000, () => {
          server.isFull = false;
        });
      },
      evict: () => server.evict(1 + Math.floor(this.#random() * 5)),
      'restart empty': () => server.restart('everything'),
      outage: () => {
        server.crash();
        this.#clock.schedule(this.#random() * 6_000, () => server.restart({ commands: 0 }));
      },
      ...(losses
        ? {
            'restart older': () => {
              server.restart({ commands: 1 + Math.floor(this.#random() * 20) });
              this.#truth.forgive();
            },
          }
        : {}),
    };
    const name = this.#pick(Object.keys(faults));
    this.#say(name);
    faults[name]?.();
  }

  #call(node: Node): void {
    const key = this.#pick(keys);
    const roll = this.#random();
    if (roll < 0.85) void this.#read(node, key, this.#pick(['resolve', 'resolve', 'get', 'peek', 'many'] as const));
    else void this.#invalidate(node, key, this.#pick(['delete', 'expire', 'tags', 'tags', 'clear', 'set'] as const));
  }

  async #read(node: Node, key: (typeof keys)[number], way: 'resolve' | 'get' | 'peek' | 'many'): Promise<void> {
    const { cache } = node;
    const asked: Asked = { node, way, at: this.#clock.now() };
    const fails = this.#chance(0.1);
    const isTaggedLate = this.#chance(0.5);
    const computeMs = this.#chance(0.8) ? this.#random() * 300 : this.#random() * 3_000;
    const tags = (of: string): string[] => [`tag ${of}`, 'all'];
    const make = async (some: readonly string[], addTags: (...tags: string[]) => void): Promise<Version[]> => {
      const versions = some.map((each) => this.#truth.of(each));
      await new Promise<void>((resolve) => this.#clock.schedule(computeMs, resolve));
      if (fails) throw new Error('no luck');
      if (isTaggedLate) addTags(...some.flatMap(tags));
      return versions;
    };
    const early = (of: string) => (isTaggedLate ? {} : { tags: tags(of) });
    await this.#finish(node, `${way} ${key}`, async () => {
      if (way === 'peek') {
        const value = cache.peek<Version>(key);
        if (value) this.#check(asked, key, value, 'memory', false);
      } else if (way === 'get') {
        const result = await cache.get<Version>(key);
        if (result) this.#check(asked, key, result.value, result.level, result.stale !== false);
      } else if (way === 'resolve') {
        const call = { ...early(key), ...(this.#chance(0.1) ? { signal: this.#leaving() } : {}) };
        const result = await cache.resolve(key, async ({ addTags }) => (await make([key], addTags))[0], call);
        if (result.value) this.#check(asked, key, result.value, result.level, result.stale !== false);
      } else {
        const values = await cache.getOrSetMany(keys, (some, { addTags }) => make(some, addTags), {
          tags: isTaggedLate ? [] : keys.flatMap(tags),
        });
        for (const [index, of] of keys.entries()) {
          const value = values[index];
          if (value) this.#check(asked, of, value, 'memory', true); // it may have come from anywhere
        }
      }
    });
  }

  async #invalidate(
    node: Node,
    key: (typeof keys)[number],
    way: 'delete' | 'expire' | 'tags' | 'clear' | 'set',
  ): Promise<void> {
    const { cache } = node;
    const tag = this.#chance(0.8) ? `tag ${key}` : 'all';
    const meant = way === 'clear' || (way === 'tags' && tag === 'all') ? keys : [key];
    const calledAt = this.#clock.now();
    if (way === 'set') {
      const value = { ...this.#truth.of(key), newUntil: calledAt + (this.#options.weather.faults ? lateMs : soonMs) };
      return this.#finish(node, `set ${key}`, () => cache.set(key, value, { tags: [`tag ${key}`, 'all'] }));
    }
    const acknowledge = this.#truth.change(node, meant, way === 'expire' ? 'soft' : 'hard', calledAt);
    await this.#finish(node, `${way} ${meant}`, async () => {
      const ways = {
        delete: () => cache.delete(key),
        expire: () => cache.expire(key),
        tags: () => cache.invalidateTags([tag]),
        clear: () => cache.clear(),
      };
      const { deferred } = await ways[way]();
      if (this.#clock.now() > calledAt + 51) this.#fail(`${way} took ${this.#clock.now() - calledAt} ms`);
      if (!deferred) acknowledge(this.#clock.now());
      this.#say(`${way} ${deferred ? 'deferred' : 'acknowledged'}`);
    });
  }

  /** Whoever is called has to come back; the errors of computations and of those who left are answers. */
  async #finish(node: Node, what: string, run: () => Promise<unknown>): Promise<void> {
    this.#log.push(`${Math.round(this.#clock.now())} node ${this.#nodes.indexOf(node)}: ${what}`);
    const call = { node, what };
    this.#underWay.add(call);
    try {
      await run();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== 'no luck' && reason !== 'enough') this.#fail(`${what} has failed: ${reason}`);
    }
    this.#underWay.delete(call);
  }

  #check({ node, way, at }: Asked, key: string, value: Version, level: CacheLevel, isStale: boolean): void {
    this.#say(`${level}${isStale ? ' stale' : ''}`);
    this.#log.push(`${Math.round(this.#clock.now())}   got ${JSON.stringify(value)} from ${level}`);
    // What stands in may be the outcome of somebody else's call, which does not show.
    const isExact = !isStale && (level === 'computed' || level === 'store');
    const { hard, soft } = this.#truth.leastOf(value, node, at, isExact ? 0 : staleWindowMs + noticedWithinMs);
    if (value.key === key && value.hard >= hard && (isStale || value.soft >= soft)) return;
    const least = JSON.stringify({ hard, soft });
    this.#fail(
      `${way} ${key}, asked at ${at}, gave ${JSON.stringify(value)} from ${level}${isStale ? ', stale' : ''}, and not at least ${least}`,
    );
  }

  #leaving(): AbortSignal {
    const controller = new AbortController();
    this.#clock.schedule(this.#random() * 200, () => controller.abort(new Error('enough')));
    return controller.signal;
  }

  #until(at: number): Promise<void> {
    return this.#clock.runUntil(at);
  }

  #fail(violation: string): void {
    this.#violation ??= violation;
  }

  #say(name: string): void {
    this.#seen(name);
    this.#log.push(`${Math.round(this.#clock.now())} ${name}`);
  }

  #seen(name: string): void {
    this.seen.set(name, (this.seen.get(name) ?? 0) + 1);
  }

  #chance(of: number): boolean {
    return this.#random() < of;
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }
}
