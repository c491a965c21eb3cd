import type { Script } from '../../../kernel/index.js';
import { logs, meters, places } from './meter-lua.js';

/*
 * One atomic step: what one process asks of some accounts in one turn of its event loop, in order, each decided by itself. The
 * rules are those of `meters/` and `account.ts`; `test/limiter-redis-model.test.ts` holds the two against each other.
 *
 * Time. Amounts are charged on the account's time, in milliseconds: the server's, and an offset. It never goes back: what the
 * server's clock jumps back is added to the offset. What it jumps forward shows where a process says which time it was told and
 * how long ago, and is taken off, lest windows end early; not so what is less than a second. Where nothing else is new, the time is
 * kept when it is 100 ms further. Calendars follow the server's clock as it is.
 *
 * An account is one string. Its head, of a length that follows from its meters: 'WPL1', the generation (8 characters), until
 * when the key is kept by the server's time, the offset, the time last seen; then each meter. Its tail, each part with its
 * length before it: the processes that have charged what was lost (8 characters and a space each), the older entries of each log. A
 * key that holds something else counts as one that holds nothing, and that is all zeros behind the generation.
 *
 * The log of a window is the sum of what counts, the newest entry (first charge, last charge, amount) and the older ones, the
 * oldest first, 16 bytes each (last charge, amount). What is allowed within a step of the newest entry reads and writes the head
 * alone; no step walks over the older ones, but for one that is refused and a late refund.
 *
 * The places of a limit on concurrency are a sorted set: the id of each lease, and when it expires by the account's time.
 */

const begin = `
local call, read, pack, unpack, max, min = redis.call, struct.unpack, struct.pack, unpack, math.max, math.min
local slack, grace, most_spare, jump, unseen, most_told, nobody = 1 + 1e-9, 1000, 60000, 1000, 100, 128, '        '
local longest = 1e15 -- longer is no time to live
local ask = ARGV[1]
local process, candidate, calendars, position = read('<c8c8B', ask)
local time = call('TIME')
local wall = time[1] * 1000 + time[2] / 1000
local periods = {}
for i = 1, calendars do
  local from, till
  from, till, position = read('<dd', ask, position)
  if wall < from or wall >= till then return pack('<Bd', 0, wall) end
  periods[i] = { from = from, till = till }
end
local key, places_key, meters, generation, offset, at
local kept_until, told, is_tail_read, is_tail_new, is_new, held, last_place
`;

const accounts = `
local function load()
  is_tail_read, is_tail_new, is_new, held, last_place = false, false, false, 0, 0
  local head = redis.pcall('GETRANGE', key, '0', meters.last_byte)
  if type(head) ~= 'string' or #head < meters.head or string.sub(head, 1, 4) ~= 'WPL1' then
    head = 'WPL1' .. candidate .. string.rep('\\0', meters.head)
    is_tail_read, is_tail_new, is_new, told = true, true, true, ''
  end
  local _, since, ago, known, seen, from
  since, ago, known, position = read('<ddc8', ask, position)
  _, generation, kept_until, offset, seen, from = read('<c4c8ddd', head)
  at = wall + offset
  local is_known = since > 0 and (known == generation or known == nobody)
  if is_known and at - since - ago > jump then at = since + ago end
  at = max(at, seen)
  if at ~= wall + offset then offset, is_new = at - wall, true end
  if at - seen > unseen then is_new = true end
  for i = 1, #meters do
    local m = meters[i]
    if m.window then
      m.sum, m.first, m.last, m.amount, m.oldest, from = read('<ddddd', head, from)
      m.older = ''
      if m.burst then
        m.level, m.level_at, from = read('<dd', head, from)
        m.rate = 1
      end
    elseif m.period then
      m.used, m.from, m.till, from = read('<ddd', head, from)
      local present = periods[m.period]
      if wall >= m.till then m.used, m.from, m.till, is_new = 0, present.from, present.till, true
      elseif wall < 2 * m.from - m.till then m.from, m.till, is_new = present.from, present.till, true end
    end
  end
  for i = 1, #meters do
    local m = meters[i]
    local gone = m.window and at - m.window
    if gone and m.last > 0 and (m.last <= gone or m.oldest > 0 and m.oldest <= gone) then cut(m) end
  end
  if places_key then
    if type(redis.pcall('ZREMRANGEBYSCORE', places_key, '-inf', at)) == 'table' then call('DEL', places_key) end
    count_places()
  end
end
local function counts_for(m)
  if m.period then return m.used > 0 and m.till - wall or 0 end
  if m.places then return last_place - at end
  local counts = m.last + m.window - at
  return m.burst and m.level > 0 and max(counts, drained(m, m.level, m.rate)) or counts
end
local function write_head()
  local parts = { pack('<c4c8ddd', 'WPL1', generation, kept_until, offset, at) }
  for i = 1, #meters do
    local m = meters[i]
    if m.burst then
      parts[i + 1] = pack('<ddddddd', m.sum, m.first, m.last, m.amount, m.oldest, m.level, m.level_at)
    elseif m.window then
      parts[i + 1] = pack('<ddddd', m.sum, m.first, m.last, m.amount, m.oldest)
    else
      parts[i + 1] = m.period and pack('<ddd', m.used, m.from, m.till) or ''
    end
  end
  return table.concat(parts)
end
local function save()
  local counts = 0
  for i = 1, #meters do counts = max(counts, min(counts_for(meters[i]), longest)) end
  local is_kept = wall + counts + grace <= kept_until
  local keep = counts + grace + min(counts / 4, most_spare)
  if not is_kept then kept_until = wall + keep end
  if is_tail_new then
    local parts = { write_head(), pack('<I2', #told), told }
    for i = 1, #meters do
      local m = meters[i]
      if m.window then parts[#parts + 1] = pack('<I2', #m.older) .. m.older end
    end
    call('SET', key, table.concat(parts), 'PX', string.format('%.0f', max(keep, kept_until - wall)))
  else
    call('SETRANGE', key, '0', write_head())
    if not is_kept then call('PEXPIRE', key, string.format('%.0f', keep)) end
  end
end
`;

const steps = `
local function numbers()
  local list = { read(meters.numbers, ask, position) }
  position = list[#meters + 1]
  return list
end
local function lease()
  local id, ttl
  id, ttl, position = read('<I2c0d', ask, position)
  return id, ttl
end
local function waits_for(amounts, limits, id)
  local waits, longest, binding = {}, 0, 1
  for i = 1, #meters do
    local m, wait = meters[i], 0
    if not m.places then wait = wait_for(m, amounts[i], limits[i])
    elseif id then wait = wait_for_place(limits[i], id) end
    waits[i] = wait
    if wait > longest then longest, binding = wait, i end
  end
  return longest, binding, waits
end
local function charge_own(limits)
  local of
  of, position = read('<c8', ask, position)
  local own = numbers()
  if of == generation then return end
  read_tail()
  if string.find(told, process .. ' ', 1, true) then return end
  told, is_tail_new, is_new = string.sub(told .. process .. ' ', -9 * most_told), true, true
  charge(own, limits)
end
local function have_room(amounts, limits)
  for i = 1, #meters do
    local m, amount, limit = meters[i], amounts[i], limits[i]
    if m.period and m.used + amount > limit * slack or m.window and m.sum + amount > limit * slack then return false end
    if m.burst and level(m, limit / m.limit) + amount > m.burst * slack then return false end
  end
  return true
end
local function verdict(ok, binding, waits, limits)
  local values, least = {}, math.huge
  for i = 1, #meters do
    local left, share, reset = standing(meters[i], limits[i])
    if left < 0 then left, share = 0, 0 end
    values[2 * i - 1], values[2 * i] = left, reset
    if ok and share < least then least, binding = share, i end
  end
  local answer = pack(meters.answer, ok and 1 or 0, binding - 1, unpack(values))
  return ok and answer or answer .. pack(meters.numbers, unpack(waits))
end
local function take_one(amounts, limits, id, ttl, penalise)
  local wait, binding, waits = waits_for(amounts, limits, id)
  local ok = wait == 0
  if ok or penalise == 1 then charge(amounts, limits) end
  if ok and id and places_key then take_place(id, ttl) end
  if not ok and penalise == 1 then wait, binding, waits = waits_for(amounts, limits, id) end
  return verdict(ok, binding, waits, limits)
end
local function take(has_limits, has_debt, has_own, has_lease, penalise)
  local count, sum
  count, position = read('<B', ask, position)
  if count > 1 then sum = numbers() end
  local from = position
  position = from + count * #meters * 8
  local limits = has_limits == 1 and numbers() or meters.limits
  if has_debt == 1 then charge(numbers(), limits) end
  if has_own == 1 then charge_own(limits) end
  local id, ttl
  if has_lease == 1 then id, ttl = lease() end
  if sum and have_room(sum, limits) then
    charge(sum, limits)
    return pack('<B', 1) .. verdict(true, 1, nil, limits)
  end
  local till, each = position, { sum and pack('<B', 0) or '' }
  position = from
  for i = 1, count do each[i + 1] = take_one(numbers(), limits, id, ttl, penalise) end
  position = till
  return table.concat(each)
end
local function settle(has_lease)
  local corrections, charged, of = numbers()
  charged, of, position = read('<dc8', ask, position)
  for i = 1, #meters do
    if corrections[i] < 0 and of == generation then refund(meters[i], -corrections[i], charged) end
  end
  charge(corrections, meters.limits)
  if has_lease == 1 and call('ZREM', places_key, (lease())) == 1 then count_places() end
  return ''
end
local function extend(is_lost)
  local id, ttl = lease()
  local is_held = is_lost == 1 or call('ZSCORE', places_key, id)
  if is_held then take_place(id, ttl) end
  return pack('<B', is_held and 1 or 0)
end
`;

const decide = `
local function read_meters()
  local count
  count, position = read('<B', ask, position)
  local all = { head = 36, limits = {}, numbers = '<' .. string.rep('d', count) }
  all.answer = '<BB' .. string.rep('dd', count)
  for i = 1, count do
    local kind, limit, a, burst, unit
    kind, limit, a, burst, unit, position = read('<Bdddd', ask, position)
    local m = { limit = limit, older = '' }
    if kind == 1 then m.window, m.step, all.head = a, a / 64, all.head + (burst > 0 and 56 or 40)
    elseif kind == 2 then m.period, all.head = a, all.head + 24
    else m.places, all.has_places = true, true end
    if burst > 0 then m.burst, m.unit = burst, unit end
    all[i], all.limits[i] = m, limit
  end
  all.last_byte = string.format('%.0f', all.head - 1)
  return all
end
local shapes, shape_count, account_count, next_key, answers = {}, 0, 0, 1, { pack('<Bd', 1, wall) }
shape_count, account_count, position = read('<BB', ask, position)
for i = 1, shape_count do shapes[i] = read_meters() end
for _ = 1, account_count do
  local shape, step_count
  shape, step_count, position = read('<BB', ask, position)
  meters, key, places_key = shapes[shape], KEYS[next_key], nil
  next_key = next_key + 1
  if meters.has_places then places_key, next_key = KEYS[next_key], next_key + 1 end
  load()
  answers[#answers + 1] = pack('<dc8', at, generation)
  for _ = 1, step_count do
    local kind, a, b, c, d, e
    kind, a, b, c, d, e, position = read('<BBBBBB', ask, position)
    answers[#answers + 1] = kind == 1 and take(a, b, c, d, e) or kind == 2 and settle(d) or extend(a)
  end
  if is_new then save() end
end
return table.concat(answers)
`;

/**
 * Keys: of each account itself and, where it has limits on concurrency, its places. Arguments: what is asked (`ask.ts`).
 * @returns a byte 0 and the server's time, where a period that was named is not the present one, and nothing has happened;
 *   else a byte 1, the server's time, and for each account its time, its generation and the answers (`reply.ts`)
 */
export const accountScript: Script = {
  name: 'account',
  lua: `#!lua flags=allow-oom${begin}${logs}${meters}${places}${accounts}${steps}${decide}`,
};
