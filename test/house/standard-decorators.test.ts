import { mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { root, runProgram } from './project.js';

/** The workspace itself compiles with Nest's legacy decorators; this is a class of somebody who does not. */
const source = `
import { Batched, Cached, RateLimited, WithFallback } from '@warmpath/nestjs';

export class Lengths {
  @WithFallback({ to: 'none' })
  @Cached({ key: (text: string) => text })
  @RateLimited({ limit: 1, window: '1s' })
  async length(text: string): Promise<number> {
    return text.length;
  }

  async none(_text: string): Promise<number> {
    return 0;
  }

  @Batched({ run: 'many', weight: (text: string) => text.length, maxWeight: 100 })
  async one(text: string): Promise<number> {
    return text.length;
  }

  async many(texts: string[]): Promise<(number | Error)[]> {
    return texts.map((text) => text.length);
  }

  // @ts-expect-error there is no such method
  @Batched({ run: 'nowhere' })
  async two(text: string): Promise<number> {
    return text.length;
  }

  // @ts-expect-error the batch method takes texts
  @Batched({ run: 'many' })
  async three(item: Date): Promise<number> {
    return item.getTime();
  }
}
`;

it('the decorators compile as standard decorators too, and refuse what does not fit', async () => {
  const folder = join(root, 'node_modules', '.warmpath-standard');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'node_modules', '@warmpath'), { recursive: true });
  symlinkSync(realpathSync(join(root, 'packages/nestjs')), join(folder, 'node_modules/@warmpath/nestjs'), 'junction');
  writeFileSync(join(folder, 'lengths.ts'), source);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.base.json',
      compilerOptions: { noEmit: true, types: [] },
      include: ['*.ts'],
    }),
  );
  const { stdout } = await runProgram('tsc', ['--project', folder, '--pretty', 'false']);
  expect(stdout).toBe('');
});
