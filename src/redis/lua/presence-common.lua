-- What the scripts of presence share. KEYS[1] is `{prefix}`; everything lies in its slot.
--
-- {prefix}:gen             hash: the generation of what is stored. A new one begins whenever state may have been lost.
-- {prefix}:v, :vf          the version given out last, and the highest one of what was forgotten
-- {prefix}:rv              hash: the version of each room in which somebody is
-- {prefix}:r:ROOM          sorted set, all scores 0: who is in the room, in the order of bytes
-- {prefix}:u:USER          hash: v (version), t (last seen, ms), a = status|devices|text as others see them, while there is a session,
--                          s:SESSION = lease|status|ms since 1970|flags|device|text, m:LEASE:ROOM = ''
-- {prefix}:gone            sorted set: users without session and room, by when they went
-- {prefix}:leases          sorted set: leases by their deadline, ms of Redis' clock
-- {prefix}:l:LEASE         hash: d (deadline), a (taken at), q (number of the last write), n (node)
-- {prefix}:x:LEASE         set: the users of whom the lease holds something
-- {prefix}:reap:*, :sweep  who reaps, since when not, and how far the sweep has come
local P = KEYS[1] .. ':'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowUs = time[1] * 1000000 + time[2]

local NAMES_MAX = 500
local STRENGTH = { d = 3, o = 2, a = 1 }

local function digits(number)
  return string.format('%.0f', number)
end

local function numberAt(key)
  return tonumber(redis.call('GET', key) or 0)
end

-- The generation: its id, the version from which on all its versions are, and until when what is read may not be all.
-- By then everything has a higher version, so that all who were told a part are told again.
local function generation()
  local gen = redis.call('HMGET', P .. 'gen', 'id', 'floor', 'heal')
  local floor, heal = tonumber(gen[2] or 0), tonumber(gen[3] or 0)
  if now >= heal then floor = math.max(floor, heal * 1000) end
  return { id = gen[1], floor = floor, heal = heal }
end

local gen = generation()

local function isPartial()
  return now < gen.heal
end

-- Of a room or user, whose stored version is from before, or not there.
local function versionOr(stored)
  local version = tonumber(stored or 0)
  if not stored or version == 0 then version = numberAt(P .. 'vf') end
  return math.max(version, gen.floor)
end

local function decodeSession(value)
  local lease, status, at, flags, device, text = string.match(value, '^([^|]*)|(.)|([^|]*)|([^|]*)|([^|]*)|(.*)$')
  return { lease = lease, status = status, at = tonumber(at), flags = flags, device = device, text = text }
end

local function encodeSession(s)
  return table.concat({ s.lease, s.status, digits(s.at), s.flags, s.device, s.text }, '|')
end

-- For each device the session that tells what it is, and how many they are: the status set last, then the first by name.
local function tellingOf(user)
  local devices, count = {}, 0
  for id, s in pairs(user.sessions) do
    local known = devices[s.device]
    if not known then count = count + 1 end
    if not known or s.at > known.s.at or (s.at == known.s.at and id < known.id) then
      devices[s.device] = { id = id, s = s }
    end
  end
  return devices, count
end

-- A user as others see them: over devices the strongest, then the one set last, then the first by name.
local function aggregate(user)
  local first, only = next(user.sessions)
  if not first then return { status = 'f', text = '', devices = 0 } end
  if not next(user.sessions, first) then return { status = only.status, text = only.text, devices = 1 } end
  local devices, count = tellingOf(user)
  local best
  for device, known in pairs(devices) do
    local s = known.s
    if not best then
      best = s
    elseif STRENGTH[s.status] ~= STRENGTH[best.status] then
      if STRENGTH[s.status] > STRENGTH[best.status] then best = s end
    elseif s.at > best.at or (s.at == best.at and device < best.device) then
      best = s
    end
  end
  return { status = best.status, text = best.text, devices = count }
end

local function readUser(name)
  local user = { name = name, sessions = {}, rooms = {}, last = 0 }
  local flat = redis.call('HGETALL', P .. 'u:' .. name)
  for i = 1, #flat, 2 do
    local field, value = flat[i], flat[i + 1]
    local kind = string.sub(field, 1, 2)
    if kind == 's:' then
      user.sessions[string.sub(field, 3)] = decodeSession(value)
    elseif kind == 'm:' then
      local lease, room = string.match(field, '^m:([^:]*):(.*)$')
      user.rooms[room] = user.rooms[room] or {}
      user.rooms[room][lease] = true
    elseif field == 'v' then
      user.version = value
    elseif field == 't' then
      user.last = tonumber(value)
    end
  end
  return user
end

local function lastSeen(user, devices)
  if devices > 0 then return now end
  return user.last
end
