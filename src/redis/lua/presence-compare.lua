-- How rooms and users are now: generation, partial, then of each room version and count, of each user the version. ARGV:
-- JSON of {{name, version that was told}}, rooms and users. What has been told a higher version, by a replica that was on
-- its own, goes on from there.
local next = math.max(numberAt(P .. 'v') + 1, nowUs)

local function raised(stored, told, raise)
  local version = versionOr(stored)
  if version >= told then return version end
  version = math.max(next, told + 1)
  next = version + 1
  redis.call('SET', P .. 'v', digits(version), 'KEEPTTL')
  raise(digits(version))
  return version
end

local answer = { gen.id, isPartial() and 1 or 0 }
for _, each in ipairs(cjson.decode(ARGV[1])) do
  local room = each[1]
  local count = redis.call('ZCARD', P .. 'r:' .. room)
  local version = raised(redis.call('HGET', P .. 'rv', room), each[2], function(written)
    if count > 0 then
      redis.call('HSET', P .. 'rv', room, written)
    else
      redis.call('SET', P .. 'vf', written, 'KEEPTTL')
    end
  end)
  answer[#answer + 1] = digits(version)
  answer[#answer + 1] = count
end
for _, each in ipairs(cjson.decode(ARGV[2])) do
  local key = P .. 'u:' .. each[1]
  local version = raised(redis.call('HGET', key, 'v'), each[2], function(written)
    if redis.call('EXISTS', key) == 1 then
      redis.call('HSET', key, 'v', written)
    else
      redis.call('SET', P .. 'vf', written, 'KEEPTTL')
    end
  end)
  answer[#answer + 1] = digits(version)
end
return answer
