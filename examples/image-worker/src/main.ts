import { createApp, listen } from './app.js';
import { placeOf } from './caption-store.js';
import { ConfigError, helpFor, readConfig } from './config.js';

try {
  const help = helpFor(process.argv.slice(2));
  if (help) console.log(help);
  else await start();
} catch (error) {
  console.error(lineOf(error));
  process.exitCode = 1;
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const app = await createApp(config);
  try {
    const url = await listen(app, config);
    const { vision } = config;
    const place = placeOf(config);
    const captions = vision ? `captions by ${vision.model} of ${vision.baseUrl}` : 'measured captions';
    const kept = place === undefined ? '' : `, kept in ${place}`;
    console.log(`The image worker listens at ${url} (${captions}${kept}).`);
  } catch (error) {
    await app.close();
    throw error;
  }
}

/** What the person who starts the worker can mend is one line; anything else keeps its stack. */
function lineOf(error: unknown): unknown {
  if (error instanceof ConfigError) return error.message;
  if (!(error instanceof Error && 'code' in error)) return error;
  switch (error.code) {
    case 'EADDRINUSE':
      return 'PORT: another program listens there. Choose another one, or 0 for any free one.';
    case 'EACCES':
      return 'PORT: this user may not listen there. Choose one above 1023, or 0 for any free one.';
    case 'EADDRNOTAVAIL':
    case 'EAI_AGAIN':
    case 'EINVAL':
    case 'ENOTFOUND':
      return `HOST: this machine has no such address (${error.code}). Choose one of its own, such as 127.0.0.1, or 0.0.0.0 for all.`;
    default:
      return error;
  }
}
