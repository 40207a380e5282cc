-- Drops a chunk of what a lease held whose grace has passed. Answers `paused`, `busy` (another one reaps), `more` or `done`,
-- and how many users it was.
local genId, lease = ARGV[3], ARGV[4]
local leaseMs, graceMs, graceMsMax = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local returnsPerSecond, chunk, lockMs = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])

if gen.id ~= genId then return { 'gen', 0 } end
if redis.call('EXISTS', P .. 'reap:pause') == 1 then return { 'paused', 0 } end
local owner = redis.call('GET', P .. 'reap:lock')
if owner and owner ~= lease then return { 'busy', 0 } end
redis.call('SET', P .. 'reap:lock', lease, 'PX', lockMs)

-- So many need their time to come back, and are not told to have left before.
local function graceOf(dead)
  local returnMs = redis.call('SCARD', P .. 'x:' .. dead) / returnsPerSecond * 1000
  return math.max(graceMs, math.min(graceMsMax, returnMs))
end

local function dueLease()
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', digits(now - graceMs), 'LIMIT', 0, 16)) do
    local began = redis.call('HGET', P .. 'l:' .. dead, 'r')
    local deadline = tonumber(redis.call('ZSCORE', P .. 'leases', dead))
    if began or deadline + graceOf(dead) <= now then return dead end
  end
end

local dead = dueLease()
if not dead then return { 'done', 0 } end
local heardMs = heardOf(dead, leaseMs)
redis.call('HSETNX', P .. 'l:' .. dead, 'r', 1)
redis.call('PEXPIRE', P .. 'l:' .. dead, ttl)
local names = redis.call('SPOP', P .. 'x:' .. dead, chunk)
for _, name in ipairs(names) do
  dropLease(load(name), dead, heardMs)
end
commit()
if redis.call('EXISTS', P .. 'x:' .. dead) == 0 then
  redis.call('ZREM', P .. 'leases', dead)
  redis.call('DEL', P .. 'l:' .. dead)
end
return { 'more', #names }
