-- An edit of what is stored: begun by loading users, and committed as one change that others see.
local ttl = tonumber(ARGV[1])
local goneMax = tonumber(ARGV[2])

local users, order = {}, {}
-- By room: users whose membership is to be settled.
local touchedRooms = {}
-- By room: who is there now and was not, and the other way round.
local joined, left = {}, {}

local function load(name)
  local user = users[name]
  if not user then
    user = readUser(name)
    user.before = aggregate(user)
    user.leases, user.set, user.del = {}, {}, {}
    user.lastBefore = user.last
    user.wasThere = next(user.sessions) ~= nil or next(user.rooms) ~= nil
    users[name] = user
    order[#order + 1] = user
  end
  return user
end

local function touchRoom(user, room)
  touchedRooms[room] = touchedRooms[room] or {}
  touchedRooms[room][user.name] = user
end

local function setSession(user, id, session)
  user.sessions[id] = session
  user.set['s:' .. id] = encodeSession(session)
  user.del['s:' .. id] = nil
  user.leases[session.lease] = true
end

local function dropSession(user, id, lastSeenMs)
  local session = user.sessions[id]
  if not session then return end
  user.sessions[id] = nil
  user.set['s:' .. id] = nil
  user.del['s:' .. id] = true
  user.leases[session.lease] = true
  user.last = math.max(user.last, lastSeenMs)
end

local function setMember(user, room, lease)
  user.rooms[room] = user.rooms[room] or {}
  local field = 'm:' .. lease .. ':' .. room
  if not user.rooms[room][lease] then user.set[field] = '' end
  user.rooms[room][lease] = true
  user.del[field] = nil
  user.leases[lease] = true
  touchRoom(user, room)
end

local function dropMember(user, room, lease)
  local leases = user.rooms[room]
  if leases and leases[lease] then
    leases[lease] = nil
    if not next(leases) then user.rooms[room] = nil end
    local field = 'm:' .. lease .. ':' .. room
    user.set[field] = nil
    user.del[field] = true
    user.leases[lease] = true
  end
  touchRoom(user, room)
end

-- Drops all that a lease holds of a user; `heardMs`: when its replica was last heard, nil where that is not known.
local function dropLease(user, lease, heardMs)
  local ids, rooms = {}, {}
  for id, s in pairs(user.sessions) do
    if s.lease == lease then ids[#ids + 1] = id end
  end
  for _, id in ipairs(ids) do
    dropSession(user, id, heardMs or user.sessions[id].at)
  end
  for room, leases in pairs(user.rooms) do
    if leases[lease] then rooms[#rooms + 1] = room end
  end
  for _, room in ipairs(rooms) do
    dropMember(user, room, lease)
  end
  user.leases[lease] = true
end

-- When the replica of a lease was last heard, or nil.
local function heardOf(lease, leaseMs)
  local deadline = redis.call('HGET', P .. 'l:' .. lease, 'd')
  if not deadline then return nil end
  return math.min(tonumber(deadline) - leaseMs, now)
end

local function holds(user, lease)
  for _, s in pairs(user.sessions) do
    if s.lease == lease then return true end
  end
  for _, leases in pairs(user.rooms) do
    if leases[lease] then return true end
  end
  return false
end

-- Somebody who stands in a room's set without being there.
local function dropGhost(room, name)
  if redis.call('ZREM', P .. 'r:' .. room, name) == 1 then
    left[room] = left[room] or {}
    left[room][name] = load(name)
  end
end

local function settleRooms()
  for room, list in pairs(touchedRooms) do
    local key = P .. 'r:' .. room
    for name, user in pairs(list) do
      if user.rooms[room] then
        if redis.call('ZADD', key, 0, name) == 1 then
          joined[room] = joined[room] or {}
          joined[room][name] = user
        end
      elseif redis.call('ZREM', key, name) == 1 then
        left[room] = left[room] or {}
        left[room][name] = user
      end
    end
    redis.call('PEXPIRE', key, ttl)
  end
end

local function fieldsOf(set)
  local flat = {}
  for field, value in pairs(set) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

local function settleUser(user)
  local key = P .. 'u:' .. user.name
  local del = {}
  for field in pairs(user.del) do
    del[#del + 1] = field
  end
  if user.last > user.lastBefore then user.set.t = digits(user.last) end
  local set = fieldsOf(user.set)
  -- In parts: Lua hands on some thousands of arguments at most.
  for i = 1, #del, 1000 do
    redis.call('HDEL', key, unpack(del, i, math.min(i + 999, #del)))
  end
  for i = 1, #set, 1000 do
    redis.call('HSET', key, unpack(set, i, math.min(i + 999, #set)))
  end
  redis.call('PEXPIRE', key, ttl)
  for lease in pairs(user.leases) do
    if holds(user, lease) then
      redis.call('SADD', P .. 'x:' .. lease, user.name)
      redis.call('PEXPIRE', P .. 'x:' .. lease, ttl)
    else
      redis.call('SREM', P .. 'x:' .. lease, user.name)
    end
  end
  if next(user.sessions) or next(user.rooms) then
    if not user.wasThere then redis.call('ZREM', P .. 'gone', user.name) end
  elseif #set > 0 or #del > 0 then
    redis.call('ZADD', P .. 'gone', now, user.name)
    redis.call('PEXPIRE', P .. 'gone', ttl)
  end
end

-- Forgets who went first where too many have gone.
local function forgetGone()
  local over = redis.call('ZCARD', P .. 'gone') - goneMax
  if over <= 0 then return end
  local oldest = redis.call('ZPOPMIN', P .. 'gone', math.min(over, 100))
  for i = 1, #oldest, 2 do
    local key = P .. 'u:' .. oldest[i]
    -- What was remembered of them was no more than when they went.
    if redis.call('HLEN', key) <= 2 then
      local version = redis.call('HGET', key, 'v')
      if version and tonumber(version) > numberAt(P .. 'vf') then redis.call('SET', P .. 'vf', version, 'PX', ttl) end
      redis.call('DEL', key)
    end
  end
end

local function stateOf(name, seen)
  local state = { user = name, status = seen.status, devices = seen.devices }
  if seen.text ~= '' then state.text = seen.text end
  return state
end

-- One message to those who hear a room; of most nobody does.
local function tellRoom(room, version, before, changed)
  local channel = P .. 'pr:' .. room
  if redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then return end
  local message = { v = digits(version), p = before, c = redis.call('ZCARD', P .. 'r:' .. room) }
  local count = 0
  local function list(which)
    local states = {}
    for name, user in pairs(which or {}) do
      states[#states + 1] = stateOf(name, user.after)
    end
    count = count + #states
    if #states > 0 then return states end
  end
  message.j, message.l, message.g = list(joined[room]), list(left[room]), list(changed)
  if count > NAMES_MAX then
    message.j, message.l, message.g, message.n = nil, nil, nil, 1
  end
  if isPartial() then message.x = 1 end
  redis.call('PUBLISH', channel, cjson.encode(message))
end

local function tellUser(user, version)
  local channel = P .. 'pu:' .. user.name
  if redis.call('PUBSUB', 'NUMSUB', channel)[2] == 0 then return end
  local message = stateOf(user.name, user.after)
  message.v = digits(version)
  message.t = lastSeen(user, user.after.devices)
  if isPartial() then message.x = 1 end
  redis.call('PUBLISH', channel, cjson.encode(message))
end

-- Makes the edit so, gives what changed its version, and tells those who hear of it.
local function commit()
  settleRooms()
  -- By room: who has changed and was there before and is now.
  local changedIn, changedUsers = {}, {}
  for _, user in ipairs(order) do
    user.after = aggregate(user)
    local a, b = user.before, user.after
    if a.status ~= b.status or a.text ~= b.text or a.devices ~= b.devices then
      changedUsers[#changedUsers + 1] = user
      for room in pairs(user.rooms) do
        changedIn[room] = changedIn[room] or {}
        if not (joined[room] and joined[room][user.name]) then changedIn[room][user.name] = user end
      end
    end
  end
  local rooms = {}
  for room in pairs(joined) do rooms[room] = true end
  for room in pairs(left) do rooms[room] = true end
  for room in pairs(changedIn) do rooms[room] = true end
  if next(rooms) or #changedUsers > 0 then
    local version = math.max(numberAt(P .. 'v') + 1, nowUs, gen.floor + 1)
    local written = digits(version)
    redis.call('SET', P .. 'v', written, 'PX', ttl)
    for _, user in ipairs(changedUsers) do
      user.set.v = written
    end
    for room in pairs(rooms) do
      local stored = redis.call('HGET', P .. 'rv', room)
      -- 0: nobody was there, whatever version was read.
      local before = '0'
      if stored then before = digits(versionOr(stored)) end
      if redis.call('EXISTS', P .. 'r:' .. room) == 1 then
        redis.call('HSET', P .. 'rv', room, written)
        redis.call('PEXPIRE', P .. 'rv', ttl)
      else
        redis.call('HDEL', P .. 'rv', room)
        redis.call('SET', P .. 'vf', written, 'PX', ttl)
      end
      tellRoom(room, version, before, changedIn[room])
    end
    for _, user in ipairs(changedUsers) do
      tellUser(user, version)
    end
  end
  for _, user in ipairs(order) do
    settleUser(user)
  end
  forgetGone()
end
