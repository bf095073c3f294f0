-- What wrk is to send, and what it has to say in the end, as one line of JSON.
--
--   wrk … --script load.lua URL -- METHOD BODY_FILE|- EXPECTED_FILE|-
--
-- With an expected file every body is compared with it. That costs the generator time, so a measurement goes without, and
-- counts bytes.

local threads = {}

function setup(thread)
    thread:set("wrong", 0)
    table.insert(threads, thread)
end

local function content(path)
    if path == "-" then return nil end
    local file = assert(io.open(path, "rb"))
    local text = file:read("*a")
    file:close()
    return text
end

function init(args)
    wrk.method = args[1]
    wrk.body = content(args[2])
    local expected = content(args[3])
    if expected then
        function response(status, fields, body)
            if status ~= 200 or body ~= expected then wrong = wrong + 1 end
        end
    end
end

function done(summary, latency, requests)
    local wrong = 0
    for _, thread in ipairs(threads) do wrong = wrong + thread:get("wrong") end
    local errors = summary.errors
    local fields = {
        requests = summary.requests, bytes = summary.bytes, duration_us = summary.duration, wrong = wrong,
        connect = errors.connect, read = errors.read, write = errors.write, status = errors.status,
        timeout = errors.timeout, p50_us = latency:percentile(50), p90_us = latency:percentile(90),
        p99_us = latency:percentile(99), p999_us = latency:percentile(99.9),
    }
    local parts = {}
    for name, value in pairs(fields) do table.insert(parts, string.format("%q: %.0f", name, value)) end
    io.write("{", table.concat(parts, ", "), "}\n")
end
