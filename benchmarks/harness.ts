/** One thing to measure, and the peer that does the same in the same run, if there is one. */
export interface Contest {
  /** `ours/peer`, as the ratio is called, or the name of a value in nanoseconds when there is no peer. */
  readonly name: string;
  readonly ours: Task;
  readonly peer?: Task;
  /** How much work one call does, to print what one unit costs: kilobytes, items. Default 1. */
  readonly units?: number;
  /** What counts: the work of this thread (default), or the time on the wall, where another process works for it. */
  readonly by?: 'work' | 'wall';
}

/**
 * One call of what is measured. What it gives back is kept alive, so that no compiler may leave the work out. What it
 * does on other threads, and how long it waits for anything, does not count.
 */
export type Task = () => unknown;

export interface Measured {
  readonly name: string;
  /** Median time of one unit, in nanoseconds. */
  readonly oursNs: number;
  readonly peerNs?: number;
  /** Our median over the peer's: below 1 we are faster. */
  readonly ratio?: number;
}

/** What a benchmark answers: the ratios are ours over the peer's, the values are in the unit of their name. */
export interface Outcome {
  readonly ratios: Readonly<Record<string, number>>;
  readonly values: Readonly<Record<string, number>>;
}

const warmUpRounds = 5;
const rounds = 31;
const roundMs = 15;

/** Results go here, where no compiler can prove that nobody reads them. */
const sink: { last: unknown } = { last: undefined };

/**
 * Measures both sides in rounds that alternate, so that a slow moment of the machine hits both. Each round repeats the
 * call for about 15 ms; what counts is the median of 31 rounds, after five that count for nothing. Time is what this
 * thread has worked, its garbage collection included: where other processes are as busy as this one, the ratio of two
 * times on the wall is off by a factor of up to three.
 */
export async function measure(contest: Contest): Promise<Measured> {
  const { name, ours, peer, units = 1, by = 'work' } = contest;
  const clock = by === 'wall' ? () => performance.now() : workedMs;
  const sides = [ours, ...(peer ? [peer] : [])].map((task) => ({ task, repeats: 1, times: [] as number[] }));
  for (const side of sides) side.repeats = await repeatsFor(side.task, clock);
  for (let round = -warmUpRounds; round < rounds; round++) {
    const order = round % 2 === 0 ? sides : sides.toReversed();
    for (const side of order) {
      const tookMs = await timeOf(side.task, side.repeats, clock);
      if (round >= 0) side.times.push((tookMs * 1e6) / side.repeats / units);
    }
  }
  const [oursNs = Number.NaN, peerNs] = sides.map((side) => median(side.times));
  return { name, oursNs, ...(peerNs === undefined ? {} : { peerNs, ratio: oursNs / peerNs }) };
}

/** Doubles the repeats until a round lasts long enough for the clock not to matter. */
async function repeatsFor(task: Task, clock: () => number): Promise<number> {
  for (let repeats = 1; ; repeats *= 2) {
    if ((await timeOf(task, repeats, clock)) >= roundMs) return repeats;
  }
}

async function timeOf(task: Task, repeats: number, clock: () => number): Promise<number> {
  const start = clock();
  for (let call = 0; call < repeats; call++) {
    const result = task();
    // Awaiting what is no promise would cost a turn of the queue that the task itself does not take.
    sink.last = result instanceof Promise ? await result : result;
  }
  return clock() - start;
}

/** Linux gives a thread's time in steps of 4 ms, but to the microsecond right after that of its process was read. */
function workedMs(): number {
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** The ratios of all contests that have a peer. */
export function ratiosOf(measured: readonly Measured[]): Record<string, number> {
  return Object.fromEntries(
    measured.flatMap(({ name, ratio }) => (ratio === undefined ? [] : [[name, rounded(ratio)] as const])),
  );
}

export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Prints a table whose columns line up: names to the left, numbers to the right. */
export function printTable(measured: readonly Measured[]): void {
  const rows = measured.map((each) => [each.name, time(each.oursNs), time(each.peerNs), ratio(each.ratio)]);
  const table = [['', 'ours', 'peer', 'ours/peer'], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('   ').trimEnd());
  }
}

function time(ns: number | undefined): string {
  if (ns === undefined) return '';
  if (ns >= 1e6) return `${(ns / 1e6).toFixed(2)} ms`;
  return ns >= 1e3 ? `${(ns / 1e3).toFixed(2)} µs` : `${ns.toFixed(1)} ns`;
}

function ratio(value: number | undefined): string {
  return value === undefined ? '' : value.toFixed(2);
}
