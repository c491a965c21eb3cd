import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ChatBackend, createWarmpath, type Warmpath, type WarmpathEvent } from '@warmpath/core';
import { extractive, type FetchLike, ollama, openai } from '@warmpath/core/models';
import { openAnswerStore } from './answer-store.js';
import { createApp } from './app.js';
import type { AppConfig } from './config.js';
import { folderSource, installedSources, readDocuments } from './documents.js';
import { shuttingDown } from './farewell.js';
import { createLibrary, type Library } from './library.js';
import { logLine } from './log-line.js';
import { ownHosts } from './own-hosts.js';
import { messageOf, StartError } from './start-error.js';
import { suggestionsFrom } from './suggestions.js';

export interface RunningApp {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly documents: number;
  readonly passages: number;
  readonly model: string;
  /** Questions that these documents should answer. */
  readonly suggestions: readonly string[];
  /** Where answers are kept beside memory; undefined: nowhere. */
  readonly keptIn: string | undefined;
  /** Stops listening, lets running answers end, closes the runtime, its connections and the store of its answers. */
  close(): Promise<void>;
}

const installedSuggestions = [
  'What is the default keepAliveTimeout of a Client?',
  'How do I mock a request in tests?',
  'What does RetryAgent do?',
  'How can I send requests through a proxy?',
];
const noModel =
  'No language model is configured: the extractive one answers, with the sentences of the documents that fit best. ' +
  'Set OLLAMA_URL, or OPENAI_BASE_URL and OPENAI_API_KEY, to have answers written.';
/**
 * An answer belongs to its question, its passages and the models, which are all in its key: it ages only as a model behind
 * the same name does. Only answers that are fresh are served, so a store is of use for as long as this.
 */
const ttl = { inMemory: '10m', inStore: '7d' } as const;
/** Nobody takes an answer back, so memory may be trusted also while nothing is heard of other processes. */
const staleWindow = ttl.inStore;
/** Of a model that does not answer: twice its time leaves enough for what stands in for it. */
const attemptsAtModel = 2;
/** Running answers have this long to end when the application is stopped, and then this long to be told that they are cut. */
const graceMs = 5_000;
const farewellMs = 500;
/** Who waits longer than this should see what for. Indexing takes a second for about two million characters. */
const silentMs = 2_000;
const silentCharacters = 2_000_000;

/** @throws StartError when the documents cannot be read, or the cache file or the port cannot be had */
export async function startApp(config: AppConfig, log: (line: string) => void): Promise<RunningApp> {
  for (const note of config.notes) log(note);
  const library = await readLibrary(config, log);
  const suggestions = config.docs === undefined ? installedSuggestions : await suggestionsFrom(library);
  const kept = await openAnswerStore(config, (line) => log(logLine(line)));
  /** Over connections that stay open. The runtime makes the pool with the first question for a server, and closes it. */
  const fetch: FetchLike = async (url, init) => (await runtime.http('models')).fetch(url, init);
  const models = modelsOf(config, fetch);
  const runtime: Warmpath = createWarmpath({
    ...(kept?.limits && { limiter: { store: kept.limits } }),
    chat: {
      models,
      cache: {
        maxEntries: 1_000,
        ...(kept ? { ttl: ttl.inStore, staleWindow, store: kept.store } : { ttl: ttl.inMemory }),
      },
      retry: { attempts: attemptsAtModel, timeout: config.modelTimeout },
    },
    onEvent(event) {
      logOutage(event, log);
      kept?.onEvent(event);
    },
  });
  const model = models[0].model.name;
  const stopping = new AbortController();
  const app = createApp({
    library,
    runtime,
    model,
    store: kept?.kind,
    notice: models.length === 1 ? noModel : undefined,
    suggestions,
    hosts: ownHosts(config.host),
    stopping: stopping.signal,
    log,
  });
  const server = createServer(app);
  /** The store last: until the runtime is closed it may write to it. */
  async function closeParts(): Promise<void> {
    await runtime.close();
    await kept?.close();
  }
  try {
    await listen(server, config);
  } catch (error) {
    await closeParts();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  return {
    url: `http://${host}:${port}`,
    documents: library.documents,
    passages: library.passages,
    model,
    suggestions,
    keptIn: kept?.place,
    async close() {
      await stopServer(server, stopping);
      await closeParts();
    },
  };
}

/** "1 document, 3 passages" */
export function holdingsOf({ documents, passages }: Pick<RunningApp, 'documents' | 'passages'>): string {
  const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;
  return `${count(documents, 'document')}, ${count(passages, 'passage')}`;
}

/** Reads and indexes the documents; says so once when that takes its time. */
async function readLibrary({ docs }: AppConfig, log: (line: string) => void): Promise<Library> {
  let silent = true;
  const progress = (line: string): void => {
    if (silent) log(line);
    silent = false;
  };
  const timer = setTimeout(() => progress('Reading and indexing the documents ...'), silentMs);
  try {
    const set = await readDocuments(docs === undefined ? installedSources() : folderSource(docs), log);
    const characters = set.documents.reduce((sum, { text }) => sum + text.length, 0);
    if (characters > silentCharacters) progress(`Indexing ${set.documents.length} documents ...`);
    const library = createLibrary(set);
    if (library.hasText) return library;
    const what = set.documents.length === 1 ? 'The document has' : `All ${set.documents.length} documents have`;
    throw new StartError(
      'There is nothing to answer from.',
      `${what} no text, or headings alone.`,
      'Name a folder of Markdown or text files with --docs DIR or DOCS_DIR.',
    );
  } finally {
    clearTimeout(timer);
  }
}

/**
 * OpenAI's protocol before Ollama's, where both are configured; each stands in for the one before it. The extractive
 * model is last, so that an outage still leaves an answer, which says who gave it and is not kept.
 */
export function modelsOf(
  { openai: openaiServer, ollama: ollamaServer, modelLimits }: Pick<AppConfig, 'openai' | 'ollama' | 'modelLimits'>,
  fetch: FetchLike,
): [ChatBackend, ...ChatBackend[]] {
  const configured = [
    ...(openaiServer ? [openai({ ...openaiServer, fetch })] : []),
    ...(ollamaServer ? [ollama({ ...ollamaServer, fetch })] : []),
  ].map((model) => ({ model, ...(modelLimits.length > 0 && { limits: { limits: modelLimits } }) }));
  const [first, ...others] = [...configured, { model: extractive() }];
  return [first ?? { model: extractive() }, ...others.map((backend) => ({ ...backend, weight: 0 }))];
}

/** Who stands in for whom, and which model is asked nothing for a while. */
function logOutage(event: WarmpathEvent, log: (line: string) => void): void {
  if (event.type === 'fallback.used') {
    log(logLine(`${event.failed} failed, ${event.next} answers instead: ${messageOf(event.error)}`));
  } else if (event.type === 'breaker.opened') {
    const seconds = Math.ceil(event.pauseMs / 1_000);
    log(
      logLine(`${event.name} is left alone for ${seconds} s: ${event.failures} of ${event.calls} calls have failed.`),
    );
  } else if (event.type === 'breaker.closed') {
    log(logLine(`${event.name} answers again.`));
  }
}

async function listen(server: Server, { port, portGiven, host }: AppConfig): Promise<void> {
  try {
    await listenOn(server, port, host);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE' && !portGiven) return listenOn(server, 0, host);
    if (code === 'ENOTFOUND' || code === 'EADDRNOTAVAIL' || code === 'EAI_AGAIN') {
      throw new StartError(
        `Nothing can listen on ${host}.`,
        'This machine has no such address.',
        'Choose one of its own with HOST or --host, such as 127.0.0.1, or 0.0.0.0 for all.',
        { cause: error },
      );
    }
    throw new StartError(
      `Port ${port} of ${host} cannot be had.`,
      code === 'EADDRINUSE' ? 'Another program listens there.' : messageOf(error),
      'Choose another one with PORT or --port; 0 takes any free port.',
      { cause: error },
    );
  }
}

function listenOn(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Answers that are under way after the grace are ended and their readers told why; what then remains is cut. */
function stopServer(server: Server, stopping: AbortController): Promise<void> {
  return new Promise((resolve) => {
    const tell = setTimeout(() => stopping.abort(shuttingDown), graceMs);
    const force = setTimeout(() => server.closeAllConnections(), graceMs + farewellMs);
    server.close(() => {
      clearTimeout(tell);
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
