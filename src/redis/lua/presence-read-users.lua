-- Users: generation, partial, then of each: version, last seen, status, devices, text, 1 if in one of the rooms, devices that
-- are connected as JSON. JSON of names, JSON of rooms.
local rooms = cjson.decode(ARGV[2])
local page = { gen.id, isPartial() and 1 or 0 }
for _, name in ipairs(cjson.decode(ARGV[1])) do
  local user = readUser(name)
  local state = aggregate(user)
  local isTogether = 0
  for _, room in ipairs(rooms) do
    if user.rooms[room] then isTogether = 1 end
  end
  local connected, seen = {}, {}
  for _, s in pairs(user.sessions) do
    if s.flags ~= 'c' and not seen[s.device] then
      seen[s.device] = true
      connected[#connected + 1] = s.device
    end
  end
  local row = { digits(versionOr(user.version)), digits(lastSeen(user, state.devices)), state.status, state.devices }
  row[5], row[6] = state.text, isTogether
  row[7] = #connected > 0 and cjson.encode(connected) or '[]'
  for _, value in ipairs(row) do
    page[#page + 1] = value
  end
end
return page
