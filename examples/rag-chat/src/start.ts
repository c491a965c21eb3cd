import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ChatBackend, createWarmpath, type WarmpathEvent } from '@warmpath/core';
import { createHttpPool } from '@warmpath/core/http';
import { extractive, type FetchLike, ollama, openai } from '@warmpath/core/models';
import { createApp } from './app.js';
import type { AppConfig } from './config.js';
import { folderSource, installedSources, readDocuments } from './documents.js';
import { createLibrary, type Library } from './library.js';
import { logLine } from './log-line.js';
import { ownHosts } from './own-hosts.js';
import { messageOf, StartError } from './start-error.js';
import { isStopWord, wordsOf } from './tokens.js';

export interface RunningApp {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  readonly documents: number;
  readonly passages: number;
  readonly model: string;
  /** Questions that these documents should answer. */
  readonly suggestions: readonly string[];
  /** Stops listening, lets running answers end, closes the runtime and its connections. */
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
/** Of a model that does not answer: twice its time leaves enough for what stands in for it. */
const attemptsAtModel = 2;
/** Running answers have this long to end when the application is stopped. */
const graceMs = 5_000;

/** @throws StartError when the documents cannot be read or the port cannot be had */
export async function startApp(config: AppConfig, log: (line: string) => void): Promise<RunningApp> {
  const sources = config.docs === undefined ? installedSources() : folderSource(config.docs);
  const library = createLibrary(await readDocuments(sources, log));
  const pool = createHttpPool({ name: 'models' });
  const models = modelsOf(config, pool.fetch);
  const runtime = createWarmpath({
    chat: {
      models,
      cache: { ttl: '10m', maxEntries: 1_000 },
      retry: { attempts: attemptsAtModel, timeout: config.modelTimeout },
    },
    onEvent: (event) => logFallback(event, log),
  });
  const model = models[0].model.name;
  const suggestions = config.docs === undefined ? installedSuggestions : suggestionsFrom(library);
  const app = createApp({
    library,
    runtime,
    model,
    notice: models.length === 1 ? noModel : undefined,
    suggestions,
    hosts: ownHosts(config.host),
    log,
  });
  const server = createServer(app);
  try {
    await listen(server, config);
  } catch (error) {
    await runtime.close();
    await pool.close();
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
    async close() {
      await stopServer(server);
      await runtime.close();
      await pool.close();
    },
  };
}

/**
 * OpenAI's protocol before Ollama's, where both are configured; each stands in for the one before it. The extractive
 * model is last, so that an outage still leaves an answer, which says who gave it and is not kept.
 */
export function modelsOf(
  config: Pick<AppConfig, 'openai' | 'ollama'>,
  fetch: FetchLike,
): [ChatBackend, ...ChatBackend[]] {
  const configured = [
    ...(config.openai ? [openai({ ...config.openai, fetch })] : []),
    ...(config.ollama ? [ollama({ ...config.ollama, fetch })] : []),
  ];
  const [first, ...others] = [...configured, extractive()];
  return [{ model: first ?? extractive() }, ...others.map((model) => ({ model, weight: 0 }))];
}

function logFallback(event: WarmpathEvent, log: (line: string) => void): void {
  if (event.type !== 'fallback.used') return;
  log(logLine(`${event.failed} failed, ${event.next} answers instead: ${messageOf(event.error)}`));
}

/** One question for each of a few pages: those whose text speaks of what their title names. */
function suggestionsFrom(library: Library): string[] {
  const speaksOfItself = (title: string): boolean => {
    const text = library.search(title, 1)[0]?.text.replace(/^#.*$/gm, '').toLowerCase() ?? '';
    return wordsOf(title).some((word) => word.length > 3 && !isStopWord(word) && text.includes(word.toLowerCase()));
  };
  const telling = library.titles.filter(speaksOfItself);
  return (telling.length > 0 ? telling : library.titles).slice(0, 4).map((title) => `Tell me about ${title}.`);
}

async function listen(server: Server, { port, portGiven, host }: AppConfig): Promise<void> {
  try {
    await listenOn(server, port, host);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EADDRINUSE' && !portGiven) return listenOn(server, 0, host);
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

function stopServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
