import type { Script } from '../../../kernel/index.js';

/*
 * The atomic steps. Numbers in keys, arguments and messages are decimal text. A record (`record.ts`) begins with 'WPR1', a
 * byte of flags (1: expired), 3 unused bytes and its generation, 8 characters; nothing else of it is read here. A key that
 * holds something else counts as one that holds nothing.
 *
 * Where a script takes several keys of the cache, their names come in groups: all of the first, then all of the second; the
 * arguments of each likewise, after those that are for all. E, G and L are the names of `RedisKeys.entry`, `generation` and
 * `lease`, V is `versions`, T the `tag`s.
 *
 * Scripts that have to work when the memory is full say `allow-oom`; the others are refused by the server then, as a whole.
 */

const shared = `
local function read_versions(key, epoch)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'string' then text = '' end
  local e, seq, clear, tagged, run = string.match(text, '^([%w_-]+):(%d+):(%d+):(%d+):([%w_-]*)$')
  if not e then return { epoch = epoch, seq = 1, clear = 0, tagged = 0, run = '' } end
  return { epoch = e, seq = tonumber(seq), clear = tonumber(clear), tagged = tonumber(tagged), run = run, text = text }
end
local function write_versions(key, v)
  local text = string.format('%s:%.0f:%.0f:%.0f:%s', v.epoch, v.seq, v.clear, v.tagged, v.run)
  redis.call('SET', key, text)
  return text
end
local function read_generation(entry, generation)
  local head = redis.pcall('GETRANGE', entry, 0, 15)
  if type(head) ~= 'string' or #head < 16 or string.sub(head, 1, 4) ~= 'WPR1' then
    return redis.call('GET', generation), 'none'
  end
  return string.sub(head, 9, 16), string.byte(head, 5) % 2 == 1 and 'expired' or 'present'
end
local function read_lease(key)
  local epoch, seq, waited, token = string.match(redis.call('GET', key) or '', '^([^:]*):(%d+):([01]):(.*)$')
  return token and { epoch = epoch, seq = tonumber(seq), waited = waited, token = token }
end
local function write_lease(key, lease, ...)
  redis.call('SET', key, string.format('%s:%.0f:%s:', lease.epoch, lease.seq, lease.waited) .. lease.token, ...)
end
`;

function script(name: string, flags: '' | ' flags=allow-oom', body: string): Script {
  return { name, lua: `#!lua${flags}${shared}${body.trim()}\n` };
}

/**
 * Gives a namespace its versions where it has none: the epoch that is offered, the sequence 1.
 * Keys: V. Arguments: an epoch.
 * @returns V
 */
export const openScript: Script = script(
  'open',
  ' flags=allow-oom',
  `
local v = read_versions(KEYS[1], ARGV[1])
return v.text or write_versions(KEYS[1], v)
`,
);

/**
 * After a server was reached that may not be the one of before: if V was last seen on another, it may be older than what was
 * told of it, and so may the last skip. So the sequence goes on from the microseconds since 1970, or a million further on, whichever is
 * more, lest a number is used twice: time gives a number that is large enough, and decides nothing. Where INFO is allowed, the run id is that of the server
 * which has V, whichever was given.
 * Keys: V. Arguments: an epoch, for where there is none; a run id.
 * @returns V, and 1 if it was last seen on another server or was not there, else 0
 */
export const restartScript: Script = script(
  'restart',
  ' flags=allow-oom',
  `
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ARGV[2]
local v = read_versions(KEYS[1], ARGV[1])
if v.run == run then return { v.text, 0 } end
if v.text then
  local time = redis.call('TIME')
  v.seq = math.max(v.seq + 1000000, tonumber(time[1]) * 1000000 + tonumber(time[2]))
end
v.run = run
return { write_versions(KEYS[1], v), 1 }
`,
);

/**
 * Reads the versions of a namespace and of tags; what is missing is made: V as by `open`, a T with the present sequence. One that
 * is ahead of it has outlived its epoch, and counts as missing: its number is going to be given out again. Each T is kept for as long as is asked, or longer.
 * Keys: V, then T of each tag. Arguments: an epoch; how long to keep each T, in milliseconds.
 * @returns V, then what is in each T
 */
export const markTagsScript: Script = script(
  'markTags',
  '',
  `
local v = read_versions(KEYS[1], ARGV[1])
local answer = { v.text or write_versions(KEYS[1], v) }
local seq = string.format('%.0f', v.seq)
for i = 2, #KEYS do
  local mark = redis.pcall('GET', KEYS[i])
  if type(mark) == 'string' and string.match(mark, '^%d+$') and tonumber(mark) <= v.seq then
    redis.call('PEXPIRE', KEYS[i], ARGV[2], 'GT')
  else
    mark = seq
    redis.call('SET', KEYS[i], seq, 'PX', ARGV[2])
  end
  answer[i] = mark
end
return answer
`,
);

/**
 * Numbers an invalidation and publishes it, as `<seq> <epoch> <publisher> <type> <names>`. A clear becomes the last clear; one of
 * tags becomes the last of any tag, and the number in each of its T. Where V is missing, its epoch begins.
 * Keys: V, then T of each tag where the type is `tags`. Arguments: an epoch; the channel; who publishes; the type; the names
 * of keys or tags as JSON; how long to keep each T at least, in milliseconds.
 * @returns V
 */
export const bumpScript: Script = script(
  'bump',
  ' flags=allow-oom',
  `
local v = read_versions(KEYS[1], ARGV[1])
v.seq = v.seq + 1
if ARGV[4] == 'clear' then v.clear = v.seq end
if ARGV[4] == 'tags' then v.tagged = v.seq end
local text = write_versions(KEYS[1], v)
local seq = string.format('%.0f', v.seq)
for i = 2, #KEYS do
  local ttl = math.max(redis.call('PTTL', KEYS[i]), tonumber(ARGV[6]))
  redis.call('SET', KEYS[i], seq, 'PX', string.format('%.0f', ttl))
end
redis.call('PUBLISH', ARGV[2], seq .. ' ' .. v.epoch .. ' ' .. ARGV[3] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
return text
`,
);

/**
 * Says who is to compute each key. One that has an entry of another generation than the one that is known, and not expired,
 * is answered with that. Else its generation, of the entry, of G, or the one that is offered, is kept in G; and the lease is
 * granted, unless somebody else has one of the same epoch that is not older than the newest version which rules the key:
 * that one is marked as waited for. A lease that is taken over and was waited for still is.
 * Keys: E, G and L of each key. Arguments: the token; the epoch and the sequence that the holder goes by; how long to keep L
 * and G, in milliseconds; then for each key the generation that is known (empty: none), the newest version that rules it,
 * and a generation to offer.
 * @returns for each key `[0, generation]` if granted, `[1, generation]` if held, `[2, record]` if there is a newer entry
 */
export const leaseScript: Script = script(
  'lease',
  '',
  `
local answer = {}
for i = 0, #KEYS / 3 - 1 do
  local entry, generation, key = KEYS[3 * i + 1], KEYS[3 * i + 2], KEYS[3 * i + 3]
  local known, ruling, offered = ARGV[3 * i + 6], tonumber(ARGV[3 * i + 7]), ARGV[3 * i + 8]
  local present, state = read_generation(entry, generation)
  if state == 'present' and present ~= known then
    answer[i + 1] = { 2, redis.call('GET', entry) }
  else
    present = present or offered
    redis.call('SET', generation, present, 'PX', ARGV[5])
    local lease = read_lease(key)
    if lease and lease.token ~= ARGV[1] and lease.epoch == ARGV[2] and lease.seq >= ruling then
      if lease.waited == '0' then
        lease.waited = '1'
        write_lease(key, lease, 'KEEPTTL')
      end
      answer[i + 1] = { 1, present }
    else
      local mine = { epoch = ARGV[2], seq = tonumber(ARGV[3]), waited = lease and lease.waited or '0', token = ARGV[1] }
      write_lease(key, mine, 'PX', ARGV[4])
      answer[i + 1] = { 0, present }
    end
  end
end
return answer
`,
);

/**
 * Makes room for values that are set by hand: takes away what is there, voids what is being computed, and keeps in G the
 * generation that is given, for the commit that follows. Of two that set a key the later one wins; and a value that arrives
 * later than a deletion which came after its claim does not come back.
 * Keys: E, G and L of each key. Arguments: how long to keep G, in milliseconds; then for each key its generation.
 * @returns how many
 */
export const claimScript: Script = script(
  'claim',
  '',
  `
for i = 0, #KEYS / 3 - 1 do
  redis.call('DEL', KEYS[3 * i + 1], KEYS[3 * i + 3])
  redis.call('SET', KEYS[3 * i + 2], ARGV[i + 2], 'PX', ARGV[1])
end
return #KEYS / 3
`,
);

/**
 * Puts records in place that began under a generation which is still that of the key.
 * Keys: E and G of each key. Arguments: for each key the generation; how long to keep E, in milliseconds; the record, with a
 * generation of its own.
 * @returns for each key 1 if it is stored, else 0
 */
export const commitScript: Script = script(
  'commit',
  '',
  `
local answer = {}
for i = 0, #KEYS / 2 - 1 do
  local entry, generation = KEYS[2 * i + 1], KEYS[2 * i + 2]
  if read_generation(entry, generation) == ARGV[3 * i + 1] then
    redis.call('SET', entry, ARGV[3 * i + 3], 'PX', ARGV[3 * i + 2])
    redis.call('DEL', generation)
    answer[i + 1] = 1
  else
    answer[i + 1] = 0
  end
end
return answer
`,
);

/**
 * Takes away what is there, and voids what is being computed.
 * Keys: E, G and L of each key. No arguments.
 * @returns how many names had something
 */
export const forgetScript: Script = script(
  'forget',
  ' flags=allow-oom',
  `
local count = 0
for i = 1, #KEYS do count = count + redis.call('UNLINK', KEYS[i]) end
return count
`,
);

/**
 * Marks entries as expired, under a new generation, and voids what is being computed.
 * Keys: E, G and L of each key. Arguments: for each key a generation.
 * @returns how many entries there were
 */
export const expireScript: Script = script(
  'expire',
  ' flags=allow-oom',
  `
local count = 0
for i = 0, #KEYS / 3 - 1 do
  local entry, generation = KEYS[3 * i + 1], KEYS[3 * i + 2]
  local _, state = read_generation(entry, generation)
  if state ~= 'none' then
    redis.call('SETRANGE', entry, 4, string.char(1))
    redis.call('SETRANGE', entry, 8, ARGV[i + 1])
    count = count + 1
  end
  redis.call('DEL', generation, KEYS[3 * i + 3])
end
return count
`,
);

/**
 * Prolongs leases that are still held by the token, and what they compute under.
 * Keys: L and G of each key. Arguments: the token; how long to keep L and G, in milliseconds.
 * @returns for each key 1 if it is held, else 0
 */
export const renewScript: Script = script(
  'renew',
  ' flags=allow-oom',
  `
local answer = {}
for i = 0, #KEYS / 2 - 1 do
  local lease = read_lease(KEYS[2 * i + 1])
  answer[i + 1] = 0
  if lease and lease.token == ARGV[1] then
    redis.call('PEXPIRE', KEYS[2 * i + 1], ARGV[2])
    redis.call('PEXPIRE', KEYS[2 * i + 2], ARGV[3])
    answer[i + 1] = 1
  end
end
return answer
`,
);

/**
 * Ends leases that are still held by the token; where somebody waits for one, publishes `r <key>`.
 * Keys: L of each key. Arguments: the token; the channel; then for each key its name in the cache.
 * @returns for each key 1 if it was held, else 0
 */
export const releaseScript: Script = script(
  'release',
  ' flags=allow-oom',
  `
local answer = {}
for i = 1, #KEYS do
  local lease = read_lease(KEYS[i])
  answer[i] = 0
  if lease and lease.token == ARGV[1] then
    redis.call('DEL', KEYS[i])
    if lease.waited == '1' then redis.call('PUBLISH', ARGV[2], 'r ' .. ARGV[i + 2]) end
    answer[i] = 1
  end
end
return answer
`,
);
