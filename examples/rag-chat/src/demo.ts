import { readConfig } from './config.js';
import { runProgram, untilStopped } from './lifecycle.js';
import { startApp } from './start.js';
import { installedPlan, planOf, printTour, runTour } from './tour.js';

await runProgram(async () => {
  const stopped = untilStopped();
  const leaving = new AbortController();
  void stopped.then(() => leaving.abort());
  const config = readConfig(process.argv.slice(2), process.env, 'demo');
  const app = await startApp(config, (line) => console.warn(line));
  try {
    console.log(`\nWarmpath RAG chat: ${app.url}`);
    console.log(`${app.documents} documents, ${app.passages} passages, answered by ${app.model}\n`);
    const plan = config.docs === undefined ? installedPlan : planOf(app.suggestions);
    const outcome = await runTour(app.url, plan, leaving.signal);
    if (leaving.signal.aborted) {
      if (config.exit) process.exitCode = 130; // nobody may take half a tour for a good one
      return;
    }
    printTour(outcome, console.log);
    if (outcome.failures.length > 0) process.exitCode = 1;
    if (config.exit) return;
    console.log(`\nAsk your own at ${app.url}  (Ctrl-C stops it)`);
    await stopped;
  } finally {
    await app.close();
  }
});
