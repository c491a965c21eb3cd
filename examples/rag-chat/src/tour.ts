import { readEvents } from './sse.js';

/** One question of the tour, as its asker saw it. */
interface TourRow {
  readonly question: string;
  /** How it was asked: streamed, in one piece, or several times at once. */
  readonly how: 'stream' | 'json' | 'at once';
  readonly repeated: boolean;
  readonly layer: string;
  readonly model: string;
  /** Measured by the asker, network included; a JSON answer has no first chunk of its own. */
  readonly firstChunkMs: number;
  readonly totalMs: number;
  readonly sources: number;
}

export interface TourOutcome {
  readonly rows: readonly TourRow[];
  /** Why the tour did not go as it should, one sentence each. */
  readonly failures: readonly string[];
}

interface Cited {
  readonly passage: string;
  readonly quote?: string;
}

interface Reply {
  readonly layer: string;
  readonly model: string;
  readonly citations: readonly Cited[];
  readonly firstChunkMs: number;
  readonly totalMs: number;
}

export interface TourPlan {
  /** Each is asked once, streamed. */
  readonly questions: readonly string[];
  /** Asked by several people at the same moment, before anybody else. */
  readonly together: string;
  /** The model that is meant to answer, where another one may stand in for it. */
  readonly model?: string;
}

const people = 3;
const cacheLayers = new Set(['memory', 'store', 'shared']);
/** For the documentation that is installed with the project. */
export const installedPlan: TourPlan = {
  questions: [
    'What is the default keepAliveTimeout of a Client?',
    'How do I mock a request in tests?',
    'What does RetryAgent do?',
    'How can I send requests through a proxy?',
    'How many redirects does the redirect interceptor follow?',
    'Does undici support HTTP/2?',
  ],
  together: 'How do I abort a request?',
};

/** For any other documents; there must be at least one question. */
export function planOf(suggestions: readonly string[]): TourPlan {
  const questions = suggestions.length > 1 ? suggestions.slice(0, -1) : suggestions;
  return { questions, together: suggestions.at(-1) ?? '' };
}

/**
 * Asks a running application through HTTP, in order: every question, two of them again, one by three people at once.
 * @param signal ends the tour where it is; what it gives back is then worth nothing
 */
export async function runTour(url: string, plan: TourPlan, signal?: AbortSignal): Promise<TourOutcome> {
  const rows: TourRow[] = [];
  const failures: string[] = [];
  const [first = '', second = first] = plan.questions;

  async function ask(question: string, how: TourRow['how'], repeated: boolean): Promise<void> {
    if (signal?.aborted) return;
    try {
      const reply = await (how === 'json' ? askWhole : askStreamed)(url, question, signal);
      rows.push({ question, how, repeated, ...reply, sources: reply.citations.length });
      if (!(await isFromDocuments(url, reply.citations)))
        failures.push(`"${question}" was not answered from the documents.`);
    } catch (error) {
      failures.push(`"${question}" failed: ${error instanceof Error ? error.message : error}`);
    }
  }

  for (const question of plan.questions) await ask(question, 'stream', false);
  await ask(first, 'stream', true);
  await ask(second, 'json', true);
  await Promise.all(Array.from({ length: people }, () => ask(plan.together, 'at once', false)));
  await ask(plan.together, 'stream', true);

  const { model: meant } = plan;
  const standsIn = (row: TourRow): boolean => meant !== undefined && row.layer === 'model' && row.model !== meant;
  const standIns = [...new Set(rows.filter(standsIn).map(({ model }) => model))];
  if (standIns.length > 0) {
    failures.push(
      `${meant} did not answer: ${standIns.join(' and ')} stood in for it, and such answers are not kept. The lines above the table say why.`,
    );
  }
  for (const row of rows) {
    if (row.repeated && !cacheLayers.has(row.layer) && !standsIn(row)) {
      failures.push(`"${row.question}" was asked again and came from the ${row.layer}, not from the cache.`);
    }
  }
  const asked = rows.filter((row) => row.how === 'at once');
  const computed = asked.filter((row) => !cacheLayers.has(row.layer) && !standsIn(row)).length;
  if (computed > 1)
    failures.push(`"${plan.together}" was asked ${people} times at once and computed ${computed} times.`);
  return { rows, failures };
}

/** The table, what the cache saved, and what went wrong. */
export function printTour({ rows, failures }: TourOutcome, print: (line: string) => void): void {
  const cells = rows.map((row) => [
    row.question + { stream: '', json: ' (JSON)', 'at once': ` (1 of ${people} at once)` }[row.how],
    answeredBy(row),
    row.how === 'json' ? '-' : milliseconds(row.firstChunkMs),
    milliseconds(row.totalMs),
    String(row.sources),
  ]);
  const header = ['Question', 'Answered by', 'First chunk', 'Total', 'Sources'];
  for (const line of table([header, ...cells])) print(line);
  print('');
  print(savings(rows));
  for (const failure of failures) print(`Failed: ${failure}`);
}

function answeredBy({ layer, model }: TourRow): string {
  switch (layer) {
    case 'model':
      return `model (${model})`;
    case 'shared':
      return 'shared (one computation)';
    case 'memory':
      return 'cache (memory)';
    case 'store':
      return 'cache (store)';
    default:
      return layer;
  }
}

function savings(rows: readonly TourRow[]): string {
  const spared = rows.filter((row) => cacheLayers.has(row.layer));
  const kept = spared.filter((row) => row.layer !== 'shared' && row.how !== 'json');
  const computed = rows.filter((row) => row.layer === 'model');
  const calls = `The cache spared ${spared.length} of ${rows.length} model calls`;
  if (kept.length === 0 || computed.length === 0) return `${calls}.`;
  const model = milliseconds(median(computed.map((row) => row.totalMs)));
  const cache = milliseconds(median(kept.map((row) => row.totalMs)));
  return `${calls}; a new answer took ${model}, a kept one ${cache} (medians, through HTTP).`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Texts to the left, numbers (from the third column on) to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('   ')
      .trimEnd(),
  );
  return [lines[0] ?? '', widths.map((width) => '─'.repeat(width)).join('   '), ...lines.slice(1)];
}

function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

async function askStreamed(url: string, question: string, signal: AbortSignal | undefined): Promise<Reply> {
  const startedAt = performance.now();
  const response = await post(url, question, 'text/event-stream', signal);
  let firstChunkMs: number | undefined;
  let outcome: Outcome | undefined;
  for await (const { event, data } of readEvents(response.body ?? emptyBody())) {
    if (event === 'text') firstChunkMs ??= performance.now() - startedAt;
    else if (event === 'done') outcome = data as Outcome;
    else if (event === 'error') throw new Error((data as { detail?: string }).detail ?? 'the stream ended in an error');
  }
  if (!outcome) throw new Error('the stream ended before the answer was complete');
  const totalMs = performance.now() - startedAt;
  const { layer, model, citations } = outcome;
  return { layer, model, citations, firstChunkMs: firstChunkMs ?? totalMs, totalMs };
}

async function askWhole(url: string, question: string, signal: AbortSignal | undefined): Promise<Reply> {
  const startedAt = performance.now();
  const response = await post(url, question, 'application/json', signal);
  const { layer, model, citations } = (await response.json()) as Outcome;
  const totalMs = performance.now() - startedAt;
  return { layer, model, citations, firstChunkMs: totalMs, totalMs };
}

type Outcome = Pick<Reply, 'layer' | 'model' | 'citations'>;

function emptyBody(): ReadableStream<Uint8Array> {
  return new Blob([]).stream();
}

async function post(url: string, question: string, accept: string, signal: AbortSignal | undefined): Promise<Response> {
  const response = await fetch(`${url}/api/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ question }),
    ...(signal ? { signal } : {}),
  });
  if (response.ok) return response;
  throw new Error(`status ${response.status}: ${(await response.text()).slice(0, 300)}`);
}

/**
 * Answered from the documents means: at least one citation names a passage that is there, and what it quotes, if it
 * quotes, stands in it word for word. Language models name passages without quoting them.
 */
async function isFromDocuments(url: string, citations: readonly Cited[]): Promise<boolean> {
  for (const { passage, quote } of citations) {
    const response = await fetch(`${url}/api/passages/${encodeURIComponent(passage)}`);
    if (!response.ok) continue;
    const { text } = (await response.json()) as { text: string };
    if (quote === undefined || text.includes(quote)) return true;
  }
  return false;
}
