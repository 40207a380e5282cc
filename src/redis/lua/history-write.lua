-- Takes over what the tail of a replica has delivered in a partition behind `after`, up to and with `to`. KEYS[1] is
-- `{prefix}`; everything lies in its slot.
--
-- {prefix}:h:EPOCH:ROOM   stream: a room's publications, with the ID OFFSET-1, and t (ms since 1970), v (value), and p:
--                         between p and itself is no publication of the room
-- {prefix}:hp:EPOCH:N     sorted set, the partition's state: each room by the offset of its last publication, and
--                         ' from', ' through'    what stands between them, inclusive, was taken over
--                         ' forgotten'           rooms that are not there have none behind it, or before ' from'
--                         ' floor', ' swept'     nothing up to the floor is kept; rooms without a later publication have
--                                                no stream, of those up to the other one
--                         ' bytes'               of all that was ever taken over
-- {prefix}:hm:EPOCH:N     list, oldest first: how far the partition was at a time (ms since 1970), with its bytes
-- {prefix}:hw:EPOCH:N     who writes: the token of the lease
--
-- All of it says what is so in a log that does not change. A state that is older, or a part that is gone, makes it less but
-- never wrong: p and the rooms' last offsets tell where something is missing.
--
-- Answers `ok` with how far the partition is now, and 1 if it had to begin anew; `lapsed`: somebody else may write; or
-- `behind` with how far it is, where there is something between that and `after` that this replica has: it begins at
-- `oldest`.
local P = KEYS[1] .. ':'
local epoch, partition, token = ARGV[1], ARGV[2], ARGV[3]
local leaseMs, lengthMax, ageMs, bytesMax = ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local roomsMax, lastMs = tonumber(ARGV[8]), ARGV[9]
local oldest, after, to = tonumber(ARGV[10]), tonumber(ARGV[11]), tonumber(ARGV[12])

-- Memory that Redis takes, as measured: of an entry beside its value, of a value in parts of itself, of a stream.
local ENTRY_BYTES = 64
local VALUE_PARTS = 1.25
local STREAM_BYTES = 4600
local MARKS = 16
local SWEEP = 200
local FORGET = 1000
local FACTS = 6

local writer = P .. 'hw:' .. epoch .. ':' .. partition
local state = P .. 'hp:' .. epoch .. ':' .. partition
local marks = P .. 'hm:' .. epoch .. ':' .. partition
local streams = P .. 'h:' .. epoch .. ':'

local function digits(number)
  return string.format('%.0f', number)
end

local function isRoom(member)
  return member:byte() ~= 32
end

if redis.call('GET', writer) ~= token then return { 'lapsed' } end

local known = redis.call('ZMSCORE', state, ' from', ' through', ' forgotten', ' floor', ' swept', ' bytes')
local from, through = tonumber(known[1]), tonumber(known[2])
local forgotten, floor = tonumber(known[3]) or -1, tonumber(known[4]) or -1
local swept, bytes = tonumber(known[5]) or -1, tonumber(known[6]) or 0
local isAnew = 0
if not through or through < after then
  if after > oldest then return { 'behind', digits(through or oldest) } end
  from, through, isAnew = after + 1, after, 1
end
-- The first to be written, as where memory is short this is what is refused.
redis.call('ZADD', state, digits(from), ' from', digits(through), ' through')
redis.call('PEXPIRE', writer, leaseMs)

local lasts = {}
for i = 13, #ARGV, 4 do
  local room, id, value = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local offset = tonumber(id)
  if offset > through then
    local stream = streams .. room
    local last = lasts[room]
    if not last then
      last = math.max(tonumber(redis.call('ZSCORE', state, room)) or forgotten, from - 1)
      if redis.call('EXISTS', stream) == 0 then bytes = bytes + STREAM_BYTES end
    end
    local add = { 'XADD', stream, 'MAXLEN', '~', lengthMax, id .. '-1', 'p', digits(last), 't', ARGV[i + 2], 'v', value }
    local refusal = redis.pcall(unpack(add)).err
    -- It has this one, or has had one behind it, if the state was lost and the stream was not.
    if refusal and not string.find(refusal, 'equal or smaller', 1, true) then return redis.error_reply(refusal) end
    lasts[room] = offset
    bytes = bytes + math.ceil(#value * VALUE_PARTS) + ENTRY_BYTES
  end
end
through = math.max(through, to)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function mark(place)
  local at, ms, sum = string.match(redis.call('LINDEX', marks, place) or '', '^(%d+) (%d+) (%d+)$')
  return tonumber(at), tonumber(ms), tonumber(sum)
end

local _, newestMs, newestSum = mark(-1)
if not newestMs or now - newestMs >= ageMs / MARKS or bytes - newestSum >= bytesMax / MARKS then
  if through >= 0 then redis.call('RPUSH', marks, digits(through) .. ' ' .. digits(now) .. ' ' .. digits(bytes)) end
  redis.call('PEXPIRE', marks, digits(2 * ageMs))
end
while true do
  local at, ms, sum = mark(0)
  if not at or (now - ms <= ageMs and bytes - sum <= bytesMax) then break end
  floor = math.max(floor, at)
  redis.call('LPOP', marks)
end

for room, last in pairs(lasts) do
  redis.call('ZADD', state, digits(last), room)
  redis.call('XTRIM', streams .. room, 'MINID', '~', digits(floor + 1))
  redis.call('PEXPIRE', streams .. room, digits(ageMs))
end

if swept < floor then
  local passed = redis.call('ZRANGEBYSCORE', state, '(' .. digits(swept), digits(floor), 'WITHSCORES', 'LIMIT', 0, SWEEP)
  for i = 1, #passed, 2 do
    if isRoom(passed[i]) then redis.call('UNLINK', streams .. passed[i]) end
  end
  swept = #passed < 2 * SWEEP and floor or tonumber(passed[#passed])
end

local excess = math.min(redis.call('ZCARD', state) - FACTS - roomsMax, FORGET)
if excess > 0 then
  local lowest = redis.call('ZRANGE', state, 0, excess + FACTS - 1, 'WITHSCORES')
  for i = 1, #lowest, 2 do
    if isRoom(lowest[i]) and excess > 0 then
      redis.call('ZREM', state, lowest[i])
      redis.call('UNLINK', streams .. lowest[i])
      forgotten = math.max(forgotten, tonumber(lowest[i + 1]))
      excess = excess - 1
    end
  end
end

redis.call('ZADD', state, digits(through), ' through', digits(forgotten), ' forgotten', digits(floor), ' floor', digits(swept), ' swept', digits(bytes), ' bytes')
redis.call('PEXPIRE', state, lastMs)
return { 'ok', digits(through), isAnew }
