#!/bin/sh
# Sees to it that the proxy tests have an nginx: one that is there, else Debian's, else a loud word that they are skipped.
# Debian's is unpacked into .nginx and not installed, because that would start a server on port 80 of this machine.
# The tests look in the same places themselves, so nothing is handed on.
folder=.nginx
for name in nginx /usr/sbin/nginx "$folder/usr/sbin/nginx"; do
    if command -v "$name" >/dev/null; then exit 0; fi
done

skipped() {
    cat >&2 <<END
################################################################################
#  NO NGINX: the tests with a proxy in front of the server will be SKIPPED.
#  $1
################################################################################
END
    # In CI an nginx that could be had and was not must not pass for a green run.
    if [ -n "${CI:-}" ]; then exit 1; fi
    exit 0
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    skipped 'Install nginx to run them.'
fi

quietly() {
    sh "$(dirname "$0")/quietly.sh" "Fetching Debian's nginx: $*" "$@"
}

mkdir -p "$folder"
fetch() {
    (cd "$folder" && apt-get -o DPkg::Lock::Timeout=300 download nginx) >/dev/null 2>&1
}
# A package list that is stale or missing fails the download; only root can renew it.
if ! fetch; then
    if [ "$(id -u)" -eq 0 ]; then quietly apt-get update || true; fi
    fetch || skipped 'apt-get could not download nginx.'
fi
quietly dpkg-deb -x "$folder"/nginx_*.deb "$folder" || skipped 'the package could not be unpacked.'
if ! "$folder/usr/sbin/nginx" -v 2>/dev/null; then
    rm -rf "$folder"
    skipped 'its libraries are missing here; install nginx to run them.'
fi
