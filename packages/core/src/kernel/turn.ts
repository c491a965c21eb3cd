const settled = Promise.resolve();

/**
 * Runs `run` at the end of this turn of the event loop: after the promise jobs that are due, and those that they set off, so that
 * whatever the turn's code asks for, has been asked for. Before any timer or I/O.
 */
export function atTurnsEnd(run: () => void): void {
  // A tick that is asked for by a promise job comes when no promise job is left.
  void settled.then(() => process.nextTick(run));
}
