#!/bin/sh
# tools.sh NAME: provides a program that only tests, fuzzing or benchmarks need, as build/tools/bin/NAME.
# What the system has and is good enough is linked; anything else is unpacked from the distribution's signed
# archive into build/tools, with what it depends on. Nothing is installed, so no root is needed, and the
# archive's address is the one that this machine's apt uses.
#   clang   with libFuzzer and the sanitizers     node   Node.js >= 20, and npm
#   nginx   with its Lua module                   wrk    HTTP load        curl
set -eu
here=$(cd "$(dirname "$0")" && pwd)
name=$1
tools=${TOOLS_DIR:-$PWD/build/tools}
as=tools
work=$tools/$name.new tree=$tools/$name
# shellcheck source=runtime/build/archive.sh
. "$here/archive.sh"
# shellcheck disable=SC1091
. /etc/os-release
mkdir -p "$tools/bin"

# fetch PACKAGE...: unpacks them and their dependencies into $tree
fetch() {
  say "$name is not on this system: unpacking it into $tree"
  rm -rf "$work" "$tree"
  mkdir -p "$work"
  archive_open "$VERSION_CODENAME" /var/lib/dpkg/status
  closure=$(archive_closure "$@")
  [ -n "$closure" ] || { cat "$work/log" >&2; die "cannot tell what $* need"; }
  # shellcheck disable=SC2086
  archive_unpack "$work/tree" $closure
  mv "$work/tree" "$tree"
  rm -rf "$work"
}

# wrap NAME COMMAND...: build/tools/bin/NAME runs COMMAND (relative to $tree) with the libraries of $tree.
wrap() {
  libraries=$(find "$tree" -name '*.so.*' -exec dirname {} + | sort -u | sed "s#^$tools#\$here/..#" | paste -sd:)
  wrapped=$1
  shift
  cat >"$tools/bin/$wrapped.new" <<SH
#!/bin/sh
here=\$(cd "\$(dirname "\$0")" && pwd)
export LD_LIBRARY_PATH="$libraries\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}" ${environment:-}
exec $* "\$@"
SH
  chmod +x "$tools/bin/$wrapped.new"
  mv "$tools/bin/$wrapped.new" "$tools/bin/$wrapped"
}

link() { ln -sf "$(command -v "$1")" "$tools/bin/$1"; }

node_is_enough() { # the node at $1 runs and is version 20 or newer
  "$1" -e 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null
}

case $name in
  clang)
    probe='#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n); int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return d == 0 && n; }'
    works() { printf '%s\n' "$probe" | "$1" -fsanitize=fuzzer,address,undefined -xc - -o "$tools/probe" 2>"$tools/probe.log" &&
      "$tools/probe" -runs=1 >/dev/null 2>&1 && rm -f "$tools/probe" "$tools/probe.log"; }
    if command -v clang >/dev/null && works clang; then
      link clang
    else
      fetch clang libclang-rt-dev
      # shellcheck disable=SC2016
      wrap clang '"$here/../clang/usr/bin/clang"'
      works "$tools/bin/clang" || { cat "$tools/probe.log" >&2; die "clang does not work here"; }
    fi
    ;;
  node)
    if command -v node >/dev/null && command -v npm >/dev/null && node_is_enough node; then
      link node
      link npm
    else
      # Debian's Node (18 on Debian 12) only starts npm, which fetches the Node that runs the specs. It reads
      # parts of itself from /usr/share/nodejs by absolute path: a preloaded open() looks in $tree instead.
      fetch nodejs npm
      cat >"$tree/redirect.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
static int redirect(const char *symbol, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, symbol);
  char moved[8192];
  if (strncmp(path, "/usr/share/nodejs/", 18) == 0 &&
      snprintf(moved, sizeof(moved), TREE "%s", path) < (int)sizeof(moved)) path = moved;
  return real(path, flags, mode);
}
#define REDIRECT(name) int name(const char *path, int flags, ...) { \
  va_list ap; va_start(ap, flags); mode_t mode = va_arg(ap, mode_t); va_end(ap); \
  return redirect(#name, path, flags, mode); }
REDIRECT(open)
REDIRECT(open64)
C
      cc -shared -fPIC -O1 -DTREE="\"$tree\"" -o "$tree/redirect.so" "$tree/redirect.c" -ldl
      # shellcheck disable=SC2016
      modules='NODE_PATH="$here/../node/usr/share/nodejs:$here/../node/usr/lib/nodejs"'
      # shellcheck disable=SC2016
      npm='"$here/../node/usr/share/nodejs/npm/bin/npm-cli.js"'
      environment="$modules LD_PRELOAD=\"\$here/../node/redirect.so\""
      wrap npm "\"\$here/../node/usr/bin/node\" $npm"
      mkdir -p "$tree/newer"
      cp "$here/node/package.json" "$here/node/package-lock.json" "$tree/newer/"
      (cd "$tree/newer" && "$tools/bin/npm" ci --ignore-scripts --no-audit --no-fund)
      ln -sf ../node/newer/node_modules/node-linux-"$(uname -m | sed 's/x86_64/x64/;s/aarch64/arm64/')"/bin/node "$tools/bin/node"
      environment=$modules
      wrap npm "\"\$here/node\" $npm"
    fi
    node_is_enough "$tools/bin/node" || die "Node.js 20 or newer is needed; npm could not fetch one, or it does not run here"
    ;;
  nginx)
    if command -v nginx >/dev/null && [ -f /usr/lib/nginx/modules/ngx_http_lua_module.so ]; then
      link nginx
    else
      fetch nginx libnginx-mod-http-lua
      # shellcheck disable=SC2016
      wrap nginx '"$here/../nginx/usr/sbin/nginx"'
    fi
    ;;
  wrk | curl)
    if command -v "$name" >/dev/null; then
      link "$name"
    else
      fetch "$name"
      wrap "$name" "\"\$here/../$name/usr/bin/$name\""
    fi
    ;;
  *) die "no such tool: $name (clang, node, nginx, wrk, curl)" ;;
esac
say "$name: $tools/bin/$name"
