import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { folderSource, installedSources, readDocuments } from './documents.js';

let folder: string;
let lines: string[];
const log = (line: string): void => void lines.push(line);
const limits = { files: 100, fileBytes: 1_000, totalBytes: 10_000 };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'warmpath-docs-'));
  lines = [];
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(path: string, text: string | Buffer): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), text);
}
const read = (some = limits) => readDocuments([{ name: 'docs', path: folder }], log, some);

describe('readDocuments', () => {
  it('reads Markdown and text in every folder but node_modules and .git, sorted by path', async () => {
    await write('b.md', '# B');
    await write('a/deep/c.MARKDOWN', '# C');
    await write('a/note.txt', 'note');
    await write('a/picture.png', 'no');
    await write('node_modules/x.md', '# X');
    await write('.git/y.md', '# Y');
    const { documents } = await read();
    expect(documents.map(({ path, format }) => [path, format])).toEqual([
      ['docs/a/deep/c.MARKDOWN', 'markdown'],
      ['docs/a/note.txt', 'text'],
      ['docs/b.md', 'markdown'],
    ]);
    expect(lines).toEqual([]);
  });

  it('leaves out a file that is too large, not text, or gone, and says so once for each', async () => {
    await write('good.md', '# Good');
    await write('large.md', 'x'.repeat(1_001));
    await write('binary.txt', Buffer.from([1, 0, 2]));
    await symlink(join(folder, 'nowhere.md'), join(folder, 'broken.md'));
    const { documents } = await read();
    expect(documents.map(({ path }) => path)).toEqual(['docs/good.md']);
    expect(lines).toEqual([
      expect.stringContaining('docs/binary.txt: it is not text'),
      expect.stringContaining('docs/broken.md: ENOENT'),
      expect.stringContaining('docs/large.md: 1001 bytes are more than the 1000'),
    ]);
  });

  it('reads what is not UTF-8 as Windows-1252, and says so once', async () => {
    await write('a.md', '\uFEFF# Caf\u00e9');
    for (const name of ['b', 'c', 'd', 'e']) await write(`${name}.md`, Buffer.from('# Caf\u00e9', 'latin1'));
    const { documents } = await read();
    expect(documents.map(({ text }) => text).slice(0, 2)).toEqual(['\uFEFF# Caf\u00e9', '# Caf\u00e9']);
    expect(lines).toEqual(['Not UTF-8, so read as Windows-1252: docs/b.md, docs/c.md, docs/d.md and 1 more.']);
  });

  it('stops at the limit of files or of bytes, and says so once', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await write(`${name}.md`, `# ${name}`);
    expect((await read({ ...limits, files: 2 })).documents).toHaveLength(2);
    expect((await read({ ...limits, totalBytes: 10 })).documents).toHaveLength(3);
    expect(lines).toEqual([expect.stringContaining('docs/c.md'), expect.stringContaining('docs/d.md')]);
  });

  it('gives another digest for another text, and the same for the same', async () => {
    await write('a.md', 'one');
    const first = await read();
    expect((await read()).digest).toBe(first.digest);
    await write('a.md', 'two');
    expect((await read()).digest).not.toBe(first.digest);
  });

  it('says what, why and how to mend it when the folder is missing or holds nothing', async () => {
    await expect(readDocuments(folderSource(join(folder, 'missing')), log)).rejects.toThrow(
      /missing cannot be read\.\n {2}Why: {2}There is no such folder\.\n {2}Mend: Correct the path in --docs/,
    );
    await expect(readDocuments(folderSource(folder), log)).rejects.toThrow(
      /There is no document in[\s\S]*Why:[\s\S]*\.md, \.markdown, \.txt[\s\S]*Mend/,
    );
  });

  it('passes over an optional source that is missing or empty', async () => {
    await write('a/a.md', 'a');
    const sources = [
      { name: 'gone', path: join(folder, 'gone'), optional: true },
      { name: 'a', path: join(folder, 'a') },
    ];
    expect((await readDocuments(sources, log)).documents).toHaveLength(1);
  });

  it('finds the documentation that is installed with the project', async () => {
    const { documents } = await readDocuments(installedSources(), log);
    const paths = documents.map(({ path }) => path);
    expect(paths).toContain('undici/README.md');
    expect(paths).toContain('undici/docs/api/Client.md');
    expect(paths.length).toBeGreaterThan(40);
  });
});
