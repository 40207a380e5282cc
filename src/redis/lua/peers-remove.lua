-- Tells all replicas of a removal. Returns how many hear it, this one among them, and how many there are by their leases:
-- one that has lost its connection for a moment hears nothing, and is not to be taken for gone.
-- KEYS[1] is `{prefix}`, ARGV[1] the channel, ARGV[2] what is said.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return { redis.call('PUBLISH', ARGV[1], ARGV[2]), redis.call('ZCOUNT', KEYS[1] .. ':leases', '(' .. string.format('%.0f', now), '+inf') }
