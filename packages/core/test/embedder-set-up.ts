import { expect, onTestFinished } from 'vitest';
import { type BatchedEmbedder, type BatchedEmbedderOptions, batchedEmbedder } from '../src/batched-embedder.js';
import { type Cache, type CacheOptions, createCache } from '../src/cache/index.js';
import { seededRandom } from '../src/kernel/index.js';
import { type Embedder, ollamaEmbedder, openaiEmbedder } from '../src/models/index.js';
import { type ModelServer, type ModelServerOptions, startModelServer } from '../src/testing/index.js';

/** As the simulated server is told to: what it gives for a text can be seen from the text. */
export const vectorOf = (text: string): number[] => [
  text.length,
  ...[...text].slice(-6).map((each) => each.charCodeAt(0)),
];
export const vectors = (texts: readonly string[]): Float32Array[] =>
  texts.map((text) => Float32Array.from(vectorOf(text)));

/** Of 11 letters, all of one length. */
export const textAt = (index: number): string => `text ${String(index).padStart(6, '0')}`;
export const someTexts = (count: number): string[] => Array.from({ length: count }, (_, index) => textAt(index));

interface SetUp {
  readonly server: ModelServer;
  readonly embedder: BatchedEmbedder;
}

export const openai = ({ openaiUrl }: ModelServer): Embedder => openaiEmbedder({ model: 'm', baseUrl: openaiUrl });
export const ollama = ({ ollamaUrl }: ModelServer): Embedder => ollamaEmbedder({ model: 'm', baseUrl: ollamaUrl });

/** A batched embedder before the simulated model server of ./testing, over real HTTP, until the test is over. */
export async function start(
  options: BatchedEmbedderOptions = {},
  { embeddings, ...behaviour }: ModelServerOptions = {},
  adapter: (server: ModelServer) => Embedder = openai,
): Promise<SetUp> {
  const server = await startModelServer({ ...behaviour, embeddings: { vectorOf, ...embeddings } });
  const embedder = batchedEmbedder(adapter(server), { random: seededRandom(1), ...options });
  onTestFinished(async () => {
    await embedder.close();
    await server.close();
  });
  return { server, embedder };
}

export const cacheOf = (options: Partial<CacheOptions> = {}): Cache => createCache({ name: 'vectors', ...options });

/** The texts of each call that the server has seen. */
export const callsOf = (server: ModelServer): string[][] =>
  server.requests.map(({ body }) => (body as { readonly input: string[] }).input);

export const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: unknown) => error,
  );
