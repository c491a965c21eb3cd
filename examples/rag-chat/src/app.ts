import { fileURLToPath } from 'node:url';
import type { Duration, Warmpath } from '@warmpath/core';
import type { Problem } from '@warmpath/core/kernel';
import { HttpProblem, problemHandler, streamAnswer, warmpath } from '@warmpath/express';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { createAnswering } from './answer.js';
import { shuttingDown, withFarewell } from './farewell.js';
import type { Library } from './library.js';
import { logLine } from './log-line.js';
import { refuseOtherHosts } from './own-hosts.js';
import { readQuestion } from './question.js';

export interface AppOptions {
  readonly library: Library;
  readonly runtime: Warmpath;
  /** The name of the model that answers first. */
  readonly model: string;
  /** Where answers are kept beside memory, for readers; default nowhere. */
  readonly store?: string | undefined;
  /** What the page should tell its readers, if anything. */
  readonly notice?: string | undefined;
  readonly suggestions?: readonly string[];
  /** Requests that one client may make to the API; default 120 a minute. */
  readonly rateLimit?: { readonly limit: number; readonly window: Duration };
  /** The only names that requests may ask for in their Host header; default any. */
  readonly hosts?: readonly string[] | undefined;
  /** Aborted with `shuttingDown`, it ends the answers that are under way. */
  readonly stopping?: AbortSignal;
  /** Hears in one line why each refused request was refused. Default: console.warn. */
  readonly log?: (line: string) => void;
}

const pageFolder = fileURLToPath(new URL('../page', import.meta.url));
const bodyLimit = '64kb';
/** Of a request in all: time for a model that has to be loaded, and for the one that stands in for it. */
const timeout = '5m';
/** The page loads its own files and talks to its own server, and does nothing else. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export function createApp(options: AppOptions): Express {
  const {
    library,
    runtime,
    model,
    store,
    notice,
    suggestions = [],
    rateLimit = { limit: 120, window: '1m' },
  } = options;
  const { hosts, stopping, log = (line) => console.warn(line) } = options;
  const answering = createAnswering(library, runtime, stopping);
  const app = express();
  app.disable('x-powered-by');
  app.use(protect);
  if (hosts) app.use(refuseOtherHosts(hosts));
  app.use(express.static(pageFolder, { cacheControl: false }));
  app.use(warmpath({ runtime, timeout, rateLimit, gzip: true, performance: '/performance' }));

  app.get('/api/info', function info(_req, res) {
    const { documents, passages } = library;
    res.json({ model, documents, passages, store: store ?? null, notice: notice ?? null, suggestions });
  });

  app.get('/api/passages/:id', function passage(req, res) {
    const found = library.passage(req.params.id);
    if (!found) throw noPassage(req.params.id);
    const { previous, next } = found;
    const { id, document, title, headings, anchor, text, startLine } = found.passage;
    res.json({ id, document, title, headings, anchor, text, startLine, previous, next });
  });

  app.post('/api/chat', readJson, async function chat(req, res) {
    const question = readQuestion(req.body);
    if (req.accepts(['json', 'text/event-stream']) === 'text/event-stream') {
      await streamAnswer(res, withFarewell(answering.events(question), stopping));
    } else {
      res.json(await answering.whole(question));
    }
  });

  app.all('/api/chat', function wrongMethod(req, res) {
    res.set('Allow', 'POST');
    throw new HttpProblem(405, 'Questions are posted', `${req.method} does nothing here. Send a POST request.`);
  });
  app.all(['/', '/api/info', '/api/passages/:id', '/performance'], function onlyToRead(req, res) {
    res.set('Allow', 'GET, HEAD');
    throw new HttpProblem(
      405,
      'This can only be read',
      `${req.method} does nothing here. Questions are posted to /api/chat.`,
    );
  });
  app.use(function unknownAddress(req) {
    throw new HttpProblem(
      404,
      'There is nothing here',
      `No page has the address ${req.path.slice(0, 200)}. Start at /.`,
    );
  });
  app.use(
    problemHandler({
      log: (error, req) => {
        if (error === shuttingDown)
          log(logLine(`${req.method} ${req.path} was not answered: the server is shutting down.`));
        else console.error(`${req.method} ${req.path} failed:`, error);
      },
      logRefusal: (problem, req) => log(refusalLine(problem, req)),
    }),
  );
  return app;
}

const parseJson = express.json({ limit: bodyLimit, strict: false });

/** What is JSON but no object is refused by `readQuestion`, which can say so. */
function readJson(req: Request, res: Response, next: NextFunction): void {
  parseJson(req, res, (error?: unknown) => {
    const encoding = req.headers['content-encoding'];
    // Of all that can go wrong in the parser only the unpacking speaks without a `type`, in zlib's words.
    const packed = error instanceof Error && !('type' in error) && encoding !== undefined;
    next(packed ? badPacking(encoding) : error);
  });
}

function badPacking(encoding: string): HttpProblem {
  return new HttpProblem(
    400,
    'The body cannot be unpacked',
    `The body is not the ${encoding.slice(0, 20)} that its Content-Encoding promises. Send it complete, or uncompressed.`,
  );
}

function noPassage(id: string): HttpProblem {
  const detail = /^[0-9a-f]{16}$/.test(id)
    ? 'No passage has this id. If an answer named it, the documents have changed since: ask again.'
    : `'${id.slice(0, 60)}' is no passage's id: those have 16 hexadecimal digits, and come with an answer.`;
  return new HttpProblem(404, 'There is no such passage', detail);
}

/** What was refused and why. V8 quotes the body that it could not parse, and bodies are not for the log. */
function refusalLine({ status, title, detail }: Problem, { method, path }: Request): string {
  const why = detail.replace(/(\.{3})?".*" is not valid JSON/s, 'what came is not valid JSON');
  return logLine(`${method} ${path} was refused with ${status}: ${title}: ${why}`);
}

function protect(_req: Request, res: Response, next: NextFunction): void {
  res.set({
    'Content-Security-Policy': pagePolicy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  });
  next();
}
