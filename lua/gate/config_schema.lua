--- The kernel's part of gate.lua, as data. Options of accounts and plugins are checked against the schemas
--- that the plugins declare.
local PRICE = {
  fields = {
    input = { type = "number", min = 0, required = true },
    output = { type = "number", min = 0, required = true },
    cache_write_5m = { type = "number", min = 0 },
    cache_write_1h = { type = "number", min = 0 },
    cache_read = { type = "number", min = 0 },
  },
  doc = "USD per million tokens",
}

local MINUTE_MS = 60000

return {
  top = {
    listen = { list_of = "any", default = { "127.0.0.1:8787" }, doc = 'addresses, "host:port" or { address, tls }' },
    admin = { fields = { socket = { type = "string", default = "data/admin.sock", min = 1, max = 100 } } },
    workers = { type = "integer", min = 1, max = 256, doc = "worker processes; default: one per core" },
    data_dir = { type = "string", default = "data", min = 1 },
    plugin_dirs = { list_of = { type = "string", min = 1 }, default = {},
      doc = "searched before the built-in plugins" },
    accounts = { type = "table" },
    models = { type = "table" },
    keys = { type = "table" },
    plugins = { type = "table" },
    surfaces = { type = "table" },
    catalog = { type = "string" },
    log = {
      fields = {
        level = { type = "string", enum = { "debug", "info", "warn", "error" }, default = "info" },
        output = { type = "string", default = "stderr", min = 1, doc = '"stdout", "stderr" or a path' },
        requests = { type = "boolean", default = true },
      },
    },
    timeouts = {
      fields = {
        request_ms = { type = "integer", min = 1000, default = 60 * MINUTE_MS },
        connect_ms = { type = "integer", min = 10, default = 5000 },
        first_byte_ms = { type = "integer", min = 10, default = 10 * MINUTE_MS },
        between_bytes_ms = { type = "integer", min = 10, default = 90000 },
        drain_ms = { type = "integer", min = 0, default = MINUTE_MS },
        stall_ms = { type = "integer", min = 100, default = 1000 },
      },
    },
    limits = {
      fields = {
        answer_bytes = { type = "integer", min = 1024, default = 64 * 1024 * 1024 },
        json_depth = { type = "integer", min = 8, max = 1000, default = 64 },
      },
    },
    retry = {
      fields = {
        attempts = { type = "integer", min = 1, max = 20, default = 3, doc = "tries over all targets" },
        same_target = { type = "integer", min = 0, max = 5, default = 1, doc = "repeats of one target" },
        max_wait_ms = { type = "integer", min = 0, default = 2000, doc = "longest pause before a repeat" },
      },
    },
    client = {
      fields = {
        ca_file = { type = "string", min = 1 },
        proxy = { type = "string", default = "env", min = 1, doc = '"env", "off" or a URL' },
        max_idle_per_origin = { type = "integer", min = 0, default = 128 },
        idle_timeout_ms = { type = "integer", min = 100, default = 55000 },
      },
    },
  },
  listener = {
    address = { type = "string", required = true, min = 1 },
    tls = {
      fields = {
        certificate = { type = "string", required = true, min = 1 },
        key = { type = "string", required = true, min = 1 },
      },
    },
  },
  account = {
    provider = { type = "string", required = true, doc = "name of a provider plugin" },
    models = { type = "any", default = "all" },
    collaborators = {
      fields = { users = { list_of = "string", default = {} }, managers = { list_of = "string", default = {} } },
    },
    base_url = { type = "string", min = 1 },
    allow_plain_http = { type = "boolean", default = false, doc = "http:// to an address that is not loopback" },
  },
  model = {
    targets = { list_of = { type = "string", min = 1 }, min = 1 },
    price = PRICE,
    doc = { type = "string" },
  },
  key = {
    name = { type = "string", required = true, min = 1, max = 100 },
    sha256 = { type = "string", required = true, pattern = "^%x+$", min = 64, max = 64, hint = "64 hex digits" },
    user = { type = "string", min = 1 },
    teams = { list_of = { type = "string", min = 1 }, default = {} },
    models = { type = "any", default = "all" },
    expires_at = { type = "integer", min = 0, doc = "Unix time in seconds" },
  },
}
