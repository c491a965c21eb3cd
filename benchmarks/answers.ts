import { readFile } from 'node:fs/promises';
import { seededRandom } from '@warmpath/core/kernel';
import { type ChatAnswer, extractive, type Passage } from '@warmpath/core/models';
import MiniSearch from 'minisearch';
import { type AskedQuestion, heldOut, outOfScope, outOfScopeHeldOut, tuned } from '#answer-questions';
import { fresh, freshSealed, third } from '#answer-questions-fresh';
import { type Outcome, rounded } from '#harness';
import { installedSources, readDocuments } from '../examples/rag-chat/dist/documents.js';
import { type DocumentPassage, splitPassages } from '../examples/rag-chat/dist/passages.js';
import { createRetrieval } from '../examples/rag-chat/dist/retrieval.js';

/** Stanford's question answering set, kept beside the repository: it is not ours to pass on. */
const squadFile = new URL('../../shared/data/squad-dev/dev.json', import.meta.url);
const squadSample = 1_000;
const squadSeed = 20_161_111;
const found = 6;

/** Are questions answered, from the right place, and are those that the documents do not cover declined? */
export async function answers(): Promise<Outcome> {
  const squad = await readSquad();
  if (!squad) console.log('SQuAD is left out: there is no ../shared/data/squad-dev/dev.json beside the repository.');
  const onOurs = await onDocuments(squad);
  const onTheirs = squad ? await onSquad(squad) : { ratios: {}, values: {} };
  const outcome = { ratios: onTheirs.ratios, values: { ...onOurs, ...onTheirs.values } };
  for (const [name, value] of Object.entries({ ...outcome.values, ...outcome.ratios })) {
    console.log(`${name.padEnd(38)} ${value}`);
  }
  return outcome;
}

const model = extractive();

interface Answered extends ChatAnswer {
  readonly passages: readonly DocumentPassage[];
  readonly retrievalMs: number;
  readonly extractiveMs: number;
}

type Ask = (question: string) => Promise<Answered>;

/** The way of a question through the chat application, without its cache and server. */
function askerOf(passages: readonly DocumentPassage[]): Ask {
  const retrieval = createRetrieval(passages);
  return async (question) => {
    const start = performance.now();
    const best = retrieval.search(question, found);
    const between = performance.now();
    const answer = await model.generate({
      messages: [{ role: 'user', content: question }],
      passages: best.map(toPassage),
    });
    const extractiveMs = performance.now() - between;
    return { ...answer, passages: best, retrievalMs: between - start, extractiveMs };
  };
}

function toPassage({ id, title, headings, text }: DocumentPassage): Passage {
  return { id, title, heading: headings.join(' › '), text };
}

/**
 * The default library of the chat: the documentation of undici and of this project. What an encyclopaedia's readers ask
 * is nothing that it could answer.
 */
async function onDocuments(squad: Squad | undefined): Promise<Record<string, number>> {
  const { documents } = await readDocuments(installedSources(), () => {});
  const ask = askerOf(documents.flatMap(splitPassages));
  const strangers = squad ? sampled(squad.questions, squadSample / 2).map(({ question }) => question) : [];
  const accepted = await shareOf(tuned, async (asked) => accepts(asked, await ask(asked.question)));
  const acceptedHeldOut = await shareOf(heldOut, async (asked) => accepts(asked, await ask(asked.question)));
  const acceptedFresh = await shareOf(fresh, async (asked) => accepts(asked, await ask(asked.question)));
  const acceptedSealed = await shareOf(freshSealed, async (asked) => accepts(asked, await ask(asked.question)));
  const acceptedThird = await shareOf(third, async (asked) => accepts(asked, await ask(asked.question)));
  const declines = async (question: string): Promise<boolean> => (await ask(question)).citations.length === 0;
  // After those above, so that what is timed is warm.
  const times: number[] = [];
  for (const { question } of tuned) {
    const { retrievalMs, extractiveMs } = await ask(question);
    times.push(retrievalMs + extractiveMs);
  }
  return {
    'docs.accepted': accepted,
    'docs.heldOut': acceptedHeldOut,
    'docs.fresh': acceptedFresh,
    'docs.freshSealed': acceptedSealed,
    'docs.third': acceptedThird,
    declined: await shareOf(outOfScope, declines),
    'declined.heldOut': await shareOf(outOfScopeHeldOut, declines),
    ...(strangers.length > 0 ? { 'declined.squad': await shareOf(strangers, declines) } : {}),
    'docs.p50.ms': quantile(times, 0.5),
    'docs.p95.ms': quantile(times, 0.95),
  };
}

function accepts({ says, code, cites, about, never }: AskedQuestion, { text, citations }: ChatAnswer): boolean {
  const said = spaced(text);
  return (
    says.every((part) => part.test(said)) &&
    (!code || blocksOf(text).some((block) => code.test(block))) &&
    !never?.test(said) &&
    citations.some(({ quote = '' }) => cites.test(spaced(quote))) &&
    citations.every(({ quote = '' }) => about.test(spaced(quote)))
  );
}

function blocksOf(text: string): string[] {
  return text.match(/^(?:`{3,}|~{3,})[\s\S]*?^(?:`{3,}|~{3,})/gm) ?? [];
}

interface Squad {
  readonly passages: readonly { readonly id: string; readonly title: string; readonly text: string }[];
  readonly questions: readonly {
    readonly passage: string;
    readonly question: string;
    readonly answers: readonly string[];
  }[];
}

/** Passages of an encyclopaedia and people's questions about them: nothing here was written with this code in view. */
async function onSquad(squad: Squad): Promise<Outcome> {
  const passages = squad.passages.map(
    ({ id, title, text }): DocumentPassage => ({
      id,
      document: title,
      title: title.replaceAll('_', ' '),
      headings: [],
      anchor: '',
      text,
      startLine: 1,
      onlyLinks: false,
    }),
  );
  const ask = askerOf(passages);
  const baseline = new MiniSearch<DocumentPassage>({ fields: ['title', 'text'] });
  baseline.addAll(passages);
  const ours: number[] = [];
  const defaults: number[] = [];
  const retrievalMs: number[] = [];
  const extractiveMs: number[] = [];
  let inQuote = 0;
  let inText = 0;
  let declined = 0;
  let cited = 0;
  const baselineMs: number[] = [];
  const questions = sampled(squad.questions, squadSample);
  for (const { question, passage, answers: golds } of questions) {
    const answered = await ask(question);
    const holds = (text: string): boolean => golds.some((gold) => spaced(text).includes(spaced(gold)));
    if (answered.citations.some(({ quote = '' }) => holds(quote))) inQuote++;
    if (holds(answered.text)) inText++;
    if (answered.citations.length === 0) declined++;
    cited += answered.citations.length;
    retrievalMs.push(answered.retrievalMs);
    extractiveMs.push(answered.extractiveMs);
    ours.push(answered.passages.findIndex(({ id }) => id === passage));
    const start = performance.now();
    const byDefault = baseline.search(question).slice(0, found);
    baselineMs.push(performance.now() - start);
    defaults.push(byDefault.findIndex(({ id }) => id === passage));
  }
  const [ourRanks, peerRanks] = [ranksOf(ours), ranksOf(defaults)];
  const share = (count: number): number => rounded(count / questions.length);
  const values = {
    'squad.questions': questions.length,
    ...named('squad.', ourRanks),
    ...named('squad.', peerRanks, '.minisearch-default'),
    'squad.answerInQuote': share(inQuote),
    'squad.answerInText': share(inText),
    'squad.declined': share(declined),
    'squad.citations': share(cited),
    'squad.retrieval.p50.ms': quantile(retrievalMs, 0.5),
    'squad.retrieval.p95.ms': quantile(retrievalMs, 0.95),
    'squad.extractive.p50.ms': quantile(extractiveMs, 0.5),
    'squad.extractive.p95.ms': quantile(extractiveMs, 0.95),
  };
  const ratios = {
    'squad.recall1/minisearch-default': rounded(ourRanks.recall1 / peerRanks.recall1),
    'squad.recall6/minisearch-default': rounded(ourRanks.recall6 / peerRanks.recall6),
    'squad.mrr/minisearch-default': rounded(ourRanks.mrr / peerRanks.mrr),
    'squad.search.p50/minisearch-default': rounded(quantile(retrievalMs, 0.5) / quantile(baselineMs, 0.5)),
  };
  return { ratios, values };
}

async function readSquad(): Promise<Squad | undefined> {
  try {
    return JSON.parse(await readFile(squadFile, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** How often the one right passage is first, or among those found, and how near to the top it is (mean reciprocal rank). */
function ranksOf(places: readonly number[]): Record<'recall1' | 'recall6' | 'mrr', number> {
  const share = (holds: (place: number) => boolean): number => rounded(places.filter(holds).length / places.length);
  const reciprocal = places.reduce((sum, place) => sum + (place < 0 ? 0 : 1 / (place + 1)), 0);
  return {
    recall1: share((place) => place === 0),
    recall6: share((place) => place >= 0),
    mrr: rounded(reciprocal / places.length),
  };
}

function named(prefix: string, values: Readonly<Record<string, number>>, suffix = ''): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}${name}${suffix}`, value]));
}

/** The same questions in every run. */
function sampled<T>(all: readonly T[], count: number): T[] {
  const random = seededRandom(squadSeed);
  const left = [...all];
  return Array.from({ length: Math.min(count, all.length) }, () => {
    const at = Math.floor(random() * left.length);
    return left.splice(at, 1);
  }).flat();
}

async function shareOf<T>(items: readonly T[], holds: (item: T) => Promise<boolean>): Promise<number> {
  let held = 0;
  for (const item of items) if (await holds(item)) held++;
  return rounded(held / items.length);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return rounded(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN);
}

function spaced(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
