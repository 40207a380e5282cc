-- Gives a lease back: what it held goes after the grace, as if its replica had crashed now.
local lease = ARGV[1]
local deadline = redis.call('ZSCORE', P .. 'leases', lease)
if deadline and tonumber(deadline) > now then
  redis.call('ZADD', P .. 'leases', digits(now), lease)
  redis.call('HSET', P .. 'l:' .. lease, 'd', digits(now))
end
return 'ok'
