import { type Clock, Deadlines, type Due, runOutside } from '../kernel/index.js';

/** What has a limit in time. */
export interface Alarm extends Due {
  ring(): void;
}

const wheels = new WeakMap<Clock, Deadlines<Alarm>>();

/**
 * The instants at which attempts are over: of all policies on one clock, on one timer. It is set by one call and rings for others,
 * who are not to find themselves in that one's AsyncLocalStorages.
 */
export function alarmsOf(clock: Clock): Deadlines<Alarm> {
  let alarms = wheels.get(clock);
  if (!alarms) {
    alarms = new Deadlines<Alarm>(clock, (alarm) => runOutside(() => alarm.ring()), 0);
    wheels.set(clock, alarms);
  }
  return alarms;
}
