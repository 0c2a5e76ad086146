#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The guest's first process, from the initial RAM file system: puts a memory-backed layer over the host's files,
# makes that the root, and leaves the rest to /run/lab/start there. Serial lines: 0 the kernel's log, 1 what the
# command prints, 2 how it ended.
b=/bin/busybox

give_up() {
    echo "pybench lab: the guest could not $*" >/dev/ttyS1
    $b poweroff -f
}

$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
words=$($b cat /proc/cmdline)
for module in /modules/*; do
    $b insmod "$module"
done
$b stty -F /dev/ttyS1 raw -echo
$b stty -F /dev/ttyS2 raw -echo

$b mount -t virtiofs -o ro root /host || give_up "reach the host's files"
$b mount -t tmpfs -o size=75% layer /layer
$b mkdir /layer/files /layer/work
$b mount -t overlay -o lowerdir=/host,upperdir=/layer/files,workdir=/layer/work overlay /root ||
    give_up "lay its own files over the host's"
# All of this moves to the new root together.
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs -o mode=1777 shm /dev/shm
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
$b mount -t debugfs debugfs /sys/kernel/debug
$b mount -t tracefs tracefs /sys/kernel/tracing
$b ln -sf /proc/self/fd /dev/fd
case "$words" in *pybench.lab.share*)
    $b mount -t virtiofs share /root/mnt || give_up "reach the shared folder"
    ;;
esac
case "$words" in *pybench.lab.disk*)
    $b mkdir -p /root/disk
    $b mount -t ext4 /dev/vda /root/disk || give_up "mount its disk"
    ;;
esac
$b hostname lab
$b ip link set lo up
$b mount -t tmpfs -o mode=755 run /root/run
$b mkdir /root/run/lab
$b cp $b /lab/* /root/run/lab/
for folder in proc sys dev; do
    $b mount --move /$folder /root/$folder
done
exec $b switch_root /root /bin/bash /run/lab/start
