import { createHash } from 'node:crypto';
import { type Dirent, existsSync } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, StartError } from './start-error.js';

export interface SourceDocument {
  /** Where it was found, below its source's name, with forward slashes: `undici/docs/api/Client.md`. */
  readonly path: string;
  readonly format: 'markdown' | 'text';
  readonly text: string;
}

/** A folder, or a single file, that documents are read from. */
export interface DocumentSource {
  /** The first part of its documents' paths. */
  readonly name: string;
  readonly path: string;
  /** An optional source may be missing or empty. */
  readonly optional?: boolean;
}

export interface DocumentSet {
  readonly documents: readonly SourceDocument[];
  /** Changes with any path or text. */
  readonly digest: string;
}

/** What one set of documents may hold; what is over a limit is left out and said once. */
export interface DocumentLimits {
  readonly files: number;
  readonly fileBytes: number;
  readonly totalBytes: number;
}

const defaultLimits: DocumentLimits = { files: 5_000, fileBytes: 2_000_000, totalBytes: 100_000_000 };
const formats = new Map<string, SourceDocument['format']>([
  ['.md', 'markdown'],
  ['.markdown', 'markdown'],
  ['.txt', 'text'],
]);
const ignoredFolders = new Set(['node_modules', '.git']);

/** One folder that the user named. */
export function folderSource(folder: string): DocumentSource[] {
  const path = resolve(folder);
  return [{ name: basename(path) || 'docs', path }];
}

/** The documentation that is installed with undici, and this project's own. */
export function installedSources(): DocumentSource[] {
  const undici = folderOf('undici', import.meta.resolve('undici'));
  return [
    { name: 'undici', path: join(undici, 'README.md'), optional: true },
    { name: 'undici', path: join(undici, 'docs') },
    { name: 'warmpath', path: fileURLToPath(new URL('../../../docs', import.meta.url)), optional: true },
  ];
}

/**
 * Reads every Markdown and text file of the sources, sorted by path.
 * @param log told once of everything that is left out, and why
 * @throws StartError when a source that is not optional is missing, unreadable or holds no document
 */
export async function readDocuments(
  sources: readonly DocumentSource[],
  log: (line: string) => void,
  limits: DocumentLimits = defaultLimits,
): Promise<DocumentSet> {
  const reading: Reading = { log, limits, documents: [], older: [], bytes: 0, full: false };
  for (const source of sources) {
    const before = reading.documents.length;
    await readSource(reading, source);
    if (!source.optional && !reading.full && reading.documents.length === before) throw emptySource(source);
  }
  if (reading.documents.length === 0) {
    throw new StartError(
      'There is nothing to answer from.',
      'None of the documents could be read.',
      'Name a folder of Markdown or text files with --docs DIR or DOCS_DIR.',
    );
  }
  if (reading.older.length > 0) log(`Not UTF-8, so read as Windows-1252: ${namesOf(reading.older)}.`);
  const documents = reading.documents.sort((left, right) => (left.path < right.path ? -1 : 1));
  return { documents, digest: digestOf(documents) };
}

interface Reading {
  readonly log: (line: string) => void;
  readonly limits: DocumentLimits;
  readonly documents: SourceDocument[];
  /** The paths of those that are not UTF-8. */
  readonly older: string[];
  bytes: number;
  full: boolean;
}

async function readSource(reading: Reading, source: DocumentSource): Promise<void> {
  try {
    const root = await realpath(source.path);
    if (!(await stat(root)).isDirectory()) return await readDocument(reading, dirname(root), source.name, root);
    await readFolder(reading, root, source.name, root, true);
  } catch (error) {
    if (source.optional && codeOf(error) === 'ENOENT') return;
    throw unreadableSource(source, error);
  }
}

async function readFolder(reading: Reading, root: string, name: string, folder: string, top = false): Promise<void> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (top) throw error;
    reading.log(`Left out ${join(name, relative(root, folder))}: ${messageOf(error)}`);
    return;
  }
  for (const entry of entries.sort((left, right) => (left.name < right.name ? -1 : 1))) {
    if (reading.full) return;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!ignoredFolders.has(entry.name)) await readFolder(reading, root, name, path);
    } else if (formats.has(extname(entry.name).toLowerCase())) {
      await readDocument(reading, root, name, path);
    }
  }
}

async function readDocument(reading: Reading, root: string, name: string, file: string): Promise<void> {
  const path = [name, ...relative(root, file).split(sep)].join('/');
  const { limits, log } = reading;
  try {
    const { size } = await stat(file);
    if (size > limits.fileBytes) {
      log(`Left out ${path}: ${size} bytes are more than the ${limits.fileBytes} that one document may have.`);
      return;
    }
    if (reading.documents.length >= limits.files || reading.bytes + size > limits.totalBytes) {
      reading.full = true;
      log(
        `Left out ${path} and all after it: the limit is ${limits.files} documents and ${limits.totalBytes} bytes in all.`,
      );
      return;
    }
    const { text, encoding } = decode(await readFile(file));
    if (text.includes('\0')) {
      log(`Left out ${path}: it is not text.`);
      return;
    }
    reading.bytes += size;
    if (encoding !== 'utf-8') reading.older.push(path);
    reading.documents.push({ path, format: formats.get(extname(file).toLowerCase()) ?? 'text', text });
  } catch (error) {
    log(`Left out ${path}: ${messageOf(error)}`);
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const windows1252 = new TextDecoder('windows-1252');

/** What is not UTF-8 is most likely from a time before it; Latin-1 is a part of Windows-1252. */
function decode(bytes: Uint8Array): { readonly text: string; readonly encoding: string } {
  try {
    return { text: utf8.decode(bytes), encoding: utf8.encoding };
  } catch {
    return { text: windows1252.decode(bytes), encoding: windows1252.encoding };
  }
}

const mostNames = 3;

function namesOf(paths: readonly string[]): string {
  const others = paths.length - mostNames;
  const more = others > 0 ? ` and ${others} more` : '';
  return `${paths.slice(0, mostNames).join(', ')}${more}`;
}

function unreadableSource(source: DocumentSource, error: unknown): StartError {
  const missing = codeOf(error) === 'ENOENT';
  return new StartError(
    `The documents in ${source.path} cannot be read.`,
    missing ? 'There is no such folder.' : messageOf(error),
    missing
      ? 'Correct the path in --docs or DOCS_DIR, or leave both out to use the documentation that is installed.'
      : 'Make the folder readable for this user, or name another one with --docs DIR or DOCS_DIR.',
    { cause: error },
  );
}

function emptySource(source: DocumentSource): StartError {
  return new StartError(
    `There is no document in ${source.path}.`,
    `It holds no readable file that ends in ${[...formats.keys()].join(', ')}.`,
    'Name a folder of Markdown or text files with --docs DIR or DOCS_DIR.',
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** The folder of an installed package: the nearest one above its entry file that has a package.json. */
function folderOf(name: string, entry: string): string {
  let folder = dirname(fileURLToPath(entry));
  while (!existsSync(join(folder, 'package.json'))) {
    const above = dirname(folder);
    if (above === folder) {
      throw new StartError(
        `The package '${name}' has no folder.`,
        'It is not installed.',
        'Install the project again.',
      );
    }
    folder = above;
  }
  return folder;
}

function digestOf(documents: readonly SourceDocument[]): string {
  const hash = createHash('sha256');
  for (const { path, text } of documents) hash.update(`${path}\0${text}\0`);
  return hash.digest('hex');
}
