-- Renews a lease, or takes another one where it has lapsed or what is stored is not what it was.
-- ttl, lease or '', generation or '' (known to the caller), lease duration, grace, highest version known to the caller,
-- for how long its renewals have failed, what a new generation is partial for, what reaping pauses for, node, sweep
-- interval, milliseconds since it was renewed
local ttl, lease, genId = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local leaseMs, graceMs, versionFloor = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local failedMs, healMs, pauseMs = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local node, sweepMs, renewedMs = ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12])

-- A server that was restarted may have lost what it held, and one that was promoted what it was not given.
local function fingerprint()
  local info = redis.call('INFO', 'server') .. redis.call('INFO', 'replication')
  local replid = string.match(info, 'master_replid:(%w+)')
  local run = string.match(info, 'run_id:(%w+)')
  return replid .. '/' .. run
end

local function base36(number)
  local text = ''
  repeat
    local digit = number % 36
    text = string.sub('0123456789abcdefghijklmnopqrstuvwxyz', digit + 1, digit + 1) .. text
    number = math.floor(number / 36)
  until number == 0
  return text
end

local function pause()
  redis.call('SET', P .. 'reap:pause', '1', 'PX', math.max(pauseMs, 1))
end

local version = math.max(numberAt(P .. 'v'), versionFloor)
local print = fingerprint()
local known = redis.call('HGET', P .. 'gen', 'fingerprint')
if known ~= print then
  -- A new one, whose versions are behind all that were given out. Nobody knew of another: it is the first.
  local isFirst = not known and genId == ''
  version = math.max(version, nowUs) + 1
  gen.id = base36(nowUs)
  redis.call('DEL', P .. 'gen')
  redis.call('HSET', P .. 'gen', 'id', gen.id, 'fingerprint', print, 'floor', digits(version))
  redis.call('HSET', P .. 'gen', 'heal', isFirst and 0 or digits(now + healMs))
  if not isFirst then pause() end
  gen = generation()
end
redis.call('SET', P .. 'v', digits(version), 'PX', ttl)

-- Where the others' leases went on meanwhile, it was not Redis that failed.
local function wentOn()
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '(' .. digits(now), '+inf', 'LIMIT', 0, 16)) do
    local takenAt = tonumber(redis.call('HGET', P .. 'l:' .. other, 'a') or now)
    if other ~= lease and takenAt < now - failedMs then return true end
  end
  return false
end
local deadline = tonumber(redis.call('ZSCORE', P .. 'leases', lease) or 0)
-- Half of it may have been lost.
if not redis.call('HGET', P .. 'l:' .. lease, 'q') then deadline = 0 end
local isLapsed = deadline <= now
-- Nor has time to have passed that has not, or the others' leases have lapsed as well.
local hasJumped = isLapsed and deadline > 0 and renewedMs < leaseMs
if hasJumped or (failedMs > 0 and not wentOn()) then pause() end

local answer = 'renewed'
if gen.id ~= genId or isLapsed then
  answer = 'taken'
  -- Never one that was there before, whatever was lost: from the time in ms, and short, as it stands in every entry.
  local number = math.max(numberAt(P .. 'e') + 1, now - 1700000000000)
  redis.call('SET', P .. 'e', digits(number))
  lease = base36(number)
  redis.call('HSET', P .. 'l:' .. lease, 'a', digits(now), 'q', 0, 'n', node)
end
redis.call('ZADD', P .. 'leases', digits(now + leaseMs), lease)
redis.call('HSET', P .. 'l:' .. lease, 'd', digits(now + leaseMs))
for _, name in ipairs({ 'gen', 'vf', 'rv', 'gone', 'e', 'leases', 'l:' .. lease, 'x:' .. lease, 'sweep' }) do
  redis.call('PEXPIRE', P .. name, ttl)
end

-- When the first lease that is not renewed will be due.
local first = redis.call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
local dueMs = math.max(tonumber(first[2]) + graceMs - now, 0)
local sweep = redis.call('HMGET', P .. 'sweep', 'gen', 'doneMs')
local isSweepDue = sweep[1] ~= gen.id or now - tonumber(sweep[2] or 0) >= sweepMs
return { answer, lease, gen.id, digits(now), digits(gen.heal), digits(dueMs), isSweepDue and 1 or 0 }
