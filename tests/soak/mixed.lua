-- Requests of every kind in turn: none of them may leave anything behind. (Not HEAD: wrk would wait for its body.)
local body = string.rep("0123456789abcdef", 100)
local requests = {
  { "GET", "/plain" },
  { "GET", "/stream" },
  { "GET", "/file" },
  { "GET", "/write" },
  { "POST", "/lines", body },
  { "POST", "/unread", body },
  { "GET", "/errors" },
  { "GET", "/replaced?a=b&c=d" },
}
local number = 0

function request()
  number = number % #requests + 1
  local method, path, content = unpack(requests[number])
  return wrk.format(method, path, { ["Host"] = "localhost", ["Cookie"] = "session=" .. number, ["X-Number"] = tostring(number) }, content)
end
