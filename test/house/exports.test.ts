import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportedParts, type Manifest, packageFolders, projectFiles, readJson, root } from './project.js';

const parts = exportedParts();

describe('the exports map of core', () => {
  it('has one subpath for each folder with a door, and no other', () => {
    const doors = projectFiles('packages/core/src/*/index.ts').map((path) => path.split('/')[3]);
    expect(parts.toSorted()).toEqual(doors.toSorted());
  });

  it.each(parts)('gives %s its own types and code', (part) => {
    const { exports } = readJson<Manifest>('packages/core/package.json');
    expect(exports[`./${part}`]).toEqual({
      types: `./dist/${part}/index.d.ts`,
      default: `./dist/${part}/index.js`,
    });
  });

  it.each(parts)('can be imported as @warmpath/core/%s, and gives something', async (part) => {
    const specifier = `@warmpath/core/${part}`;
    const names = Object.keys(await import(/* @vite-ignore */ specifier));
    expect(names).not.toEqual([]);
    expect(names).not.toContain('default');
  });
});

describe.each(packageFolders)('the exports map of %s', (folder) => {
  const { name, exports } = readJson<Manifest>(`${folder}/package.json`);

  it('names files that the build has made', () => {
    const files = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? entry : Object.values(entry)));
    expect(files.filter((file) => !existsSync(join(root, folder, file)))).toEqual([]);
  });

  it('can be imported by its name', async () => {
    expect(Object.keys(await import(/* @vite-ignore */ name))).not.toEqual([]);
  });
});
