-- A gateway in front of the simulator. The key is "mg-quickstart" (make your own: moongate keys new NAME).
return {
  listen = { "127.0.0.1:8787" },
  accounts = { sim = { provider = "simulator" } },
  models = { fast = { targets = { "sim/claude-haiku-4-5" } } },
  keys = {
    { name = "quickstart", sha256 = "375a575b2606268afbbb37a398797b16c85136272aba1ca19102727495046c5e",
      user = "you", teams = { "research" } },
  },
  plugins = { "access", { "polite", word = "please" }, "route", "model_limits", "reasoning_budget" },
  plugin_dirs = { "plugins" },
}
