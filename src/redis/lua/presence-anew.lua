-- A replica says anew, under its new lease, all that is so on it: of some users in a call. What its former leases held of
-- them goes in the same moment. The batch is as that of a write; `g` has what is known of sessions that have ended.
-- `more`: they hold something still; the last call is made again with nothing to say.
local genId, lease, seq = ARGV[3], ARGV[4], tonumber(ARGV[5])
local leaseMs, isLast, chunk = tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[9])

if gen.id ~= genId then return { 'gen' } end
local held = redis.call('HMGET', P .. 'l:' .. lease, 'd', 'q')
if not held[1] or tonumber(held[1]) <= now then return { 'lapsed' } end
if tonumber(held[2]) >= seq then return { 'late' } end
redis.call('HSET', P .. 'l:' .. lease, 'q', seq)

local formers = {}
for i = 10, #ARGV do
  formers[#formers + 1] = { lease = ARGV[i], heardMs = heardOf(ARGV[i], leaseMs) }
end

for _, entry in ipairs(cjson.decode(ARGV[6])) do
  local user, changes = load(entry[1]), entry[2]
  for _, g in ipairs(changes.g) do
    dropSession(user, g[1], g[2])
  end
  for _, s in ipairs(changes.s) do
    local session = { lease = lease, device = s[2], status = s[3], at = s[4], flags = s[5], text = s[6] }
    local before = user.sessions[s[1]]
    if before then user.leases[before.lease] = true end
    setSession(user, s[1], session)
  end
  for _, room in ipairs(changes.m) do
    setMember(user, room, lease)
  end
  for _, former in ipairs(formers) do
    dropLease(user, former.lease, former.heardMs)
  end
end

-- With the last of them goes what the former leases held of others.
local left = 0
if isLast then
  for _, former in ipairs(formers) do
    for _, name in ipairs(redis.call('SPOP', P .. 'x:' .. former.lease, chunk)) do
      dropLease(load(name), former.lease, former.heardMs)
    end
  end
end
commit()
for _, former in ipairs(formers) do
  if redis.call('EXISTS', P .. 'x:' .. former.lease) == 1 then
    left = left + redis.call('SCARD', P .. 'x:' .. former.lease)
  else
    redis.call('DEL', P .. 'l:' .. former.lease)
    redis.call('ZREM', P .. 'leases', former.lease)
  end
end
return { left > 0 and 'more' or 'ok' }
