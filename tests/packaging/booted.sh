#!/bin/bash
# SPDX-License-Identifier: BSL-1.0
# The units under a real systemd: the first process of namespaces of its own, on this system's files under an overlay, with
# dtask-tools unpacked into it. What it changes is in memory and gone with it.
#
# usage: booted.sh FOLDER PACKAGE HELLO      FOLDER: for the log; PACKAGE: dtask-tools; HELLO: the program hello
# Ends with 77 where this system has no systemd or does not let it be started.
set -eu
folder=$(realpath "$1") package=$(realpath "$2") hello=$(realpath "$3")
cannot() { echo "left out: $1"; exit 77; }

if [ -z "${DTASK_BOOTED_INSIDE:-}" ]; then
  [ "$(cat /proc/self/uid_map | tr -s ' ')" = " 0 0 4294967295" ] || cannot "needs root"
  [ -x /lib/systemd/systemd ] || cannot "there is no systemd"
  unshare --mount --propagation private true 2>/dev/null || cannot "no mount namespace of its own can be made here (a chroot, or no right)"
  group=dtask-booted-$$
  export DTASK_BOOTED_INSIDE=$group
  mkdir -p "$folder/cgroup"
  # Its control groups are below one that is removed afterwards.
  exec unshare --mount --propagation private bash -c '
    mount -t cgroup2 cgroup2 "$1/cgroup" && mkdir "$1/cgroup/$2" || { echo "left out: no control groups"; exit 77; }
    (echo "$BASHPID" >"$1/cgroup/$2/cgroup.procs" || { echo "left out: no control groups"; exit 77; }
     exec unshare --fork --pid --kill-child --mount --propagation private --net --uts --ipc --cgroup --mount-proc bash "${@:3}") &
    child=$!
    trap "kill -9 $child 2>/dev/null" TERM
    status=0; wait $child || status=$?
    for tries in 1 2 3 4 5 6 7 8 9 10; do
      find "$1/cgroup/$2" -depth -type d -exec rmdir {} \; 2>/dev/null
      [ -e "$1/cgroup/$2" ] || break
      sleep 0.1
    done
    exit $status' sh "$folder" "$group" "$0" "$folder" "$package" "$hello"
fi

mkdir -p "$folder/root"
mount -t tmpfs tmpfs "$folder/root" || cannot "no right to mount"
cd "$folder/root"
mkdir up work m
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work m || cannot "no overlay of this system's files"
mount -t proc proc m/proc
mount --bind m/proc/sys m/proc/sys
mount -o remount,bind,ro m/proc/sys
mount -t sysfs -o ro sysfs m/sys
mount -t tmpfs tmpfs m/sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 m/sys/fs/cgroup
mount -t tmpfs tmpfs m/dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "m/dev/${node%:*}" c 1 "${node#*:}"; done
mknod -m 666 m/dev/tty c 5 0
mknod -m 666 m/dev/ptmx c 5 2
mkdir m/dev/shm m/dev/pts m/dev/mqueue m/dev/hugepages
ln -s /proc/self/fd m/dev/fd
touch m/dev/console "$folder/console"
mount --bind "$folder/console" m/dev/console
mount -t tmpfs tmpfs m/run
mount -t tmpfs -o mode=1777 tmpfs m/tmp
# Nothing of this system is started but what the units of the test need.
rm -rf m/usr/lib/systemd/system/*.wants m/lib/systemd/system/*.wants m/etc/systemd/system/*
ln -s /dev/null m/etc/systemd/system/systemd-networkd-wait-online.service
ln -s /dev/null m/etc/systemd/system/NetworkManager-wait-online.service
echo 0123456789abcdef0123456789abcdef >m/etc/machine-id
mkdir -p m/opt/booted
cp "$hello" m/opt/booted/hello
dpkg --root="$PWD/m" --force-depends --force-script-chrootless --log=/dev/null -i "$package" >/dev/null
printf 'DTASK_PROGRAM=/opt/booted/hello\nDTASK_OPTIONS=--slots 2\n' >m/etc/dtask/worker-hello
(umask 077 && echo DTASK_COOKIE=4711 >m/etc/dtask/cookie)
mkdir -p m/mnt
mount --bind "$folder" m/mnt

cat >m/opt/booted/check <<'CHECK'
#!/bin/bash
exec >/mnt/log 2>&1
set -eu
failed() { echo "== failed: $1"; systemctl --no-pager -l status dtask-coordinator dtask-worker@hello || true; exit 1; }
trap 'failed "line $LINENO"' ERR
within() {  # within WHAT COMMAND...: asks again for half a minute
  local what=$1 end=$((SECONDS + 30))
  shift
  until "$@"; do [ $SECONDS -lt $end ] || failed "$what"; sleep 0.1; done
}
property() { systemctl show --value -p "$2" "$1"; }
worker_there() { dtask status --json 2>/dev/null | grep -q '"workers":\[{'; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }

systemctl preset-all --preset-mode=full 2>/dev/null
for unit in dtask-coordinator.service dtask-worker@hello.service; do
  [ "$(systemctl is-enabled $unit)" = disabled ] || failed "$unit is enabled by the package"
  is $unit ActiveState inactive || failed "$unit runs before it was started"
done
timeout 60 systemctl start dtask-coordinator dtask-worker@hello
export DTASK_COOKIE=4711
within "a worker" worker_there
for unit in dtask-coordinator dtask-worker@hello; do
  status=/proc/$(property $unit MainPID)/status
  [ "$(awk '/^Uid:/ {print ($2 >= 61184 && $2 <= 65519 && $2 == $3 && $2 == $4)}' "$status")" = 1 ] || failed "$unit is not a user of its own"
  grep -q '^CapBnd:[[:space:]]*0*$' "$status" || failed "$unit could have capabilities"
  grep -q '^NoNewPrivs:[[:space:]]*1$' "$status" || failed "$unit could gain rights"
  grep -q '^Seccomp:[[:space:]]*2$' "$status" || failed "$unit makes any system call"
done
[ "$(/opt/booted/hello --on tcp://127.0.0.1:7700)" = "primes below one million: 78498" ]
! env -u DTASK_COOKIE dtask status 2>/dev/null || failed "the cookie is not asked for"

systemctl restart dtask-coordinator
within "the worker after the coordinator's restart" worker_there
kill -9 "$(property dtask-coordinator MainPID)"
within "the coordinator after its death" is dtask-coordinator NRestarts 1
within "the worker after the coordinator's death" worker_there
timeout 60 systemctl stop dtask-worker@hello dtask-coordinator
for unit in dtask-coordinator dtask-worker@hello; do is $unit Result success || failed "$unit does not end in order"; done

echo 'DTASK_OPTIONS=--frobnicate' >/etc/dtask/coordinator
systemctl start dtask-coordinator || true
within "the end of a coordinator with a wrong option" is dtask-coordinator ActiveState failed
is dtask-coordinator ExecMainStatus 2 && is dtask-coordinator NRestarts 0 || failed "a wrong option is tried again"
! systemctl start dtask-worker@none 2>/dev/null || failed "a worker that nothing describes is started"
echo "== passed"
CHECK
chmod 755 m/opt/booted/check
cat >m/etc/systemd/system/check.service <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/opt/booted/check
TimeoutStartSec=240
UNIT
printf '[Unit]\nRequires=basic.target\nWants=check.service\nAfter=basic.target\n' >m/etc/systemd/system/check.target
cd m
mkdir -p oldroot
pivot_root . oldroot
umount -l oldroot
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other /lib/systemd/systemd --unit=check.target --log-target=console --log-level=warning
