-- Applies a batch of the replica that holds a lease: {{user, {s = {{id, device, status, at, flags, text,
-- isNew}}, g = {{id, at, device if it leaves}}, m = {room}, d = {room}}}}: sessions that are there and that are gone, rooms joined and left.
local genId, lease, seq = ARGV[3], ARGV[4], tonumber(ARGV[5])

if gen.id ~= genId then return { 'gen' } end
local held = redis.call('HMGET', P .. 'l:' .. lease, 'd', 'q')
-- Whoever was paused, or whose words come late, finds that what it held is another's to decide by now.
if not held[1] or tonumber(held[1]) <= now then return { 'lapsed' } end
if tonumber(held[2]) >= seq then return { 'late' } end
redis.call('HSET', P .. 'l:' .. lease, 'q', seq)

-- Those of the device elsewhere hear that their place is taken.
local function replace(user, id, device)
  if user.sessions[id] then return end
  for other, s in pairs(user.sessions) do
    if s.device == device and s.lease ~= lease then
      local node = redis.call('HGET', P .. 'l:' .. s.lease, 'n')
      if node then redis.call('PUBLISH', P .. 'n:' .. node, cjson.encode({ user.name, other })) end
    end
  end
end

-- A device that leaves for good is not waited for where it was before, if nobody is there to say so.
local function leaveFormer(user, device, lastSeenMs)
  local over, others = {}, {}
  for id, s in pairs(user.sessions) do
    local isOver = s.lease ~= lease and tonumber(redis.call('ZSCORE', P .. 'leases', s.lease) or 0) <= now
    if isOver and s.device == device then
      over[id] = s.lease
    else
      others[s.lease] = true
    end
  end
  for id, former in pairs(over) do
    dropSession(user, id, lastSeenMs)
    -- Rooms are the lease's, whichever device is in them.
    if not others[former] then dropLease(user, former, lastSeenMs) end
  end
end

for _, entry in ipairs(cjson.decode(ARGV[6])) do
  local user, changes = load(entry[1]), entry[2]
  for _, s in ipairs(changes.s) do
    if s[7] and s[5] ~= 'c' then replace(user, s[1], s[2]) end
    local session = { lease = lease, device = s[2], status = s[3], at = s[4], flags = s[5], text = s[6] }
    setSession(user, s[1], session)
  end
  for _, g in ipairs(changes.g) do
    dropSession(user, g[1], g[2])
    if g[3] then leaveFormer(user, g[3], g[2]) end
  end
  for _, room in ipairs(changes.m) do
    setMember(user, room, lease)
  end
  for _, room in ipairs(changes.d) do
    dropMember(user, room, lease)
  end
end
commit()
return { 'ok' }
