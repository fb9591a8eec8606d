#!/bin/sh
# run.sh SECONDS BINARY...: runs each libFuzzer target for SECONDS, two at a time, from its seeds in
# spec/fuzz/seeds/<name> and what earlier runs found (build/fuzz/<name>). A target passes when nothing was found;
# an input that fails is kept in build/fuzz/<name>-found: once mended, it belongs among the seeds.
set -eu
seconds=$1
shift
out=${BUILD:-build}/fuzz
mkdir -p "$out"

one() { # BINARY: 0 when nothing was found
  name=$(basename "$1")
  mkdir -p "$out/$name" "$out/$name-found"
  target=$1
  set --
  [ ! -r "spec/fuzz/$name.dict" ] || set -- "-dict=spec/fuzz/$name.dict"
  set -- "$@" "$out/$name"
  [ ! -d "spec/fuzz/seeds/$name" ] || set -- "$@" "spec/fuzz/seeds/$name"
  if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$out/$name-found/" "$@" >"$out/$name.log" 2>&1; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$name.log") inputs, nothing found"
    touch "$out/$name.passed"
  else
    tail -n 60 "$out/$name.log"
    echo "$name: failed, see $out/$name-found"
  fi
}

rm -f "$out"/*.passed
count=0
for target in "$@"; do
  one "$target" &
  count=$((count + 1))
  [ $((count % 2)) -ne 0 ] || wait
done
wait
passed=$(find "$out" -name '*.passed' | wc -l)
echo "$passed passed, $((count - passed)) failed"
[ "$passed" -eq "$count" ]
