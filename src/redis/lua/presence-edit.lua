-- An edit of what is stored: begun by loading users, and committed as one change that others see.
local ttl = tonumber(ARGV[1])
local goneMax = tonumber(ARGV[2])

local users, order = {}, {}
-- By room: users whose membership is to be settled.
local touchedRooms = {}
-- By room: who is there now and was not, and the other way round; who was there by the room alone, and how many of those
-- who have left were there by themselves alone.
local joined, left, found, unlisted = {}, {}, {}, {}

local function load(name)
  local user = users[name]
  if not user then
    user = readUser(name)
    user.before = aggregate(user)
    user.leases, user.set, user.del, user.entered, user.exited = {}, {}, {}, {}, {}
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
  if not user.rooms[room] then
    user.rooms[room] = {}
    user.entered[room] = true
  end
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
    if not next(leases) then
      user.rooms[room] = nil
      user.exited[room] = true
    end
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
        elseif user.entered[room] then
          found[room] = found[room] or {}
          found[room][name] = user
        end
      else
        local isListed = redis.call('ZREM', key, name) == 1
        if isListed or user.exited[room] then
          left[room] = left[room] or {}
          left[room][name] = user
        end
        if not isListed and user.exited[room] then unlisted[room] = (unlisted[room] or 0) + 1 end
      end
    end
    redis.call('PEXPIRE', key, ttl)
  end
end

-- Arguments in one call: Lua hands on some thousands at most. Even, so that of those in pairs none is parted.
local PART = 1000

-- Runs a command with any number of arguments, in parts, and gives what it answered to each.
local function inParts(command, key, arguments)
  local answers = {}
  for i = 1, #arguments, PART do
    answers[#answers + 1] = redis.call(command, key, unpack(arguments, i, math.min(i + PART - 1, #arguments)))
  end
  return answers
end

local function fieldsOf(set)
  local flat = {}
  for field, value in pairs(set) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  return flat
end

local function addTo(lists, name, value)
  lists[name] = lists[name] or {}
  table.insert(lists[name], value)
end

-- By lease: users of whom it holds something, and of whom nothing any more.
local holding, notHolding = {}, {}
-- Users who have come, and with the time users who have gone.
local come, gone = {}, {}

local function settleUser(user)
  local key = P .. 'u:' .. user.name
  local del = {}
  for field in pairs(user.del) do
    del[#del + 1] = field
  end
  if user.last > user.lastBefore then user.set.t = digits(user.last) end
  local set = fieldsOf(user.set)
  inParts('HDEL', key, del)
  inParts('HSET', key, set)
  redis.call('PEXPIRE', key, ttl)
  for lease in pairs(user.leases) do
    addTo(holds(user, lease) and holding or notHolding, lease, user.name)
  end
  if next(user.sessions) or next(user.rooms) then
    if not user.wasThere then come[#come + 1] = user.name end
  elseif #set > 0 or #del > 0 then
    gone[#gone + 1] = now
    gone[#gone + 1] = user.name
  end
end

-- What was gathered of all users: a call for many of them costs Redis a fraction of one for each.
local function settleIndexes()
  for lease, names in pairs(holding) do
    inParts('SADD', P .. 'x:' .. lease, names)
    redis.call('PEXPIRE', P .. 'x:' .. lease, ttl)
  end
  for lease, names in pairs(notHolding) do inParts('SREM', P .. 'x:' .. lease, names) end
  inParts('ZREM', P .. 'gone', come)
  inParts('ZADD', P .. 'gone', gone)
  if #gone > 0 then redis.call('PEXPIRE', P .. 'gone', ttl) end
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

local function roomChannel(room)
  return P .. 'pr:' .. room
end

local function userChannel(name)
  return P .. 'pu:' .. name
end

-- Which of the channels somebody hears; of most nobody does.
local function listened(channels)
  local is = {}
  for _, counts in ipairs(inParts('PUBSUB', 'NUMSUB', channels)) do
    for i = 1, #counts, 2 do
      is[counts[i]] = counts[i + 1] > 0
    end
  end
  return is
end

local function size(set)
  local count = 0
  for _ in pairs(set or {}) do count = count + 1 end
  return count
end

-- One message to those who hear a room.
local function tellRoom(room, version, before, changed)
  local channel = roomChannel(room)
  local present = redis.call('ZCARD', P .. 'r:' .. room)
  -- A room that was lost seems to have been empty. They know of others, and were not told if those left meanwhile.
  if present - size(joined[room]) + size(left[room]) - (unlisted[room] or 0) <= 0 then before = '0' end
  local message = { v = digits(version), p = before, c = present }
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
  local channel = userChannel(user.name)
  local message = stateOf(user.name, user.after)
  message.v = digits(version)
  message.t = lastSeen(user, user.after.devices)
  if isPartial() then message.x = 1 end
  redis.call('PUBLISH', channel, cjson.encode(message))
end

-- Gives rooms and users that changed their version, and tells those who hear of them.
local function settleVersions(changedUsers, changedIn)
  local isIn, rooms, channels = {}, {}, {}
  for _, which in ipairs({ joined, left, changedIn }) do
    for room in pairs(which) do
      if not isIn[room] then
        isIn[room] = true
        rooms[#rooms + 1] = room
        channels[#channels + 1] = roomChannel(room)
      end
    end
  end
  if #rooms == 0 and #changedUsers == 0 then return end
  local version = math.max(numberAt(P .. 'v') + 1, nowUs, gen.floor + 1)
  local written = digits(version)
  redis.call('SET', P .. 'v', written, 'PX', ttl)
  for _, user in ipairs(changedUsers) do
    user.set.v = written
    channels[#channels + 1] = userChannel(user.name)
  end
  local stored = {}
  for part, versions in ipairs(inParts('HMGET', P .. 'rv', rooms)) do
    for i, each in ipairs(versions) do stored[rooms[(part - 1) * PART + i]] = each end
  end
  local live, empty, before = {}, {}, {}
  for _, room in ipairs(rooms) do
    -- 0: nobody was there, whatever version was read.
    before[room] = stored[room] and digits(versionOr(stored[room])) or '0'
    if joined[room] or redis.call('EXISTS', P .. 'r:' .. room) == 1 then
      live[#live + 1] = room
      live[#live + 1] = written
    else
      empty[#empty + 1] = room
    end
  end
  inParts('HSET', P .. 'rv', live)
  if #live > 0 then redis.call('PEXPIRE', P .. 'rv', ttl) end
  inParts('HDEL', P .. 'rv', empty)
  if #empty > 0 then redis.call('SET', P .. 'vf', written, 'PX', ttl) end
  local isListened = listened(channels)
  for _, room in ipairs(rooms) do
    if isListened[roomChannel(room)] then tellRoom(room, version, before[room], changedIn[room]) end
  end
  for _, user in ipairs(changedUsers) do
    if isListened[userChannel(user.name)] then tellUser(user, version) end
  end
end

-- Makes the edit so, gives what changed its version, and tells those who hear of it.
local function commit()
  settleRooms()
  -- By room: who has changed and was there before and is now. Whoever was lost and is found was seen there as offline.
  local changedIn, changedUsers = found, {}
  for _, user in ipairs(order) do
    user.after = aggregate(user)
    local a, b = user.before, user.after
    if a.status ~= b.status or a.text ~= b.text or a.devices ~= b.devices then
      changedUsers[#changedUsers + 1] = user
      -- So that who reads a room need not look through everybody's sessions.
      if b.devices > 0 then
        user.set.a = table.concat({ b.status, b.devices, b.text }, '|')
      else
        user.del.a = true
      end
      for room in pairs(user.rooms) do
        changedIn[room] = changedIn[room] or {}
        if not (joined[room] and joined[room][user.name]) then changedIn[room][user.name] = user end
      end
    end
  end
  settleVersions(changedUsers, changedIn)
  for _, user in ipairs(order) do
    settleUser(user)
  end
  settleIndexes()
  forgetGone()
end
