#!/bin/bash
# Fixes a Jetson's power mode and clocks for a measurement, and puts the clocks back afterwards.
#   sudo ./measure-mode.sh on MODE     MODE is a number of `nvpmodel -p --verbose`
#   sudo ./measure-mode.sh off         restores the clocks stored by "on"
set -euo pipefail
store=/var/lib/edgeslide-clocks.conf
[ "$(id -u)" = 0 ] || { echo "measure-mode.sh: needs root" >&2; exit 1; }
for tool in nvpmodel jetson_clocks; do
    command -v $tool >/dev/null || { echo "measure-mode.sh: no $tool here; is this a Jetson?" >&2; exit 1; }
done
case ${1:-} in
    on)
        [[ ${2:-} =~ ^[0-9]+$ ]] || { echo "usage: measure-mode.sh on MODE" >&2; exit 2; }
        nvpmodel -m "$2"
        # Only the first "on" stores: a second one would store the fixed clocks as the normal ones.
        [ -f $store ] || jetson_clocks --store $store
        jetson_clocks
        nvpmodel -q
        jetson_clocks --show | grep -E '^(cpu|CPU|EMC)' || true
        ;;
    off)
        [ -f $store ] || { echo "measure-mode.sh: nothing stored" >&2; exit 1; }
        jetson_clocks --restore $store
        rm $store
        ;;
    *)
        echo "usage: measure-mode.sh on MODE | off" >&2
        exit 2
        ;;
esac
