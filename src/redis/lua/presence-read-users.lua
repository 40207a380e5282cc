-- Users: generation, partial, then of each: version, last seen, status, devices, text, 1 if in one of the rooms, JSON of
-- each device: name, status, text, since when, 1 if connected. JSON of names, JSON of rooms.
local rooms = cjson.decode(ARGV[2])
local page = { gen.id, isPartial() and 1 or 0 }
for _, name in ipairs(cjson.decode(ARGV[1])) do
  local user = readUser(name)
  local state = aggregate(user)
  local isTogether = 0
  for _, room in ipairs(rooms) do
    if user.rooms[room] then isTogether = 1 end
  end
  local connected, told = {}, {}
  for _, s in pairs(user.sessions) do
    if s.flags ~= 'c' then connected[s.device] = true end
  end
  for device, known in pairs(tellingOf(user)) do
    local s = known.s
    told[#told + 1] = { device, s.status, s.text, digits(s.at), connected[device] and 1 or 0 }
  end
  local row = { digits(versionOr(user.version)), digits(lastSeen(user, state.devices)), state.status, state.devices }
  row[5], row[6] = state.text, isTogether
  row[7] = #told > 0 and cjson.encode(told) or '[]'
  for _, value in ipairs(row) do
    page[#page + 1] = value
  end
end
return page
