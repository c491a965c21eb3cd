import type { Clock } from '../kernel/index.js';
import type { Amounts, Dimension, Verdict } from './dimensions.js';
import { AdaptiveRate, type AdaptiveRateOptions } from './feedback/adaptive-rate.js';
import { ProviderClamp } from './feedback/provider-clamp.js';
import { readProviderHeaders } from './feedback/provider-headers.js';
import type { ProviderAnswer } from './limiter-types.js';
import type { RateChange } from './status.js';

export interface ProviderFeedbackOptions {
  readonly dimensions: readonly Dimension[];
  /** False: the rate stays as it is. */
  readonly adaptive: false | AdaptiveRateOptions;
  readonly clock: Clock;
  readonly onChange: ((change: Omit<RateChange, 'at'>) => void) | undefined;
  /** More is to be had than a moment ago. */
  readonly onFreed: (key: string) => void;
}

interface KeyFeedback {
  readonly rate: AdaptiveRate;
  readonly clamp: ProviderClamp;
  /** Whether somebody was refused or had to wait since the last answer. */
  isBusy: boolean;
  /** What the dimensions hold at this rate; undefined where that is their limits. */
  limits: Amounts | undefined;
}

/** Keys whose providers have answered; one that has not answered for longest is forgotten first, and starts anew. */
const mostKeys = 1_000;

/** "Too many requests", and "overloaded" as Anthropic says it. */
const rateStatuses: ReadonlySet<number> = new Set([429, 529]);

/** What providers have said about their limits, for each key that pays them. */
export class ProviderFeedback {
  readonly #options: ProviderFeedbackOptions;
  readonly #keys = new Map<string, KeyFeedback>();
  #lastChange: RateChange | undefined;

  constructor(options: ProviderFeedbackOptions) {
    this.#options = options;
  }

  /** Nothing was ever said, so there is nothing to ask. */
  get isSilent(): boolean {
    return this.#keys.size === 0;
  }

  /** The lowest of all keys. */
  get rate(): number {
    return Array.from(this.#keys.values()).reduce((lowest, { rate }) => Math.min(lowest, rate.factor), 1);
  }

  get lastChange(): RateChange | undefined {
    return this.#lastChange;
  }

  observe({ key = '', status, headers, sentAt }: ProviderAnswer): void {
    const { clock, adaptive } = this.#options;
    const now = clock.now();
    const known = this.#of(key);
    const isRateLimited = rateStatuses.has(status);
    const before = known.rate.factor;
    if (adaptive !== false) {
      if (isRateLimited) known.rate.onRateLimited(sentAt ?? now, now);
      else if (status >= 200 && status < 300) known.rate.onSuccess(sentAt ?? now, now, known.isBusy);
    }
    known.isBusy = false;
    if (headers || isRateLimited) {
      known.clamp.learn(readProviderHeaders(headers ?? {}, clock.wall()), {
        now,
        isRateLimited,
        ...(sentAt !== undefined && { sentAt }),
      });
    }
    if (known.rate.factor !== before) this.#change(known, before, isRateLimited ? `status ${status}` : 'success');
    this.#options.onFreed(key);
  }

  limitsOf(key: string): Amounts | undefined {
    return this.#keys.get(key)?.limits;
  }

  /** A refusal in the provider's name, without asking anybody; undefined where it has said nothing against it. */
  refusal(key: string, amounts: Amounts): Verdict | undefined {
    const clamp = this.#keys.get(key)?.clamp;
    if (!clamp) return undefined;
    const now = this.#options.clock.now();
    const waitsMs = amounts.map((amount, index) => clamp.blockedMs(index, amount, now));
    const waitMs = Math.max(...waitsMs);
    if (waitMs <= 0) return undefined;
    return {
      ok: false,
      binding: waitsMs.indexOf(waitMs),
      waitMs,
      remaining: waitsMs.map((ms, index) => (ms > 0 ? 0 : (this.#options.dimensions[index]?.limit ?? 0))),
      resetMs: waitsMs,
      waitsMs,
    };
  }

  onTaken(key: string, amounts: Amounts): void {
    this.#keys.get(key)?.clamp.onTake(amounts);
  }

  onHeldBack(key: string): void {
    const known = this.#keys.get(key);
    if (known) known.isBusy = true;
  }

  #of(key: string): KeyFeedback {
    const { dimensions, adaptive } = this.#options;
    const known = this.#keys.get(key) ?? {
      rate: new AdaptiveRate(adaptive === false ? {} : adaptive),
      clamp: new ProviderClamp(dimensions),
      isBusy: false,
      limits: undefined,
    };
    this.#keys.delete(key);
    this.#keys.set(key, known);
    if (this.#keys.size > mostKeys) {
      const [oldest = ''] = this.#keys.keys();
      this.#keys.delete(oldest);
    }
    return known;
  }

  #change(known: KeyFeedback, from: number, why: string): void {
    const { dimensions, clock, onChange } = this.#options;
    const to = known.rate.factor;
    known.limits = to === 1 ? undefined : dimensions.map((dimension) => reduced(dimension, to));
    this.#lastChange = { at: clock.wall(), from, to, why };
    onChange?.({ from, to, why });
  }
}

/** How much a day has is no question of the rate. */
function reduced(dimension: Dimension, rate: number): number {
  if (dimension.kind === 'calendar') return dimension.limit;
  return dimension.kind === 'window' ? dimension.limit * rate : Math.max(1, Math.floor(dimension.limit * rate));
}
