#!/bin/sh
# quietly.sh SENTENCE COMMAND...: runs the command and shows its output only when it fails.
# The sentence goes to people alone, who would wonder at a minute's silence: the first line of a captured `make demo` is the URL.
sentence=$1
shift
if [ -t 2 ]; then echo "$sentence ..." >&2; fi
output=$("$@" </dev/null 2>&1)
status=$?
if [ "$status" -ne 0 ]; then
    printf '%s\n%s: failed (exit status %s), see above.\n' "$output" "$sentence" "$status" >&2
fi
exit "$status"
