import { existsSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { errorCodes } from '@warmpath/core/kernel';
import { describe, expect, it } from 'vitest';
import { projectFiles, proseLines, read, root, runProgram } from './project.js';

const documents = projectFiles('**/*.md').filter((path) => !path.startsWith('.changeset/'));

describe('docs/errors.md', () => {
  const sections = read('docs/errors.md').split(/^## /m).slice(1);
  const section = (code: string): string | undefined => sections.find((text) => text.startsWith(`${code}\n`));

  it('has one section for each code, in the order of the codes, and no other', () => {
    expect(sections.map((text) => text.slice(0, text.indexOf('\n')))).toEqual(Object.keys(errorCodes));
  });

  it.each(Object.entries(errorCodes))('says what %s means, why it happens and how to mend it', (code, meaning) => {
    expect(section(code)).toContain(meaning);
    expect(section(code)).toMatch(/\*\*Why:\*\* \S/);
    expect(section(code)).toMatch(/\*\*Mend:\*\* \S/);
  });
});

describe('the links of the documents', () => {
  /** The anchors that a hosting site makes of the headings: lower case, no punctuation, hyphens, numbers for repeats. */
  const anchors = (path: string): Set<string> => {
    const seen = new Map<string, number>();
    const found = new Set<string>();
    for (const line of proseLines(read(path))) {
      const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
      for (const [, id] of line.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) if (id) found.add(id);
      if (heading === undefined) continue;
      const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
      const slug = text.replace(/[^\p{L}\p{N}\s_-]/gu, '').replaceAll(' ', '-');
      const repeats = seen.get(slug) ?? 0;
      seen.set(slug, repeats + 1);
      found.add(repeats === 0 ? slug : `${slug}-${repeats}`);
    }
    return found;
  };

  const problem = (from: string, target: string): string | undefined => {
    const [file = '', anchor] = target.split('#', 2);
    const path = file === '' ? from : posix.join(posix.dirname(from), decodeURIComponent(file));
    if (!existsSync(join(root, path))) return `${from}: '${target}' names no file`;
    if (anchor && path.endsWith('.md') && !anchors(path).has(anchor)) return `${from}: '${target}' names no heading`;
    return undefined;
  };

  it.each(documents)('in %s lead to files and headings that exist', (path) => {
    const prose = proseLines(read(path))
      .join('\n')
      .replace(/`[^`\n]*`/g, '');
    const targets = [...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g), ...prose.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)];
    const relative = targets.map(([, target = '']) => target).filter((target) => !/^[a-z][a-z+.-]*:/i.test(target));
    expect(relative.map((target) => problem(path, target)).filter(Boolean)).toEqual([]);
  });
});

/** A fenced block of TypeScript, and the line of the document on which its code starts. */
interface Snippet {
  readonly path: string;
  readonly line: number;
  readonly code: string;
}

function snippetsOf(path: string): Snippet[] {
  const text = read(path);
  return [...text.matchAll(/^```(?:ts|typescript)[ \t]*\n(.*?)^```[ \t]*$/gms)].map((match) => ({
    path,
    line: text.slice(0, match.index).split('\n').length + 1,
    code: match[1] ?? '',
  }));
}

describe('the TypeScript in the documents', () => {
  const snippets = documents.flatMap(snippetsOf);
  const folder = join(root, 'node_modules', '.warmpath-snippets');

  it.skipIf(snippets.length === 0)('type-checks, each block alone, with what the workspace has installed', async () => {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    linkInstalled(join(folder, 'node_modules'));
    for (const { path, line, code } of snippets) {
      // Empty lines before the code keep the compiler's line numbers those of the document.
      writeFileSync(
        join(folder, `${path.replaceAll('/', '__')}.${line}.ts`),
        `${'\n'.repeat(line - 1)}${code}\nexport {};\n`,
      );
    }
    const compilerOptions = {
      noEmit: true,
      experimentalDecorators: true,
      noUnusedLocals: false,
      noUnusedParameters: false,
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] }),
    );
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    const { stdout } = await runProgram('tsc', ['--project', folder, '--pretty', 'false']);
    const faults = stdout
      .split('\n')
      .filter(Boolean)
      .map((fault) =>
        fault.replace(
          /^.*?([^/\\]+\.md)\.\d+\.ts\((\d+),/,
          (_, path, line) => `${path.replaceAll('__', '/')}:${line} (`,
        ),
      );
    expect(faults).toEqual([]);
  });

  /** One node_modules with all that any package of the workspace has: a snippet may use NestJS, Express and core alike. */
  function linkInstalled(target: string): void {
    const homes = [
      'test',
      'packages/nestjs',
      'packages/express',
      'packages/core',
      'examples/rag-chat',
      'examples/image-worker',
      '.',
    ];
    for (const home of homes.map((each) => join(root, each, 'node_modules')).filter(existsSync)) {
      const names = readdirSync(home).filter((name) => !name.startsWith('.'));
      const scoped = names.flatMap((name) =>
        name.startsWith('@') ? readdirSync(join(home, name)).map((inner) => `${name}/${inner}`) : [name],
      );
      for (const name of scoped) {
        const link = join(target, name);
        if (existsSync(link)) continue;
        mkdirSync(dirname(link), { recursive: true });
        symlinkSync(realpathSync(join(home, name)), link, 'junction');
      }
    }
  }
});

describe('the files of the project', () => {
  // Written so that the pattern does not find itself.
  const foreign = /\/w[o]rk\/|\/f[a]rm\/|\/b[a]sh_jobs|\bs[u]b-?agent|before-st[o]p|\/(?:home|Users)\/[a-z][\w-]*\//i;

  it('name no path of one machine', () => {
    const text = /\.(?:[cm]?[jt]sx?|json|jsonc|md|ya?ml|html|css|grit|txt|sh)$/;
    const named = projectFiles('{*,.changeset/*,{packages,examples,test,benchmarks,docs,scripts}/**/*}')
      .filter((path) => text.test(path) && path !== 'pnpm-lock.yaml')
      .filter((path) => foreign.test(read(path)));
    expect(named).toEqual([]);
  });
});
