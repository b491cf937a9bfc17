# What hack/up, hack/down, hack/test and hack/bench share. Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=${PODIUM_VENV:-$ROOT/.venv}
# After a plain `su`, root has the user's PATH, without runc and nft.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

step() { printf '==> %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

need_root() {
    [ "$(id -u)" = 0 ] || fail "containers and networks need root: run it with sudo"
}

# need_space DIR MIB: DIR (or the nearest parent there is) has at least MIB mebibytes free.
need_space() {
    local dir=$1 free
    while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
    free=$(df --output=avail -m "$dir" | tail -n 1)
    [ "$free" -ge "$2" ] || fail "$1 has $free MiB free, at least $2 MiB are needed"
}

# need_packages PROGRAM=PACKAGE ...: installs, in one go, the Debian packages of the programs that are not on PATH.
need_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 || fail "not found on PATH: ${missing[*]}; there is no apt-get here to install them with"
    step "Installing ${missing[*]}"
    apt_get update -qq
    apt_get install -y -qq --no-install-recommends "${missing[@]}"
}

# The tests' own images are one file. Debian's other busybox, which has the same name, is linked with libraries.
need_static_busybox() {
    [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1 && return 0
    step "Installing busybox-static"
    apt_get update -qq
    apt_get install -y -qq --no-install-recommends busybox-static
}

apt_get() {
    # A package must not start a daemon of its own: an answer of 101 is how Debian's policy-rc.d says so. Where there is a
    # policy already, it stays.
    local policy=/usr/sbin/policy-rc.d made= status=0 log
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && made=1
    fi
    log=$(mktemp)
    DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$log" 2>&1 </dev/null || status=$?
    [ -z "$made" ] || rm -f $policy
    [ $status = 0 ] || { tail -n 20 "$log" >&2; rm -f "$log"; fail "apt-get $1 failed"; }
    rm -f "$log"
}

need_python() {
    need_packages python3=python3
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python 3.11 or later is needed, this is $(python3 --version)"
    python3 -c 'import ensurepip, venv' 2>/dev/null || {
        step "Installing python3-venv"
        apt_get update -qq
        apt_get install -y -qq --no-install-recommends python3-venv
    }
}

# need_venv [EXTRA]: Podium and its dependencies in $VENV, made anew only when what they are made from has changed.
need_venv() {
    local extra=${1:-} sum
    local stamp=$VENV/.podium-$extra
    sum=$(cat "$ROOT/pyproject.toml" "$ROOT/setup.py" "$ROOT"/runtime/protos/*.proto | sha256sum | cut -d' ' -f1)
    [ -x "$VENV/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sum $ROOT" ] && [ -e "$ROOT/runtime/protos/tasks_pb2.py" ] && { need_bytecode; return 0; }
    need_python
    [ -x "$VENV/bin/python" ] || { step "Creating $VENV"; python3 -m venv "$VENV"; }
    step "Installing Podium and its Python packages"
    local log
    log=$(mktemp)
    "$VENV/bin/python" -m pip install --disable-pip-version-check -e "$ROOT${extra:+[$extra]}" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; rm -f "$log"; fail "pip install failed"; }
    rm -f "$log"
    printf '%s\n' "$sum $ROOT" >"$stamp"
    need_bytecode
}

# What pip does for all but editable packages: half of a start's time is compiling, where Python keeps no bytecode itself
# (PYTHONDONTWRITEBYTECODE, or folders that the user cannot write to).
need_bytecode() {
    "$VENV/bin/python" -m compileall -q "$ROOT"/{api,cli,client,control,netd,runtime,storage} || :
}

need_runtime() {
    need_packages containerd=containerd runc=runc nft=nftables ip=iproute2 \
        mkfs.ext4=e2fsprogs mkfs.xfs=xfsprogs
}
