-- Hand-built Celery messages (app/platform/dispatch.py). Their templates stand in the script's text.
-- include: _templates.lua

-- The same bytes for the same arguments, so that a message can be looked for in its queue. `line` is what the message is
-- about, for people: JSON text without its quotes.
local function message(template, id, argument, line)
  return (string.gsub(TEMPLATES[template], '@@%u+%d?@@', { ['@@ID1@@'] = id, ['@@ID2@@'] = id .. '-patch', ['@@TAG@@'] = id,
    ['@@ARG@@'] = argument, ['@@LINE@@'] = line }))
end
