-- A module that waits while it loads, which no module can.
require("rt.time").sleep(1)
return {}
