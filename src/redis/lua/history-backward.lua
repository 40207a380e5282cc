-- A room's publications up to and with an offset, newest first, as far as the bounds go and the one that goes beyond them,
-- with what is known of its partition, and what the one behind them says of what comes before it; see history-write. Answers
-- with nothing where that is not known.
local P = KEYS[1] .. ':'
local epoch, partition, room, through = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local limit, bytesMax = tonumber(ARGV[5]), tonumber(ARGV[6])
local CHUNK = 50

local known = redis.call('ZMSCORE', P .. 'hp:' .. epoch .. ':' .. partition, ' from', ' through', ' forgotten', room)
if not known[2] then return {} end

local stream = P .. 'h:' .. epoch .. ':' .. room
local behind = redis.call('XRANGE', stream, '(' .. through .. '-1', '+', 'COUNT', 1)[1]
local entries, bytes, last = {}, 0, through .. '-1'
while #entries <= limit and bytes <= bytesMax do
  local chunk = redis.call('XREVRANGE', stream, last, '-', 'COUNT', CHUNK)
  for _, entry in ipairs(chunk) do
    if #entries > limit or bytes > bytesMax then break end
    entries[#entries + 1] = entry
    bytes = bytes + #entry[2][6]
  end
  if #chunk < CHUNK then break end
  last = '(' .. chunk[#chunk][1]
end
return { known[1], known[2], known[3], known[4], entries, behind and behind[2][2] }
