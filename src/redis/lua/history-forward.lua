-- A room's publications from an offset on, as far as the bounds go and the one that goes beyond them, with what is known of
-- its partition; see history-write. Answers with nothing where that is not known.
local P = KEYS[1] .. ':'
local epoch, partition, room, from = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, bytesMax = tonumber(ARGV[5]), tonumber(ARGV[6])
local CHUNK = 50

local known = redis.call('ZMSCORE', P .. 'hp:' .. epoch .. ':' .. partition, ' from', ' through', ' forgotten', room)
if not known[2] then return {} end

local entries, bytes, start = {}, 0, from
while #entries <= limit and bytes <= bytesMax do
  local chunk = redis.call('XRANGE', P .. 'h:' .. epoch .. ':' .. room, start, '+', 'COUNT', CHUNK)
  for _, entry in ipairs(chunk) do
    if #entries > limit or bytes > bytesMax then break end
    entries[#entries + 1] = entry
    bytes = bytes + #entry[2][6]
  end
  if #chunk < CHUNK then break end
  start = '(' .. chunk[#chunk][1]
end
return { known[1], known[2], known[3], known[4], entries }
