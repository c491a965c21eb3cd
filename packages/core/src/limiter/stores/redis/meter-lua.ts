/*
 * Parts of `accountScript`: one meter, in Lua. `at` is the account's time, `wall` the server's, `limit` what is asked with; a
 * meter `m` has the parameters that `Shape` describes and the state that `load` reads.
 */

/**
 * The log of a window, as `sliding-log.ts` has it. What it changes of the head is `is_new`, of the tail `is_tail_new`.
 */
export const logs: string = `
local function fits(amount, used, limit)
  return used + amount <= limit * slack or amount <= 0 or used == 0 and limit > 0
end
local function less(held, amount)
  return held - amount > held * 1e-9 and held - amount or 0
end
local function read_tail()
  if is_tail_read then return end
  is_tail_read = true
  local tail, from = call('GETRANGE', key, meters.head, -1), 1
  told, from = read('<I2c0', tail)
  for i = 1, #meters do
    local m = meters[i]
    if m.window then m.older, from = read('<I2c0', tail, from) end
  end
end
local function add_up(m)
  m.sum = m.amount
  local all = { read('<' .. string.rep('d', #m.older / 8), m.older) }
  for each = #all - 1, 2, -2 do m.sum = m.sum + all[each] end
end
local function cut(m)
  local gone, from = at - m.window, 1
  if m.oldest > 0 then
    read_tail()
    is_tail_new = true
  end
  is_new = true
  if m.last <= gone then
    m.sum, m.first, m.last, m.amount, m.oldest, m.older = 0, 0, 0, 0, 0, ''
    return
  end
  local size = #m.older
  while from < size and read('<d', m.older, from) <= gone do from = from + 16 end
  m.older = string.sub(m.older, from)
  m.oldest = from < size and read('<d', m.older) or 0
  add_up(m)
end
local function log_reset(m)
  if m.sum == 0 then return 0 end
  if m.amount > 0 then return m.last + m.window - at end
  read_tail()
  for from = #m.older - 15, 1, -16 do
    local last, held = read('<dd', m.older, from)
    if held > 0 then return last + m.window - at end
  end
end
local function log_wait(m, amount, limit)
  local kept = m.sum
  read_tail()
  for from = 1, #m.older, 16 do
    local last, held = read('<dd', m.older, from)
    kept = kept - held
    if held > 0 and kept + amount <= limit * slack then return last + m.window - at end
  end
  return log_reset(m)
end
local function log_charge(m, amount)
  if m.last == 0 or at - m.first >= m.step then
    if m.amount > 0 then
      read_tail()
      if m.older == '' then m.oldest = m.last end
      m.older, is_tail_new = m.older .. pack('<dd', m.last, m.amount), true
    end
    m.first, m.amount = at, 0
  end
  m.last, m.amount, m.sum = at, m.amount + amount, m.sum + amount
end
local function log_refund(m, amount, charged)
  if charged + m.window <= at then return 0 end
  read_tail()
  local from, before, after = #m.older - 15, m.amount, 0
  while from > 0 and read('<d', m.older, from) >= charged do from = from - 16 end
  from = from + 16
  if from < #m.older then
    before = read('<d', m.older, from + 8)
    after, is_tail_new = less(before, amount), true
    m.older = string.sub(m.older, 1, from + 7) .. pack('<d', after) .. string.sub(m.older, from + 16)
  else
    after = less(before, amount)
    m.amount = after
  end
  add_up(m)
  return min(before, amount)
end
`;

/** All rates, as `paced-window.ts` and `calendar-count.ts` have them. */
export const meters: string = `
local function level(m, rate)
  return m.level > 0 and max(0, m.level - (at - m.level_at) * rate / m.unit) or 0
end
local function drained(m, amount, rate)
  return rate > 0 and max(0, m.level_at + amount * m.unit / rate - at) or math.huge
end
local function wait_for(m, amount, limit)
  if m.period then return fits(amount, m.used, limit) and 0 or limit > 0 and m.till - wall or math.huge end
  local wait = 0
  if m.sum + amount > limit and not fits(amount, m.sum, limit) then wait = limit > 0 and log_wait(m, amount, limit) or math.huge end
  if m.burst and not fits(amount, level(m, limit / m.limit), m.burst) then
    local excess = amount > m.burst and m.level or m.level + amount - m.burst
    wait = max(wait, drained(m, excess, limit / m.limit))
  end
  return wait
end
local function charge(amounts, limits)
  for i = 1, #meters do
    local m, amount = meters[i], amounts[i]
    if amount > 0 and not m.places then
      is_new = true
      if m.period then
        m.used = m.used + amount
      else
        log_charge(m, amount)
        if m.burst then
          m.rate = limits[i] / m.limit
          m.level, m.level_at = level(m, m.rate) + amount, at
        end
      end
    end
  end
end
local function refund(m, amount, charged)
  is_new = true
  if m.window then
    local back = log_refund(m, amount, charged)
    if m.burst then m.level = max(0, m.level - back) end
  elseif m.period and charged - offset >= m.from and charged - offset < m.till then
    m.used = less(m.used, amount)
  end
end
local function standing(m, limit)
  if m.places then return limit - held, (limit - held) / limit, max(0, last_place - at) end
  if m.period then return limit - m.used, (limit - m.used) / limit, m.used > 0 and m.till - wall or 0 end
  local left, reset = limit - m.sum, log_reset(m)
  local share = left / limit
  if m.burst then
    local rate = limit / m.limit
    local space = m.burst - level(m, rate)
    left, share = min(left, space), min(share, space / m.burst)
    if space < m.burst then reset = max(reset, drained(m, m.level, rate)) end
  end
  return left, share, reset
end
`;

/** As `holds.ts`, but that a lease which is known needs no second place. */
export const places: string = `
local function count_places()
  held = call('ZCARD', places_key)
  last_place = held > 0 and tonumber(call('ZRANGE', places_key, -1, -1, 'WITHSCORES')[2]) or 0
end
local function wait_for_place(limit, id)
  if limit <= 0 then return math.huge end
  local over = held + 1 - max(1, math.floor(limit))
  if over <= 0 or call('ZSCORE', places_key, id) then return 0 end
  return call('ZRANGE', places_key, over - 1, over - 1, 'WITHSCORES')[2] - at
end
local function take_place(id, ttl)
  call('ZADD', places_key, at + ttl, id)
  count_places()
  call('PEXPIRE', places_key, string.format('%.0f', last_place - at + grace))
  is_new = true
end
`;
