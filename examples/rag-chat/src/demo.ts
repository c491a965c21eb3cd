import { helpFor, readConfig } from './config.js';
import { runProgram, untilStopped } from './lifecycle.js';
import { holdingsOf, type RunningApp, startApp } from './start.js';
import { installedPlan, planOf, printTour, runTour } from './tour.js';

await runProgram(async () => {
  const args = process.argv.slice(2);
  const help = helpFor(args, 'demo');
  if (help) return console.log(help);
  const stopped = untilStopped();
  const leaving = new AbortController();
  void stopped.then(() => leaving.abort());
  const config = readConfig(args, process.env, 'demo');
  const app = await startApp(config, (line) => console.warn(line));
  try {
    console.log(`\nWarmpath RAG chat: ${app.url}`);
    console.log(`${holdingsOf(app)}, answered by ${app.model}`);
    if (app.keptIn !== undefined) console.log(`Answers are kept in ${app.keptIn} as well.`);
    console.log();
    await tour(app, config.docs === undefined, leaving.signal);
    if (leaving.signal.aborted) {
      if (config.exit) process.exitCode = 130; // nobody may take half a tour for a good one
      return;
    }
    if (config.exit) return;
    console.log(`\nAsk your own at ${app.url}  (Ctrl-C stops it)`);
    await stopped;
  } finally {
    await app.close();
  }
});

async function tour(app: RunningApp, installed: boolean, leaving: AbortSignal): Promise<void> {
  const { url, suggestions, model } = app;
  if (suggestions.length === 0)
    return console.log('No question suggests itself from these documents: there is no tour.');
  const plan = installed ? installedPlan : planOf(suggestions);
  const outcome = await runTour(url, { ...plan, model }, leaving);
  if (leaving.aborted) return;
  printTour(outcome, console.log);
  if (outcome.failures.length > 0) process.exitCode = 1;
}
