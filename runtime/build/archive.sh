# shellcheck shell=sh disable=SC2154
# The distribution's signed package archive, without root and without touching the system: an apt of our own
# (own lists and cache) that reads only the distribution's archives this machine is configured for. Read by
# deps.sh and tools.sh, which set $work to a fresh directory and $as to the name that their messages carry.
#   archive_open SUITE STATUS    reads the package lists of SUITE; STATUS: which packages count as installed
#   archive_get ARGUMENTS        apt-get on those lists; what it says goes to $work/log
say() { echo "${as:?}: $*"; }
die() {
  echo "${as:?}: $*" >&2
  exit 1
}

archive_get() {
  apt-get -q -o Dir::State="$work/apt" -o Dir::State::lists="$work/apt/lists" -o Dir::State::status="$archive_status" \
    -o Dir::Cache="$work/apt/cache" -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/apt/etc" \
    -o APT::Sandbox::User=root -o APT::Get::List-Cleanup=false -o Acquire::Languages=none \
    -o Acquire::Retries=3 -o APT::Update::Error-Mode=any -o Acquire::AllowInsecureRepositories=false "$@" 2>>"$work/log"
}

archive_open() {
  suite=$1 archive_status=$2
  { command -v apt-get && command -v dpkg-deb; } >/dev/null || die "this needs Debian or Ubuntu (apt-get, dpkg-deb)"
  key=/usr/share/keyrings/$ID-archive-keyring.gpg
  [ -r "$key" ] || die "$key is missing; install $ID-archive-keyring"
  case $ID in ubuntu) components="main universe" ;; *) components=main ;; esac
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/apt/etc"
  # apt names its archives as 'URI/dists/SUITE/InRelease' ...: ask the same addresses for $suite, and leave
  # out one that has no such suite or is not signed by the distribution (a third party's).
  apt-get --print-uris update 2>/dev/null |
    sed -nE "s#^'(.*)/dists/($VERSION_CODENAME|stable|oldstable)((-updates|-security)?)/InRelease'.*#\\1 \\3#p" |
    sort -u >"$work/origins"
  n=0
  while read -r uri part; do
    n=$((n + 1)) source=$work/apt/etc/$n.sources
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\nSigned-By: %s\n' \
      "$uri" "$suite$part" "$components" "$(dpkg --print-architecture)" "$key" >"$source"
    say "reading the package list of $suite$part"
    archive_get -o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::SourceList="$source" update >>"$work/log" || {
      say "  left out: $uri"
      rm "$source"
    }
  done <"$work/origins"
}

# archive_unpack DIRECTORY PACKAGE...: fetches them (each checked against the signed list) and unpacks them there.
archive_unpack() {
  into=$1
  shift
  mkdir -p "$work/debs" "$into"
  (cd "$work/debs" && archive_get download "$@" >>"$work/log") || {
    cat "$work/log" >&2
    die "could not fetch the packages from $suite (log above)"
  }
  for deb in "$work/debs"/*.deb; do dpkg-deb -x "$deb" "$into"; done
}

# archive_closure PACKAGE...: these and all they depend on, as name=version, without what the system has.
archive_closure() {
  archive_get -s -o Debug::NoLocking=1 install --no-install-recommends --no-remove "$@" |
    sed -nE 's/^Inst ([^ ]+) (\[[^]]*\] )?\(([^ ]+) .*/\1=\3/p'
}
