import { helpFor, readConfig } from './config.js';
import { runProgram, untilStopped } from './lifecycle.js';
import { holdingsOf, startApp } from './start.js';

await runProgram(async () => {
  const args = process.argv.slice(2);
  const help = helpFor(args, 'main');
  if (help) return console.log(help);
  const stopped = untilStopped();
  const config = readConfig(args, process.env, 'main');
  const app = await startApp({ ...config, portGiven: true }, (line) => console.warn(line));
  console.log(`${app.url} answers from ${holdingsOf(app)} with ${app.model}.`);
  if (app.keptIn !== undefined) console.log(`Answers are kept in ${app.keptIn} as well.`);
  await stopped;
  await app.close();
});
