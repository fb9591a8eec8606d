--- The kernel's part of gate.lua, as data. Options of accounts and plugins are checked against the schemas
--- that the plugins declare. lua/gate/REFERENCE.md is made from this (`make reference`).
local PRICE = {
  fields = {
    input = { type = "number", min = 0, required = true, doc = "Tokens sent." },
    output = { type = "number", min = 0, required = true, doc = "Tokens answered." },
    cache_write_5m = { type = "number", min = 0, doc = "Tokens written to the cache for five minutes." },
    cache_write_1h = { type = "number", min = 0, doc = "Tokens written to the cache for an hour." },
    cache_read = { type = "number", min = 0, doc = "Tokens read from the cache." },
  },
  doc = "USD per million tokens.",
}

local MINUTE_MS = 60000

return {
  top = {
    listen = { list_of = "any", default = { "127.0.0.1:8787" },
      doc = 'Addresses, each "host:port" or a table, see below.' },
    admin = {
      fields = {
        socket = { type = "string", default = "data/admin.sock", min = 1, max = 100,
          doc = "Unix socket of the commands `status`, `reload` and `drain`." },
      },
    },
    workers = { type = "integer", min = 1, max = 256, doc = "Worker processes; default: one per core." },
    data_dir = { type = "string", default = "data", min = 1, doc = "Folder for state. Nothing is kept in it but the admin socket." },
    plugin_dirs = { list_of = { type = "string", min = 1 }, default = {},
      doc = "Folders searched before `plugins` beside gate.lua and the built-in plugins." },
    accounts = { type = "table",
      doc = "Name -> account, see below. Absent: what the environment offers, else the simulator." },
    models = { type = "table", doc = "Name -> virtual model or private price, see below." },
    keys = { type = "table", doc = "List of client keys, see below. Without keys nobody gets in." },
    plugins = { type = "table",
      doc = 'Policy plugins in the order of their hooks, each "name" or { "name", option = value }.' },
    surfaces = { type = "table", doc = "What clients may speak, written like `plugins`." },
    catalog = { type = "string", doc = "Plugin that knows the models." },
    log = {
      fields = {
        level = { type = "string", enum = { "debug", "info", "warn", "error" }, default = "info",
          doc = "The least level that is written." },
        output = { type = "string", default = "stderr", min = 1, doc = '"stdout", "stderr" or a path.' },
        requests = { type = "boolean", default = true, doc = "One line for each request." },
      },
    },
    timeouts = {
      fields = {
        request_ms = { type = "integer", min = 1000, default = 60 * MINUTE_MS,
          doc = "The whole request, all tries together." },
        connect_ms = { type = "integer", min = 10, default = 5000, doc = "Connecting to an upstream." },
        first_byte_ms = { type = "integer", min = 10, default = 10 * MINUTE_MS,
          doc = "From the last byte sent upstream to the first of its answer." },
        between_bytes_ms = { type = "integer", min = 10, default = 90000, doc = "Silence within an answer." },
        no_content_ms = { type = "integer", min = 100, default = 5 * MINUTE_MS,
          doc = "A stream that sends nothing but keep-alives." },
        drain_ms = { type = "integer", min = 0, default = MINUTE_MS,
          doc = "What still runs so long after SIGTERM or `drain` is cut." },
        stall_ms = { type = "integer", min = 100, default = 1000,
          doc = "A worker that gives no sign for so long is replaced." },
      },
    },
    limits = {
      fields = {
        answer_bytes = { type = "integer", min = 1024, default = 64 * 1024 * 1024,
          doc = "Longest answer of an upstream that is not streamed." },
        json_depth = { type = "integer", min = 8, max = 1000, default = 64, doc = "Nesting of a request's JSON." },
      },
    },
    retry = {
      fields = {
        attempts = { type = "integer", min = 1, max = 20, default = 3, doc = "Tries over all targets." },
        same_target = { type = "integer", min = 0, max = 5, default = 1, doc = "Repeats of one target." },
        max_wait_ms = { type = "integer", min = 0, default = 2000, doc = "Longest pause before a repeat." },
      },
    },
    client = {
      fields = {
        ca_file = { type = "string", min = 1, doc = "PEM file of trusted authorities; default: the system's." },
        proxy = { type = "string", default = "env", min = 1,
          doc = 'Proxy to upstreams: "env" (HTTPS_PROXY, NO_PROXY), "off" or a URL.' },
        max_idle_per_origin = { type = "integer", min = 0, default = 128,
          doc = "Idle connections that a worker keeps to one upstream." },
        idle_timeout_ms = { type = "integer", min = 100, default = 55000, doc = "How long it keeps them." },
      },
    },
  },
  listener = {
    address = { type = "string", required = true, min = 1, doc = '"host:port".' },
    tls = {
      fields = {
        certificate = { type = "string", required = true, min = 1, doc = "PEM file, the server's certificate first." },
        key = { type = "string", required = true, min = 1, doc = "PEM file." },
      },
      doc = "Absent: plain HTTP.",
    },
  },
  account = {
    provider = { type = "string", required = true, doc = "Name of a provider plugin." },
    models = { type = "any", default = "all", doc = '"all", or a list of the models that this account serves.' },
    collaborators = {
      fields = {
        users = { list_of = "string", default = {}, doc = 'Such as "user:NAME" or "team:NAME".' },
        managers = { list_of = "string", default = {}, doc = "The same." },
      },
      doc = "For policy plugins to read; no built-in plugin grants or denies by it.",
    },
    base_url = { type = "string", min = 1, doc = "Where the provider is, instead of its own address." },
    allow_plain_http = { type = "boolean", default = false, doc = "http:// to an address that is not loopback." },
  },
  model = {
    targets = { list_of = { type = "string", min = 1 }, min = 1,
      doc = 'Tried in this order, each "account/model". Makes the name a virtual model.' },
    price = PRICE,
    doc = { type = "string", doc = "A remark." },
  },
  key = {
    name = { type = "string", required = true, min = 1, max = 100, doc = "How the log calls it." },
    sha256 = { type = "string", required = true, pattern = "^%x+$", min = 64, max = 64, hint = "64 hex digits",
      doc = "SHA-256 of the key, as `moongate keys new` prints it." },
    user = { type = "string", min = 1, doc = "Whose it is." },
    teams = { list_of = { type = "string", min = 1 }, default = {}, doc = "Which teams the user is in." },
    models = { type = "any", default = "all", doc = '"all", or a list of models: as asked for, "account/model" or bare.' },
    expires_at = { type = "integer", min = 0, doc = "Unix time in seconds." },
  },
}
