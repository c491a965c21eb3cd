import { type Clock, type RedisPort, type Script, seededRandom, systemClock } from '@warmpath/core/kernel';
import type { Dimension, LimiterStore } from '@warmpath/core/limiter';
import { redisLimitsOver } from '../packages/core/src/limiter/stores/redis/redis-limits.js';

/** Server time that a test decides, in whole microseconds; what Redis itself expires goes by its own clock. */
export interface ServerTime {
  readonly ms: number;
  pass(ms: number): void;
}

export function serverTime(startMs: number = Date.UTC(2026, 2, 28, 22)): ServerTime {
  let micros = startMs * 1_000;
  return {
    // As the scripts reckon it, to the last bit.
    get ms() {
      return Math.floor(micros / 1e6) * 1_000 + (micros % 1e6) / 1_000;
    },
    pass(ms) {
      micros += Math.round(ms * 1_000);
    },
  };
}

/** The same port to a server on which it is that late. The scripts are as they are, but for where they ask what time it is. */
function onTime(port: RedisPort, time: ServerTime): RedisPort {
  const changed = new Map<Script, Script>();
  return {
    isCluster: port.isCluster,
    getMany: (...args) => port.getMany(...args),
    subscribe: (...args) => port.subscribe(...args),
    onServer: (prepare) => port.onServer(prepare),
    close: () => port.close(),
    run(script, keys, args, signal) {
      const seconds = Math.floor(time.ms / 1_000);
      const micros = Math.round((time.ms - seconds * 1_000) * 1_000);
      const known = changed.get(script) ?? { ...script, lua: withTimeGiven(script.lua) };
      changed.set(script, known);
      return port.run(known, keys, [...args, `${seconds}`, `${micros}`], signal);
    },
  };
}

function withTimeGiven(lua: string): string {
  const given = lua.replace(/\b(redis\.)?call\('TIME'\)/, '{ ARGV[#ARGV - 1], ARGV[#ARGV] }');
  if (given === lua) throw new Error('The script does not ask for the time.');
  return given;
}

/** A process on the server's time; its own clock says something else. */
export function limitsOn(port: RedisPort, time: ServerTime, prefix: string, seed = 1): LimiterStore {
  const clock: Clock = { ...systemClock, now: () => time.ms - 1e12, wall: () => time.ms + 1e9 };
  const over = { name: 'redis', prefix, clock, random: seededRandom(seed) };
  return redisLimitsOver(onTime(port, time), over);
}

export function window(limit: number, windowMs: number, burst?: number): Dimension {
  return { kind: 'window', name: `${limit}/${windowMs}/${burst}`, unit: 'requests', limit, windowMs, burst };
}

export function calendar(limit: number, per: 'hour' | 'day', timeZone: string): Dimension {
  return { kind: 'calendar', name: per, unit: 'requests', limit, per, timeZone };
}
