--- The gateway's version.
return { VERSION = "0.1.0" }
