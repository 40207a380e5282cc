-- Lets go of a partition's lease, if it is this one's.
local writer = KEYS[1] .. ':hw:' .. ARGV[1] .. ':' .. ARGV[2]
if redis.call('GET', writer) == ARGV[3] then redis.call('UNLINK', writer) end
