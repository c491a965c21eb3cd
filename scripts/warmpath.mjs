// The one door of the workspace: `npm run demo|test|check|build|bench|test:runtimes|format` all come here.
// It runs on any Node from 20 on with nothing installed, installs what the command needs with the pinned pnpm,
// and runs the rest on the pinned Node. Both steps are skipped when nothing has changed since the last time.

import { build } from './build.mjs';
import { check } from './check.mjs';
import { install } from './install.mjs';
import { run, Stopped } from './process.mjs';
import { testRuntimes } from './runtimes.mjs';

/** @type {Record<string, (args: string[]) => Promise<number>>} */
const commands = {
  async demo(args) {
    await install('demo');
    await build('examples/rag-chat');
    return run('node', ['examples/rag-chat/dist/demo.js', ...args]);
  },
  async test(args) {
    await install('all');
    await build();
    return run('vitest', ['run', ...args]);
  },
  async check() {
    await install('all');
    await build();
    return check();
  },
  async build() {
    await install('all');
    await build();
    return 0;
  },
  async bench(args) {
    await install('all');
    await build();
    return run('node', ['benchmarks/run.ts', ...args]);
  },
  async 'test:runtimes'() {
    await install('all');
    await build();
    return testRuntimes();
  },
  async format() {
    await install('all');
    return run('biome', ['check', '--write', '.']);
  },
};

const [name = '', ...args] = process.argv.slice(2);
const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
if (!command) {
  console.error(`Unknown command '${name}'. It takes one of: ${Object.keys(commands).join(', ')}.`);
  process.exit(2);
}
try {
  process.exitCode = await command(args);
} catch (error) {
  if (!(error instanceof Stopped)) console.error(error instanceof Error ? error.message : error);
  process.exitCode = error instanceof Stopped ? error.status : 1;
}
