import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createWarmpath, type Warmpath, type WarmpathOptions } from '@warmpath/core';
import { systemClock } from '@warmpath/core/kernel';
import { type ChatModel, collectAnswer, extractive } from '@warmpath/core/models';
import { createFakeClock, memoryStore } from '@warmpath/core/testing';
import { type Browser, type BrowserContextOptions, type Page, chromium as playwright } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type AppOptions, createApp } from '../examples/rag-chat/src/app.js';
import { installedSources, readDocuments } from '../examples/rag-chat/src/documents.js';
import { createLibrary, type Library } from '../examples/rag-chat/src/library.js';

/** What the functions that run in the page use of it; there is no other DOM in these tests. */
declare const document: {
  readonly documentElement: { readonly scrollWidth: number };
  querySelector(selector: string): { readonly textContent: string | null } | null;
};
declare const innerWidth: number;

const chromium = inject('chromium');
const question = 'What is the default keepAliveTimeout of a Client?';

describe.skipIf(!chromium)('the page of the RAG chat, in a real Chromium', () => {
  let browser: Browser;
  let library: Library;
  const undo: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    library = createLibrary(await readDocuments(installedSources(), () => {}));
    browser = await playwright.launch({
      executablePath: chromium ?? '',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });

  interface Opened {
    readonly page: Page;
    /** What the browser complained about. */
    readonly complaints: string[];
    readonly server: Server;
  }

  async function open(
    model: ChatModel,
    options: Partial<AppOptions> = {},
    look: BrowserContextOptions = {},
    path = '/',
    { clock = systemClock, cache = {} }: Pick<WarmpathOptions, 'clock' | 'cache'> = {},
  ): Promise<Opened> {
    const runtime: Warmpath = createWarmpath({ chat: { models: [model], retry: { attempts: 1 } }, clock, cache });
    const app = createApp({ library, runtime, model: model.name, suggestions: [question], ...options });
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const context = await browser.newContext(look);
    undo.push(async () => {
      await context.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await runtime.close();
    });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`);
    await page.locator('.suggestions button').first().waitFor({ state: 'attached' });
    return { page, complaints, server };
  }

  async function ask(page: Page, text: string): Promise<void> {
    await page.getByLabel('Your question').fill(text);
    await page.keyboard.press('Enter');
  }

  /** The line under an answer; it is there once the answer is complete. */
  const origins = (page: Page) => page.locator('.origin');

  it('shows the answer growing, then who gave it; asked again, the cache gives it', async () => {
    const { page, complaints } = await open(extractive({ wordsPerSecond: 40 }));
    await ask(page, question);
    await page.getByRole('button', { name: 'Stop the answer' }).waitFor();
    const lengthOver = (length: number) =>
      page.waitForFunction((than) => {
        const text = document.querySelector('.words')?.textContent ?? '';
        return text.length > than && !document.querySelector('.origin') ? text.length : 0;
      }, length);
    const early = Number(await (await lengthOver(0)).jsonValue());
    const later = Number(await (await lengthOver(early)).jsonValue());
    expect(later).toBeGreaterThan(early);
    await origins(page).waitFor();
    const text = await page.locator('.words').textContent();
    expect(text?.length).toBeGreaterThan(later);
    expect(text).toContain('4e3');
    expect(await origins(page).textContent()).toMatch(/^from the model · first words [\d.]+ m?s · [\d.]+ m?s$/);

    await ask(page, question);
    await origins(page).nth(1).waitFor();
    expect(await origins(page).nth(1).textContent()).toMatch(/^from memory, asked (a moment|\d+ s) ago · [\d.]+ ms$/);
    expect(await page.locator('.words').nth(1).textContent()).toBe(text);
    expect(complaints).toEqual([]);
  });

  it.each(['Redis', 'the cache file'])('says of an answer out of %s how long ago it was asked for', async (name) => {
    const store = memoryStore();
    const clock = createFakeClock();
    const first = await open(extractive(), {}, {}, '/', { clock, cache: { store, ttl: '7d' } });
    await ask(first.page, question);
    await origins(first.page).waitFor();
    await clock.advance(3 * 86_400_000);
    const { page } = await open(extractive(), { store: name }, {}, '/', {
      clock,
      cache: { store: store.peer(), ttl: '7d' },
    });
    await page.locator('#facts').getByText(`extractive, answers kept in ${name}`).waitFor();
    await ask(page, question);
    await origins(page).waitFor();
    expect(await origins(page).textContent()).toMatch(new RegExp(`^from ${name}, asked 3 days ago · [\\d.]+ m?s$`));
  });

  it('says which model is meant to answer, and when another one stood in for it', async () => {
    const { page } = await open(extractive(), { model: 'ollama:llama3.2' });
    await page.locator('#facts').getByText('ollama:llama3.2').waitFor();
    expect(await page.locator('#notice').isVisible()).toBe(false);
    await ask(page, question);
    await origins(page).waitFor();
    expect(await origins(page).textContent()).toMatch(
      /^from extractive, standing in for ollama:llama3\.2 · first words /,
    );
  });

  it('opens the passage of a citation with the quote marked, and closes it with Escape', async () => {
    const { page, complaints } = await open(extractive());
    await page.getByRole('button', { name: question }).click();
    await origins(page).waitFor();
    await page
      .getByRole('button', { name: /^Source 1: Client/ })
      .first()
      .click();
    const panel = page.getByRole('dialog');
    await panel.locator('mark').first().waitFor();
    expect(await panel.getByRole('heading').textContent()).toBe('new Client(url[, options])');
    const marked = (await panel.locator('mark').allTextContents()).join('').replace(/\s+/g, ' ');
    expect(marked).toMatch(/^keepAliveTimeout \{number\|null\} The timeout.*Default: 4e3\.$/);
    expect(await panel.locator('mark').first().isVisible()).toBe(true);

    await panel.getByRole('button', { name: 'After' }).click();
    await page.waitForFunction(() => !document.querySelector('#panel mark'));
    await page.keyboard.press('Escape');
    await panel.waitFor({ state: 'hidden' });
    expect(complaints).toEqual([]);
  });

  it('opens the passage that an address names', async () => {
    const [found] = library.search(question);
    const { page } = await open(extractive(), {}, {}, `/#passage=${found?.id}`);
    await page.getByRole('dialog').getByText('keepAliveTimeout').first().waitFor();
  });

  it('stops when told to, keeps what came, and takes the next question', async () => {
    const { page } = await open(extractive({ wordsPerSecond: 10 }));
    await ask(page, question);
    await page.waitForFunction(() => (document.querySelector('.words')?.textContent ?? '').length > 0);
    await page.getByRole('button', { name: 'Stop the answer' }).click();
    await origins(page).waitFor();
    expect(await origins(page).textContent()).toBe('stopped by you');
    const kept = (await page.locator('.words').textContent()) ?? '';
    expect(kept).not.toBe('');
    expect(kept).not.toContain('4e3');
    expect(await page.getByRole('button', { name: 'Ask' }).isVisible()).toBe(true);
  });

  it('says kindly that the server refuses, and tries again on request', async () => {
    const clock = createFakeClock();
    const { page } = await open(extractive(), { rateLimit: { limit: 2, window: '1m' } }, {}, '/', { clock });
    await ask(page, question); // asking for /api/info was the first request
    await origins(page).waitFor();
    await ask(page, question);
    const alert = page.getByRole('alert');
    await alert.waitFor();
    expect(await alert.textContent()).toMatch(/again in \d+ s/);
    await clock.advance(60_000);
    await alert.getByRole('button', { name: 'Try again' }).click();
    await origins(page).nth(1).waitFor();
    expect(await alert.count()).toBe(0);
  });

  it('says that the server is gone', async () => {
    const { page, server } = await open(extractive());
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await ask(page, question);
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('The server cannot be reached');
  });

  it('never takes text for markup, and links only to http addresses', async () => {
    const text = [
      'A <img src=x onerror="document.title=1"> and <script>document.title=2</script>.',
      '[good](https://example.com/a_(b)) [bad](javascript:document.title=3) [worse]( data:text/html,x ) https://example.com/c.',
      'See (https://example.com/d) and https://example.com/e_(f), https://example.com/g_(h)). Of [9] nobody knows.',
      '',
      '> [!NOTE]\n> Mind the gap.',
      '',
      '- **bold** and `code <b>`',
      '  1. nested *item*',
      '',
      '```html',
      '<b>[1] **raw**</b>',
      '```',
      '',
      '| a | b |',
      '|---|---|',
      '| x | `y` |',
    ].join('\n');
    const model = scripted(text);
    const { page, complaints } = await open(model);
    await ask(page, question);
    await origins(page).waitFor();
    const words = page.locator('.words');
    expect(await words.locator('img, script, b').count()).toBe(0);
    const links = await words.locator('a').evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    expect(links).toEqual([
      'https://example.com/a_(b)',
      'https://example.com/c',
      'https://example.com/d',
      'https://example.com/e_(f)',
      'https://example.com/g_(h)',
    ]);
    expect(await words.textContent()).toContain('Of [9] nobody knows.');
    expect(await words.locator('.cite').count()).toBe(0);
    expect(await words.locator('blockquote p').allTextContents()).toEqual(['Note', 'Mind the gap.']);
    expect(await words.locator('strong').textContent()).toBe('bold');
    expect(await words.locator('li li em').textContent()).toBe('item');
    expect(await words.locator('pre').textContent()).toBe('<b>[1] **raw**</b>');
    expect(await words.locator('td').allTextContents()).toEqual(['x', 'y']);
    expect(await page.title()).toContain('Warmpath');
    expect(complaints).toEqual([]);
  });

  it.each<[name: string, look: BrowserContextOptions]>([
    ['a phone', { viewport: { width: 375, height: 700 }, isMobile: true, hasTouch: true }],
    ['a narrow window in the dark', { viewport: { width: 375, height: 700 }, colorScheme: 'dark' }],
  ])('fits %s', async (_name, look) => {
    const { page } = await open(extractive(), { notice: 'No language model is configured.' }, look);
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    expect(await page.getByText('No language model is configured.').isVisible()).toBe(true);
    expect(await fits()).toBe(true);
    await ask(page, 'How do I mock a request in tests?');
    await origins(page).waitFor();
    expect(await fits()).toBe(true);
    await page
      .getByRole('button', { name: /^Source 1/ })
      .first()
      .click();
    await page.getByRole('dialog').locator('mark').first().waitFor();
    expect(await fits()).toBe(true);
    expect(await page.getByRole('button', { name: 'Close' }).isVisible()).toBe(true);
  });
});

function scripted(text: string): ChatModel {
  const model: ChatModel = {
    name: 'scripted',
    async *stream() {
      yield { type: 'text', text };
      yield { type: 'finish', reason: 'stop' };
    },
    generate: (request) => collectAnswer(model.stream(request)),
  };
  return model;
}
