import { readConfig } from './config.js';
import { runProgram, untilStopped } from './lifecycle.js';
import { startApp } from './start.js';

await runProgram(async () => {
  const stopped = untilStopped();
  const config = readConfig(process.argv.slice(2), process.env, 'main');
  const app = await startApp({ ...config, portGiven: true }, (line) => console.warn(line));
  console.log(`${app.url} answers from ${app.documents} documents (${app.passages} passages) with ${app.model}.`);
  await stopped;
  await app.close();
});
