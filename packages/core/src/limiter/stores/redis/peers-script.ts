import type { Script } from '../../../kernel/index.js';

/**
 * Keys: the processes, by when they were last heard. Arguments: a process, and after how many milliseconds it is heard no more.
 * @returns how many there are
 */
export const peersScript: Script = {
  name: 'peers',
  lua: `#!lua flags=allow-oom
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')) do
  redis.call('ZADD', KEYS[1], now, ahead)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`,
};
