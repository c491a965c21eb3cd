import { readFile } from 'node:fs/promises';
import { type Outcome, rounded } from '#harness';
import { Account } from '../packages/core/dist/limiter/account.js';
import { Estimates } from '../packages/core/dist/limiter/feedback/estimates.js';

/** An hour of two services at Azure: when requests came, and how many tokens they had. It is not ours to pass on. */
const folder = new URL('../../shared/data/azure-llm-2023/', import.meta.url);
/** What the calls say that they generate at most; the traces do not tell, so the next power of two above what they did. */
const maxTokens = { conv: 1_024, code: 2_048 } as const;

const windowMs = 60_000;
/** The limit is this part of what is asked for on average, so that somebody always waits. */
const limitPart = 0.5;
const firstTokenMs = 300;
const perTokenMs = 20;

interface Call {
  readonly atMs: number;
  readonly input: number;
  readonly output: number;
}

/** One way to keep the limit. */
interface Keeper {
  /** @returns how long to wait, 0 when the call is let through */
  admit(call: Call, now: number): number;
  finish(call: Call, startedAt: number, now: number): void;
}

interface Started {
  readonly call: Call;
  readonly at: number;
}

interface Replayed {
  readonly started: readonly Started[];
  /** How long somebody waited, and what was let through out of the queue in that time. */
  readonly saturatedMs: number;
  readonly saturatedTokens: number;
}

/**
 * Replays both traces in virtual time with half of the tokens per minute that they ask for, queueing first in, first out.
 * `overshootPct` is how far above the limit the fullest minute was, wherever it begins, by the tokens really used, each call
 * counted when it starts; `usablePct` what was let through while somebody waited, in percent of the quota of that time.
 */
export async function limiterReplay(): Promise<Outcome> {
  const values: Record<string, number> = {};
  let [worstOvershoot, worstUsable] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const name of ['conv', 'code'] as const) {
    const calls = await readTrace(name);
    if (!calls) {
      console.log(
        `The traces are left out: there is no ../shared/data/azure-llm-2023/${name}.csv beside the repository.`,
      );
      return { ratios: {}, values: {} };
    }
    const limit = limitFor(calls);
    console.log(`${name}: ${calls.length} calls, ${limit} tokens a minute`);
    for (const [way, keeper] of Object.entries(keepersOf(limit, calls, maxTokens[name]))) {
      const { overshootPct, usablePct } = judged(replay(calls, keeper), limit);
      values[`replay.${name}.${way}.overshootPct`] = overshootPct;
      values[`replay.${name}.${way}.usablePct`] = usablePct;
      console.log(`  ${way.padEnd(16)} overshoot ${overshootPct.toFixed(2)} %, usable ${usablePct.toFixed(2)} %`);
      if (way !== 'learned') continue;
      worstOvershoot = Math.max(worstOvershoot, overshootPct);
      worstUsable = Math.min(worstUsable, usablePct);
    }
  }
  return { ratios: {}, values: { 'replay.overshootPct': worstOvershoot, 'replay.usablePct': worstUsable, ...values } };
}

async function readTrace(name: string): Promise<Call[] | undefined> {
  try {
    const text = await readFile(new URL(`${name}.csv`, folder), 'utf8');
    return text
      .trim()
      .split(/\r?\n/)
      .slice(1)
      .map((row) => {
        const [time = '', input, output] = row.split(',');
        const atMs = Date.parse(`${time.slice(0, 19).replace(' ', 'T')}Z`) + Number(time.slice(19)) * 1_000;
        return { atMs, input: Number(input), output: Number(output) };
      });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function limitFor(calls: readonly Call[]): number {
  const spanMs = (calls.at(-1)?.atMs ?? 0) - (calls[0]?.atMs ?? 0);
  const tokens = calls.reduce((sum, { input, output }) => sum + input + output, 0);
  return Math.round((limitPart * tokens * windowMs) / spanMs / 1_000) * 1_000;
}

function keepersOf(limit: number, calls: readonly Call[], max: number): Record<string, Keeper> {
  const mean = Math.round(calls.reduce((sum, { output }) => sum + output, 0) / calls.length);
  return {
    learned: learned(limit, max),
    'fixed.max': fixed(limit, max),
    'fixed.mean': fixed(limit, mean),
    checkThenCharge: checkThenCharge(limit),
  };
}

function accountOf(limit: number): Account {
  return new Account([{ kind: 'window', name: 'tokens/1m', unit: 'tokens', limit, windowMs, burst: undefined }]);
}

/** Ours: reserves the input and what is expected of the output, and settles at what it was. */
function learned(limit: number, max: number): Keeper {
  const account = accountOf(limit);
  const estimates = new Estimates();
  const reserved = new Map<Call, number>();
  return {
    admit(call, now) {
      const amount = call.input + estimates.expected('trace', { max });
      const { waitMs } = account.take([amount], now, now);
      if (waitMs === 0) reserved.set(call, amount);
      return waitMs;
    },
    finish(call, startedAt, now) {
      const owed = call.input + call.output - (reserved.get(call) ?? 0);
      reserved.delete(call);
      if (owed > 0) account.charge([owed], now, now);
      else account.refund([-owed], startedAt, startedAt, now, now);
      estimates.learn('trace', call.output, { max });
    },
  };
}

/** The same estimate for every call, and never looking back. */
function fixed(limit: number, output: number): Keeper {
  const account = accountOf(limit);
  return {
    admit: ({ input }, now) => account.take([input + output], now, now).waitMs,
    finish() {},
  };
}

/** Lets calls through while there is anything left, and charges what they have used once that is known. */
function checkThenCharge(limit: number): Keeper {
  const account = accountOf(limit);
  return {
    admit: (_, now) => account.look([1], now, now).waitMs,
    finish: ({ input, output }, _, now) => account.charge([input + output], now, now),
  };
}

/** Goes from one instant at which anything can change to the next: an arrival, the end of a call, the end of a wait. */
function replay(calls: readonly Call[], keeper: Keeper): Replayed {
  const ends = new Ends();
  const started: Started[] = [];
  let [saturatedMs, saturatedTokens, arrived] = [0, 0, 0];
  let now = calls[0]?.atMs ?? 0;
  let waitUntil = Number.POSITIVE_INFINITY;
  while (started.length < calls.length) {
    for (let end = ends.takeUntil(now); end; end = ends.takeUntil(now)) keeper.finish(end.call, end.at, now);
    while ((calls[arrived]?.atMs ?? Number.POSITIVE_INFINITY) <= now) arrived++;
    waitUntil = Number.POSITIVE_INFINITY;
    while (started.length < arrived) {
      const call = calls[started.length] as Call;
      const waitMs = keeper.admit(call, now);
      if (waitMs > 0) {
        waitUntil = now + waitMs;
        break;
      }
      started.push({ call, at: now });
      ends.add({ call, at: now });
      if (call.atMs < now) saturatedTokens += call.input + call.output;
    }
    const next = Math.min(calls[arrived]?.atMs ?? Number.POSITIVE_INFINITY, ends.next, waitUntil);
    if (started.length < arrived) saturatedMs += next - now;
    now = next;
  }
  return { started, saturatedMs, saturatedTokens };
}

/** The calls under way, by when they end. */
class Ends {
  readonly #calls: Started[] = [];

  get next(): number {
    const first = this.#calls.at(-1);
    return first ? endOf(first) : Number.POSITIVE_INFINITY;
  }

  /** Kept in order, the next one last. */
  add(started: Started): void {
    let [low, high] = [0, this.#calls.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (endOf(this.#calls[middle] as Started) > endOf(started)) low = middle + 1;
      else high = middle;
    }
    this.#calls.splice(low, 0, started);
  }

  takeUntil(now: number): Started | undefined {
    return this.next <= now ? this.#calls.pop() : undefined;
  }
}

function endOf({ call, at }: Started): number {
  return at + firstTokenMs + perTokenMs * call.output;
}

function judged({ started, saturatedMs, saturatedTokens }: Replayed, limit: number): Judgement {
  let [inWindow, most, oldest] = [0, 0, 0];
  for (const { call, at } of started) {
    inWindow += call.input + call.output;
    for (let first = started[oldest]; first && first.at <= at - windowMs; first = started[++oldest]) {
      inWindow -= first.call.input + first.call.output;
    }
    most = Math.max(most, inWindow);
  }
  return {
    overshootPct: rounded(Math.max(0, (100 * (most - limit)) / limit)),
    usablePct: rounded((100 * saturatedTokens * windowMs) / (limit * saturatedMs)),
  };
}

interface Judgement {
  readonly overshootPct: number;
  readonly usablePct: number;
}
