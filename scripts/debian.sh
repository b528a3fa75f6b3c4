#!/bin/sh
# debian.sh PROGRAM PACKAGE LIBRARY...: sees to it that the tests have a server: one that is there, else that of Debian's package and
# of those with its libraries, else a loud word that they are skipped.
# Debian's packages are unpacked into .debian and not installed, because that would start a server of this machine.
# tests/support/debian.py looks in the same places, so nothing is handed on.
program=$1
shift
folder=.debian
for place in "$program" "/usr/sbin/$program" "$folder/usr/sbin/$program" "$folder/usr/bin/$program"; do
    if command -v "$place" >/dev/null; then exit 0; fi
done

skipped() {
    cat >&2 <<END
################################################################################
#  NO ${program}: the tests that need it will be SKIPPED.
#  $1
################################################################################
END
    # In CI a server that could be had and was not must not pass for a green run.
    if [ -n "${CI:-}" ]; then exit 1; fi
    exit 0
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    skipped "Install $program to run them."
fi

quietly() {
    sh "$(dirname "$0")/quietly.sh" "Fetching Debian's $program: $*" "$@"
}

mkdir -p "$folder"
fetch() {
    (cd "$folder" && apt-get -o DPkg::Lock::Timeout=300 download "$1") >/dev/null 2>&1
}
# A package list that is stale or missing fails the download; only root can renew it.
if ! fetch "$1"; then
    if [ "$(id -u)" -eq 0 ]; then quietly apt-get update || true; fi
    fetch "$1" || skipped "apt-get could not download $1."
fi
main=$1
shift
# A library may have another name in another release, or be there already.
for package in "$@"; do fetch "$package" || true; done
for package in "$main" "$@"; do
    for file in "$folder/${package}"_*.deb; do
        if [ -e "$file" ]; then quietly dpkg-deb -x "$file" "$folder" || skipped 'a package could not be unpacked.'; fi
    done
done
libraries=$(find "$PWD/$folder/usr/lib" -name '*.so.*' -exec dirname {} + 2>/dev/null | sort -u | tr '\n' ':')
for place in "$folder/usr/sbin/$program" "$folder/usr/bin/$program"; do
    if [ -x "$place" ] && ! LD_LIBRARY_PATH=$libraries ldd "$place" | grep -q 'not found'; then exit 0; fi
done
rm -f "$folder/usr/sbin/$program" "$folder/usr/bin/$program"
skipped "its libraries are missing here; install $program to run them."
