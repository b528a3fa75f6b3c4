#!/bin/sh
# nchan.sh FOLDER: unpacks Debian's nginx with nchan there, without installing it; says why where it cannot.
set -e
mkdir -p "$1"
cd "$1"
if [ -f usr/lib/nginx/modules/ngx_nchan_module.so ]; then exit 0; fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo 'no apt-get here' >&2; exit 1; }
fetch() { apt-get -o DPkg::Lock::Timeout=300 download nginx libnginx-mod-nchan >/dev/null 2>&1; }
# A package list that is stale or missing fails the download; only root can renew it.
fetch || { apt-get update >/dev/null 2>&1 || true; fetch; } || { echo 'apt-get could not download it' >&2; exit 1; }
for package in nginx_*.deb libnginx-mod-nchan_*.deb; do dpkg-deb -x "$package" .; done
usr/sbin/nginx -v 2>/dev/null || { rm -rf usr; echo 'its libraries are missing here' >&2; exit 1; }
# The module makes this folder of the installed package at its start, whatever the configuration says. Here it is one of the
# same length beside the configuration.
LC_ALL=C sed -i 's|/var/lib/nginx/body|.//////////////body|' usr/lib/nginx/modules/ngx_nchan_module.so
