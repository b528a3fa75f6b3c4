#!/bin/sh
# beside.sh COMMAND... -- MAIN...: runs each COMMAND (a line for sh) beside MAIN, and shows what it printed after MAIN's own output.
# Fails where any of them fails.
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'kill $children 2>/dev/null; exit 130' INT TERM
count=0
children=
while [ "$1" != -- ]; do
    count=$((count + 1))
    sh -c "$1" </dev/null >"$folder/$count" 2>&1 &
    children="$children $!"
    shift
done
shift
"$@"
status=$?
count=0
for child in $children; do
    count=$((count + 1))
    wait "$child" || status=1
    cat "$folder/$count"
done
exit "$status"
