#!/bin/sh
# Pins all cores to one clock for a measurement, without a reboot. Works on any Linux board with cpufreq.
#   sudo ./pin-clock.sh 1500000     kHz; a value of scaling_available_frequencies, if the driver lists them
#   sudo ./pin-clock.sh undo        back to the limits and the governor from before
set -eu
state=/run/edgeslide-clock
cpufreq=/sys/devices/system/cpu/cpufreq
[ $# -eq 1 ] || { echo "usage: pin-clock.sh KHZ|undo" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "pin-clock.sh: needs root" >&2; exit 1; }
[ -d $cpufreq/policy0 ] || { echo "pin-clock.sh: this kernel has no cpufreq" >&2; exit 1; }
if [ "$1" = undo ]; then
    [ -f $state ] || { echo "pin-clock.sh: nothing to undo" >&2; exit 1; }
    while read -r policy governor minimum maximum; do
        # The lower limit first: it may never be above the upper one.
        echo "$minimum" >"$policy/scaling_min_freq"
        echo "$maximum" >"$policy/scaling_max_freq"
        echo "$governor" >"$policy/scaling_governor"
    done <$state
    rm $state
    exit 0
fi
case $1 in *[!0-9]*) echo "pin-clock.sh: '$1' is not a clock in kHz" >&2; exit 2 ;; esac
if [ ! -f $state ]; then
    for policy in "$cpufreq"/policy*; do
        echo "$policy $(cat "$policy/scaling_governor") $(cat "$policy/scaling_min_freq") $(cat "$policy/scaling_max_freq")"
    done >$state.part
    mv $state.part $state
fi
for policy in "$cpufreq"/policy*; do
    cat "$policy/cpuinfo_min_freq" >"$policy/scaling_min_freq"
    echo "$1" >"$policy/scaling_max_freq"
    echo "$1" >"$policy/scaling_min_freq"
    echo performance >"$policy/scaling_governor"
    echo "$policy: $(cat "$policy/scaling_cur_freq") kHz"
done
