#!lua flags=allow-oom
-- Fan-out: wake some of the consumers that listen to a topic, for what was published to it.
--
-- ARGV[1] {topic, called: true where its message has come, seed}
-- Result  {how many were woken, 1 where more are to be}
-- include: _base.lua
-- include: _waking.lua

if ctl.called then redis.call('HDEL', P .. 'feeds:called', ctl.topic) end

local news = redis.call('HGETALL', news_key(ctl.topic))
for i = 1, #news, 2 do
  local name, latest = news[i], tonumber(string.match(news[i + 1], '%d+$'))
  local key = listeners_key(ctl.topic, name)
  local members = redis.call('ZRANGEBYSCORE', key, '-inf', '(' .. int(latest), 'WITHSCORES',
    'LIMIT', 0, int(wakes_left))
  for n = 1, #members, 2 do wake_listener(ctl.topic, members[n], tonumber(members[n + 1]), latest) end
  wakes_left = wakes_left - #members / 2
  if wakes_left == 0 then return { AT_MOST, 1 } end
  redis.call('HDEL', news_key(ctl.topic), name)
end
redis.call('SREM', P .. 'feeds:news', ctl.topic)
return { AT_MOST - wakes_left, 0 }
