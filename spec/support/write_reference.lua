--- `make reference`.
require("spec.support.reference").write()
