#!/bin/sh
# Runs the suites on standard input, each a line "name command", one after the other, each with a time limit; shows
# one line for each and, where something failed, everything it said. A suite's own last "N passed, N failed"
# is its count. One that says none, counts no test, ends with another status than its count tells, hangs or
# leaves a process behind has failed. Ends with the sum as last line; the exit status says the same.
#   SUITE_LIMIT_S=300   time limit of one suite        VERBOSE=1   show all output
set -u
log=${BUILD:-build}/log
mkdir -p "$log"
rm -f "$log/result"
passed=0 failed=0 failing=

# Lines "state parent group" of the living processes of the group; one that has ended and waits to be fetched
# by its parent does not count.
group_members() {
  cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^.*) //' | awk -v group="$group" '$3 == group && $1 != "Z"'
}

# What is left of a suite's processes gets 5 s to end by itself; $left says that it did not.
end_group() {
  left=
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    [ -n "$(group_members)" ] || return 0
    sleep 0.5
  done
  left=yes
  kill -s KILL -- "-$group" 2>/dev/null
}
trap 'kill $group 2>/dev/null; exit 130' INT TERM

while read -r name command; do
  [ -n "$command" ] || continue
  file=$log/$(echo "$name" | tr '/ ' '__').log
  started=$(date +%s%N)
  # timeout makes a process group, whose id is its own: all that the suite starts and does not detach.
  timeout -k 10 "${SUITE_LIMIT_S:-300}" sh -c "$command" >"$file" 2>&1 </dev/null &
  group=$!
  wait $group
  status=$?
  end_group
  took_ms=$((($(date +%s%N) - started) / 1000000))
  count=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$file" | tail -n 1)
  suite_passed=${count% *} suite_failed=${count#* } why=
  if [ -z "$count" ]; then
    suite_passed=0 suite_failed=1 why="no result, exit status $status"
  elif [ "$suite_passed" = 0 ] && [ "$suite_failed" = 0 ]; then
    suite_failed=1 why="ran no test"
  elif [ $status -ne 0 ] && [ "$suite_failed" = 0 ]; then
    suite_failed=1 why="exit status $status"
  fi
  if [ -n "$left" ]; then
    suite_failed=$((suite_failed + 1)) why="left processes behind"
  fi
  [ $status -ne 124 ] || why="not done after ${SUITE_LIMIT_S:-300} s"
  passed=$((passed + suite_passed)) failed=$((failed + suite_failed))
  if [ "$suite_failed" -gt 0 ]; then
    failing="$failing $name"
    cat "$file"
    echo "FAILED $name: $suite_passed passed, $suite_failed failed, $took_ms ms${why:+ ($why)}"
  else
    [ "${VERBOSE:-}" != 1 ] || cat "$file"
    echo "ok     $name: $suite_passed passed, $took_ms ms"
  fi
done
[ -z "$failing" ] || echo "failed:$failing"
if [ $((passed + failed)) -eq 0 ]; then failed=1; fi
echo "$passed passed, $failed failed" | tee "$log/result"
[ "$failed" -eq 0 ]
