#!/bin/sh
# panels.sh MAKE: fetches what /frameworks and /spine are made of, and bundles the panels of React, Vue and Svelte. Where that fails it says so loudly, here and to the page, and ends well.
built=examples/flask_demo/static/panels/built
if [ -t 2 ] && [ ! -e "$built/.stamp" ]; then echo 'Fetching React, Vue and Svelte and bundling the panels of /frameworks, and fetching Spine and its clients for /spine, once ...' >&2; fi
mkdir -p "$built"
if why=$("$1" --no-print-directory panels 2>&1 >/dev/null </dev/null); then
    rm -f "$built/missing.txt"
    exit 0
fi
printf '%s\n' "$why" | tail -n 40 >"$built/missing.txt"
cat >&2 <<END
################################################################################
$why

#  NO PANELS of React, Vue and Svelte on /frameworks, and perhaps nothing on
#  /spine: they could not be fetched or bundled, see above. Everything else
#  works; the next "make demo" tries again.
################################################################################
END
