/** How often the source of a key had changed when a value was made of it. */
export interface Version {
  readonly key: string;
  /** Changes that were made known in a way that forgets what was kept. */
  readonly hard: number;
  /** And by `expire`, which lets what was kept stand in. */
  readonly soft: number;
  /** Of a value that was set by hand: it counts as new for as long as it may take to reach the store. */
  readonly newUntil?: number;
}

type Counts = Pick<Version, 'hard' | 'soft'>;

/** One change, as whoever is told of it knows it. */
interface Change extends Counts {
  readonly calledAt: number;
  /** By whom, until somebody has lost it. */
  readonly node: object;
  acknowledgedAt: number;
}

/** The whole truth about the sources, and about who knows of it. */
export class Truth {
  readonly #versions = new Map<string, Counts>();
  readonly #changes = new Map<string, Change[]>();

  of(key: string): Version {
    return { key, ...(this.#versions.get(key) ?? { hard: 0, soft: 0 }) };
  }

  /** @returns what to do once it is acknowledged */
  change(node: object, keys: readonly string[], kind: keyof Counts, now: number): (at: number) => void {
    const changes = keys.map((key) => {
      const { hard, soft } = this.of(key);
      const version = { hard: kind === 'hard' ? hard + 1 : hard, soft: soft + 1 };
      this.#versions.set(key, version);
      // An expiry says nothing of what others are about to forget.
      const meant = kind === 'hard' ? version : { hard: 0, soft: version.soft };
      const change: Change = { ...meant, calledAt: now, node, acknowledgedAt: Number.POSITIVE_INFINITY };
      this.#changes.set(key, [...(this.#changes.get(key) ?? []), change]);
      return change;
    });
    return (at) => {
      for (const change of changes) change.acknowledgedAt = at;
    };
  }

  /** A server has lost what it had acknowledged: until it was told again only those are bound by it who have called for it. */
  forgive(): void {
    for (const change of this.#all()) change.acknowledgedAt = Number.POSITIVE_INFINITY;
  }

  /** Everything that the node has called for has been told for long. */
  acknowledgeAll(node: object): void {
    for (const change of this.#all()) if (change.node === node) change.acknowledgedAt = Number.NEGATIVE_INFINITY;
  }

  /**
   * What a value that a node reads must not be older than, if it asked at `askedAt`: what the node itself has called for by
   * then, and what was acknowledged to others a while before.
   */
  leastOf(value: Version, node: object, askedAt: number, windowMs: number): Counts {
    const { newUntil = Number.NEGATIVE_INFINITY } = value;
    const least = { hard: 0, soft: 0 };
    for (const change of this.#changes.get(value.key) ?? []) {
      const isKnown = change.node === node ? change.calledAt < askedAt : change.acknowledgedAt <= askedAt - windowMs;
      if (!isKnown || change.calledAt <= newUntil) continue;
      least.hard = Math.max(least.hard, change.hard);
      least.soft = Math.max(least.soft, change.soft);
    }
    return least;
  }

  *#all(): Generator<Change> {
    for (const changes of this.#changes.values()) yield* changes;
  }
}
