#!/bin/sh
# SPDX-License-Identifier: BSL-1.0
# The packages as apt sees them: made, tested, installed on a system that has none of their dependencies, used, removed without a
# trace. Needs root, the network, and a system that may be spoiled (a fresh Debian 12 or 13):
#
#   DTASK_SPOIL_THIS_SYSTEM=1 tests/packaging/apt.sh
set -eu
[ "${DTASK_SPOIL_THIS_SYSTEM:-}" = 1 ] || { echo "apt.sh: removes packages; set DTASK_SPOIL_THIS_SYSTEM=1 where that does no harm" >&2; exit 2; }
cd "$(dirname "$0")/../.."
export DEBIAN_FRONTEND=noninteractive
content() {
  find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /root -o -path /var/cache -o -path /var/log \
    -o -path /var/lib/dpkg -o -path /var/lib/apt \) -prune -o -print | sort
}
scripts/setup build
apt-get install -y -qq --no-install-recommends bash-completion build-essential debhelper dpkg-dev lintian man-db pkg-config systemd >/dev/null
scripts/package deb --out /tmp/packages
PYTHONDONTWRITEBYTECODE=1 python3 tests/packaging/deb_test.py . /tmp/deb_test /tmp/packages

apt-get purge -y -qq --autoremove build-essential g++ 'libboost*-dev' libcereal-dev libcli11-dev libxxhash-dev libjpeg-dev libpng-dev libexif-dev \
  zlib1g-dev doctest-dev cmake debhelper lintian pkg-config pkgconf >/dev/null
[ ! -e /usr/include/boost ] && [ ! -e /usr/bin/g++ ] || { echo "apt.sh: the dependencies are still there" >&2; exit 1; }
content >/tmp/before
apt-get install -y -qq /tmp/packages/libdtask-dev_*.deb /tmp/packages/dtask-tools_*.deb >/dev/null
dtask version
cp examples/hello/main.cpp /tmp/hello.cpp
(cd /tmp && g++ -std=c++20 hello.cpp -o hello -pthread && ./hello --on spawn://2)
apt-get install -y -qq pkg-config >/dev/null
sh packaging/debian/tests/hello
apt-get purge -y -qq --autoremove libdtask-dev dtask-tools pkg-config >/dev/null
content >/tmp/after
diff /tmp/before /tmp/after
echo "apt.sh: installed, used, removed without a trace on $(. /etc/os-release && echo "$PRETTY_NAME")"
