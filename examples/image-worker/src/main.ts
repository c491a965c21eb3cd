import { createApp } from './app.js';
import { ConfigError, readConfig } from './config.js';

try {
  const config = readConfig(process.env);
  const app = await createApp(config);
  await app.listen(config.port, config.host);
  const captions = config.vision
    ? `captions by ${config.vision.model} of ${config.vision.baseUrl}`
    : 'measured captions';
  console.log(`The image worker listens at ${await app.getUrl()} (${captions}).`);
} catch (error) {
  console.error(lineOf(error));
  process.exitCode = 1;
}

/** What the person who starts the worker can mend is one line; anything else keeps its stack. */
function lineOf(error: unknown): unknown {
  if (error instanceof ConfigError) return error.message;
  if (!(error instanceof Error && 'code' in error)) return error;
  if (error.code === 'EADDRINUSE')
    return 'PORT: another program listens there. Choose another one, or 0 for any free one.';
  if (error.code === 'EACCES')
    return 'PORT: this user may not listen there. Choose one above 1023, or 0 for any free one.';
  return error;
}
