-- A page of a room: generation, partial, version, count, more, then of each user: name and status|devices|text, '' for one
-- without a session.
local room, after, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local key = P .. 'r:' .. room
local from = after == '' and '-' or '(' .. after
local names = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, limit + 1)
local version = versionOr(redis.call('HGET', P .. 'rv', room))
local page = { gen.id, isPartial() and 1 or 0, digits(version), redis.call('ZCARD', key), #names > limit and 1 or 0 }
for i = 1, math.min(limit, #names) do
  page[#page + 1] = names[i]
  page[#page + 1] = redis.call('HGET', P .. 'u:' .. names[i], 'a') or ''
end
return page
