#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The guest's first process once it has its root. The command's output goes through a pipe, so that programs see no
# terminal; processes that hold that pipe when the command is done are not waited for.
mount --make-rshared /
exec 3> >(exec cat >/dev/ttyS1)
reader=$!
setsid -w /bin/bash /run/lab/command </dev/null >&3 2>&1
status=$?
exec 3>&-
for _ in {1..20}; do
    kill -0 "$reader" 2>/dev/null || break
    sleep 0.1
done
sync
echo "status=$status" >/dev/ttyS2
/run/lab/busybox poweroff -f
