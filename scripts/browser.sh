#!/bin/sh
# Sees to it that the browser tests have a Chromium: one that is there, else Debian's, else a loud word that they are skipped.
# The tests look for the same names themselves, so nothing is handed on.
for name in chromium chromium-headless-shell google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done

skipped() {
    cat >&2 <<END
################################################################################
#  NO BROWSER: the tests that drive a real Chromium will be SKIPPED.
#  $1
################################################################################
END
}

if ! command -v apt-get >/dev/null; then
    skipped 'Install chromium, chromium-headless-shell or google-chrome to run them.'
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    skipped 'To run them: sudo apt-get install chromium'
    exit 0
fi

quietly() {
    # Another apt-get at work is waited for, nothing is asked. "env" because sudo drops the variable.
    sh "$(dirname "$0")/quietly.sh" "Installing Debian's chromium: apt-get $1" \
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"
}

# A stale package list fails the install, a list that cannot be renewed may still do: only the install decides.
quietly update || true
if ! quietly install -y --no-install-recommends chromium; then
    skipped 'apt-get could not install chromium, see above.'
    # In CI a browser that could be had and was not must not pass for a green run.
    if [ -n "${CI:-}" ]; then exit 1; fi
fi
