# shellcheck shell=bash
# Sourced by the other scripts: the checkout's folder, how progress and failure are said, and who asks for root.

# shellcheck disable=SC2034 # read by the scripts that source this file
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# say TEXT: one line of progress.
say() { printf '\e[1m==> %s\e[0m\n' "$*"; }

# fail TEXT [ADVICE…]: what went wrong, then what to do about it, one line each.
fail() {
  printf '\e[31merror: %s\e[0m\n' "$1" >&2
  shift
  printf '       %s\n' "$@" >&2
  exit 1
}

# has COMMAND…: true when all of them are there.
has() { command -v "$@" >/dev/null 2>&1; }

# need_root: setup, tests and quickstart change the machine.
need_root() {
  [[ $EUID == 0 ]] || fail "$(basename "$0") needs root" "run it again as: sudo $0 $*"
}

# need_node: Node 20.17 or newer, also where sudo has taken it off the PATH.
need_node() {
  has node npm || fail "node and npm are not on the PATH" \
    "install Node 20 (https://nodejs.org or deb.nodesource.com)" \
    "if it is there for your user only: sudo env \"PATH=\$PATH\" $0"
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 17) ? 0 : 1)' ||
    fail "Node $(node --version) is too old" "install Node 20.17 or newer (https://nodejs.org or deb.nodesource.com)"
}

# hand_back PATH…: what root made inside a user's checkout goes to that user.
hand_back() {
  local path
  for path in "$@"; do
    if [[ $EUID == 0 && -e $path ]]; then chown -R --reference="$root" "$path"; fi
  done
}
