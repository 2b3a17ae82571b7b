-- Cycles through prepared requests of many users, and reports as one line of JSON.
-- Arguments: path, body, number of users, then pairs of header and value.
local prepared, at = {}, 0

function init(arguments)
  local path, body, users = arguments[1], arguments[2], tonumber(arguments[3])
  for user = 1, users do
    local headers = { ["content-type"] = "application/json", ["x-user-id"] = "user-" .. user }
    for i = 4, #arguments, 2 do
      headers[arguments[i]] = arguments[i + 1]
    end
    prepared[user] = wrk.format("POST", path, headers, body)
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
