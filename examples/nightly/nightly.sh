#!/bin/sh
# One night of a shop: sync, keep what it said, say aloud only what somebody has to see.
#
#   SHOAL_SHOP=/srv/shop SHOAL_SOURCE=/srv/exports SHOAL_LISTS=/srv/lists ./nightly.sh
#
# cron sends what is printed as mail; a night that went well prints nothing.
set -u

shop=${SHOAL_SHOP:?the directory of the shop}
source=${SHOAL_SOURCE:?the folder (or glob) where exports arrive}
lists=${SHOAL_LISTS:-}                      # empty: no lists are written
preset=${SHOAL_PRESET:-}                    # empty: each layout is guessed and taken
logs=${SHOAL_LOGS:-$shop/logs}
days=${SHOAL_LOG_DAYS:-90}                  # logs older than that are removed
shoal=${SHOAL:-shoal}

mkdir -p "$logs" || exit 1
log=$logs/sync-$(date -u +%Y-%m).jsonl      # a file a month, a line a night
notes=$logs/last-night.log                  # warnings and errors of the last night

set -- sync "$shop" "$source" --json
[ -n "$lists" ] && set -- "$@" --export "$lists"
if [ -n "$preset" ]; then set -- "$@" --preset "$preset"; else set -- "$@" --yes; fi

"$shoal" "$@" >>"$log" 2>"$notes"
code=$?

case $code in
0) ;;
4) echo "Done. A change of the segments waits for your word: $shoal adjustments $shop" ;;
*)
    echo "The night of $shop failed (exit code $code):" >&2
    tail -n 1 "$log" >&2
    cat "$notes" >&2
    ;;
esac

find "$logs" -name 'sync-*.jsonl' -mtime "+$days" -exec rm -f {} +
exit $code
