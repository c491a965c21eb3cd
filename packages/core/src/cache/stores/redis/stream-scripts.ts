import type { Script } from '../../../kernel/index.js';

/*
 * The atomic steps of streams that processes share, in the manner of `scripts.ts`. S is the log of one run, a Redis Stream; F
 * is there while the run is followed; L is the lease of the key, whose form `scripts.ts` says.
 *
 * The ID of a piece is `<chunks up to its end>-0`, that of the last one `<chunks>-1`; the bytes are its field `b`. So what comes
 * after a position is one range, and nothing is ever there twice.
 */

const shared = `
local function read_length(key)
  local last = redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if last.err or #last == 0 then return 0, false, last.err end
  local length, over = string.match(last[1][1], '^(%d+)-(%d+)$')
  return tonumber(length), over == '1', nil
end
`;

function script(name: string, flags: '' | ' flags=allow-oom', body: string): Script {
  return { name, lua: `#!lua${flags}${shared}${body.trim()}\n` };
}

/**
 * Says who has a lease.
 * Keys: L. No arguments.
 * @returns the token; null where nobody has it
 */
export const holderScript: Script = script(
  'holder',
  ' flags=allow-oom',
  `
return string.match(redis.call('GET', KEYS[1]) or '', '^[^:]*:%d+:[01]:(.*)$') or false
`,
);

/**
 * Adds to the log of a run that is followed what is not there yet, and publishes `s <key>` if that was anything. Nothing is
 * added after the last piece, nor where what comes before is missing.
 * Keys: S and F. Arguments: how many chunks there are before the pieces; how long to keep S, in milliseconds; the channel; the
 * key's name in the cache; then for each piece how many chunks there are up to its end, 1 if it is the last one, else 0, and
 * its bytes.
 * @returns 1 if it is followed, else 0; and how many chunks S has
 */
export const appendScript: Script = script(
  'append',
  '',
  `
local length, over, err = read_length(KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 0 then return { 0, length } end
if tonumber(ARGV[1]) > length then return { 1, length } end
if err then redis.call('DEL', KEYS[1]) end
local before, was_over = length, over
for i = 5, #ARGV, 3 do
  local chunks, last = tonumber(ARGV[i]), ARGV[i + 1] == '1'
  if not over and (chunks > length or (last and chunks == length)) then
    redis.call('XADD', KEYS[1], ARGV[i] .. '-' .. ARGV[i + 1], 'b', ARGV[i + 2])
    length, over = chunks, last
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if length > before or over ~= was_over then redis.call('PUBLISH', ARGV[3], 's ' .. ARGV[4]) end
return { 1, length }
`,
);

/**
 * Reads a log from the piece with the next chunk on, and says that the run is followed. Where that is news and the log has no
 * last piece, publishes `s <key>`.
 * Keys: S and F. Arguments: how many chunks are known; how many pieces to read at most; how long to keep F, in milliseconds, and
 * also S once it has its last piece; the channel; the key's name in the cache.
 * @returns 1 if there is a log, else 0; then for each piece how many chunks there are up to its end, 1 if it is the last one,
 *   else 0, and its bytes
 */
export const followScript: Script = script(
  'follow',
  ' flags=allow-oom',
  `
local length, over, err = read_length(KEYS[1])
local news = redis.call('EXISTS', KEYS[2]) == 0
redis.call('SET', KEYS[2], '1', 'PX', ARGV[3])
if over then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
elseif news then
  redis.call('PUBLISH', ARGV[4], 's ' .. ARGV[5])
end
local answer = { (err or (length == 0 and not over)) and 0 or 1 }
if answer[1] == 0 or ARGV[2] == '0' then return answer end
for _, piece in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1] .. '-0', '+', 'COUNT', ARGV[2])) do
  local chunks, last = string.match(piece[1], '^(%d+)-(%d+)$')
  answer[#answer + 1] = tonumber(chunks)
  answer[#answer + 1] = tonumber(last)
  answer[#answer + 1] = piece[2][2]
end
return answer
`,
);
