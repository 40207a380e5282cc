-- Looks through all that is stored, a chunk in a call, for what no lease holds any more and no index leads to. How far it
-- has come stands in {prefix}:sweep: who goes on is another one perhaps. Answers as `reap` does.
local genId, lease, chunk, lockMs = ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local sweepMs = tonumber(ARGV[7])

if gen.id ~= genId then return { 'gen', 0 } end
if redis.call('EXISTS', P .. 'reap:pause') == 1 then return { 'paused', 0 } end
local owner = redis.call('GET', P .. 'reap:lock')
if owner and owner ~= lease then return { 'busy', 0 } end
redis.call('SET', P .. 'reap:lock', lease, 'PX', lockMs)

local SWEEP = P .. 'sweep'
local at = redis.call('HMGET', SWEEP, 'gen', 'doneMs', 'cursor', 'room', 'after')
if at[1] == genId and at[2] and now - tonumber(at[2]) < sweepMs then return { 'done', 0 } end
if at[1] ~= genId or at[2] then
  redis.call('DEL', SWEEP, P .. 'sweep:rooms')
  redis.call('HSET', SWEEP, 'gen', genId, 'cursor', '0')
  at = { genId, false, '0' }
end
redis.call('PEXPIRE', SWEEP, ttl)

local function isThere(id)
  return redis.call('ZSCORE', P .. 'leases', id)
end

local function sweepUser(name)
  local user = load(name)
  local dead = {}
  local function look(id)
    if not isThere(id) then dead[id] = true end
    user.leases[id] = true
  end
  for _, s in pairs(user.sessions) do look(s.lease) end
  for room, leases in pairs(user.rooms) do
    for id in pairs(leases) do look(id) end
    touchRoom(user, room)
  end
  for id in pairs(dead) do
    dropLease(user, id, nil)
  end
end

-- Members of a room, in the order of bytes, behind one of them.
local function sweepRoom(room, after)
  local from = after and '(' .. after or '-'
  local names = redis.call('ZRANGEBYLEX', P .. 'r:' .. room, from, '+', 'LIMIT', 0, chunk)
  for _, name in ipairs(names) do
    if not load(name).rooms[room] then dropGhost(room, name) end
  end
  if #names < chunk then return nil end
  return names[#names]
end

local swept = 0
local cursor, room = at[3], at[4]
if room then
  local after = sweepRoom(room, at[5])
  if after then
    redis.call('HSET', SWEEP, 'after', after)
  else
    redis.call('HDEL', SWEEP, 'room', 'after')
    room = nil
  end
elseif cursor then
  local found = redis.call('SCAN', cursor, 'MATCH', P .. '[ur]:*', 'COUNT', chunk)
  local users, rooms = P .. 'u:', P .. 'r:'
  for _, key in ipairs(found[2]) do
    if string.sub(key, 1, #users) == users then
      sweepUser(string.sub(key, #users + 1))
      swept = swept + 1
    else
      redis.call('SADD', P .. 'sweep:rooms', string.sub(key, #rooms + 1))
    end
  end
  redis.call('PEXPIRE', P .. 'sweep:rooms', ttl)
  cursor = found[1] ~= '0' and found[1]
  if cursor then
    redis.call('HSET', SWEEP, 'cursor', cursor)
  else
    redis.call('HDEL', SWEEP, 'cursor')
  end
end
if not room then
  room = redis.call('SPOP', P .. 'sweep:rooms')
  if room then redis.call('HSET', SWEEP, 'room', room) end
end
if not room and not cursor then redis.call('HSET', SWEEP, 'doneMs', digits(now)) end
commit()
return { 'more', swept }
