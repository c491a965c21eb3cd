import type { Clock } from '../kernel/index.js';
import { type Alarm, alarmsOf } from './alarms.js';
import type { Asker, Leaver } from './scope.js';

/** Waits, unless whoever waits leaves first: then it rejects with the reason. */
export function pause(asker: Asker, clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const alarms = alarmsOf(clock);
    const alarm: Alarm = {
      endsAt: clock.now() + delayMs,
      places: [],
      ring() {
        asker.unwatch(leaver);
        resolve();
      },
    };
    const leaver: Leaver = {
      abort(reason) {
        alarms.remove(alarm);
        asker.unwatch(leaver);
        reject(reason);
      },
    };
    alarms.add(alarm);
    asker.watch(leaver);
  });
}
