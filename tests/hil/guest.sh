#!/bin/busybox sh
# shellcheck shell=dash
# First process of the test guest: loads drivers, presets the simulated chips, checks the program, powers off.
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tracefs trace /sys/kernel/tracing
chmod 1777 /tmp
app=/app/edgeslide
failed=0
uptime_now() { read -r up _ </proc/uptime; echo "$up"; }
note() { echo "HIL-NOTE $(uptime_now) $*"; }
bad() { echo "HIL-FAIL $*"; failed=1; }
same() { # name, wanted, got
    if [ "$2" = "$3" ]; then echo "HIL-OK $1: $3"; else bad "$1: wanted '$2', got '$3'"; fi
}
near() { # name, wanted, got, tolerance
    if awk -v w="$2" -v g="$3" -v t="$4" 'BEGIN { d = w - g; if (d < 0) d = -d; exit !(g != "" && d <= t) }'; then echo "HIL-OK $1: $3"; else bad "$1: wanted $2 +- $4, got '$3'"; fi
}
holds() { # name, text, pattern
    case $2 in *"$3"*) echo "HIL-OK $1" ;; *) bad "$1: '$3' is not in '$2'" ;; esac
}
# A top-level member of the one-line JSON report comes before the "variants" array, which repeats some of the names.
member() { sed 's/"variants":.*"flags"/"flags"/' "$1" | tr ',' '\n' | sed -n "s/^{*\"$2\":\"*\([^\"}]*\)\"*}*\$/\1/p" | head -n 1; }
variant() { # file, number, member
    sed 's/.*"variants":\[\(.*\)\],"flags".*/\1/' "$1" | sed 's/},{/\n/g' | sed -n "$2p" | tr ',' '\n' | sed -n "s/^{*\"$3\":\"*\([^\"}]*\)\"*}*\$/\1/p" | head -n 1
}
control=0
grep -q hil.control=1 /proc/cmdline && control=1
note "$(uname -sr), control $control"

for module in configfs i2c-dev i2c-stub irq_sim_mod gpio-sim; do
    arguments=''
    [ $module = i2c-stub ] && arguments=chip_addr=0x40,0x41,0x42,0x43
    # shellcheck disable=SC2086
    insmod /mod/$module.ko $arguments || bad "insmod $module"
done
mount -t configfs configfs /sys/kernel/config 2>/dev/null
for adapter in /sys/bus/i2c/devices/i2c-*; do
    grep -q 'SMBus stub' "$adapter/name" && bus=${adapter##*i2c-}
done
device=/sys/bus/i2c/devices/i2c-$bus
# The chips send the high byte first, SMBus words the low byte: the bytes change places.
register() { # address, register, value as in the data sheet
    value=$(($3))
    i2cset -f -y "$bus" "$1" "$2" "$(printf '0x%04x' $(((value & 255) << 8 | value >> 8)))" w || bad "i2cset $*"
}
# 5 V and 0.4 A at the drivers' default shunt of 10 mOhm: 2 W
ina219() { register "$1" 0x01 0x0190; register "$1" 0x02 0x2710; register "$1" 0x03 0x0064; register "$1" 0x04 0x0190; }
ina226() { register "$1" 0x01 0x0640; register "$1" 0x02 0x0fa0; register "$1" 0x03 0x0140; register "$1" 0x04 0x0640; }
ina219 0x40
ina226 0x41
[ $control = 1 ] && register 0x41 0x03 0x0141
register 0x42 0x00 0x7127 # three channels on
register 0x42 0x0f 0x0001 # conversion ready, or reads time out
register 0x42 0xfe 0x5449
register 0x42 0xff 0x3220
register 0x42 0x01 0x0320; register 0x42 0x02 0x1388 # 5.000 V, 0.4 A
register 0x42 0x03 0x0190; register 0x42 0x04 0x2580 # 9.600 V, 0.2 A
register 0x42 0x05 0x00c8; register 0x42 0x06 0x0ce0 # 3.296 V, 0.1 A
ina219 0x43

# --- no sensor ---------------------------------------------------------------------------------------------------------
text=$($app sensors 2>&1)
same "sensors, none: exit code" 5 $?
holds "sensors, none: says what to do" "$text" "no power sensor found"
text=$($app energy /app/model.eslide /app/input.tsv --json 2>&1)
same "energy, no sensor: exit code" 5 $?
holds "energy, no sensor: refuses" "$text" "no power sensor found"

# --- the industrial I/O driver, as Debian ships it; its names clash with the hwmon driver's, so it goes first ------------
for module in industrialio kfifo_buf ina2xx-adc; do insmod /mod/$module.ko || bad "insmod $module"; done
echo ina219 0x43 >"$device/new_device"
text=$($app sensors)
same "sensors, IIO" "iio:ina219@$bus-0043/power2 readable 2 W" "$(echo "$text" | awk '/^iio:/ { print $1, $2, $4, $5 }')"
echo 0x43 >"$device/delete_device"
rmmod ina2xx_adc

# --- hwmon drivers -----------------------------------------------------------------------------------------------------
insmod /mod/ina2xx.ko || bad "insmod ina2xx"
insmod /mod/ina3221.ko || bad "insmod ina3221"
echo ina219 0x40 >"$device/new_device"
echo ina226 0x41 >"$device/new_device"
echo ina3221 0x42 >"$device/new_device"
$app sensors >/tmp/sensors
sed 's/^/HIL-NOTE sensors| /' /tmp/sensors
line() { sed 's/  */ /g' /tmp/sensors | grep "^$1 " | sed "s|^$1 ||; s/ \$//"; }
same "ina219" "readable ina219 2 W 0.02 W 1.064 ms ina219" "$(line "ina219@$bus-0040/power1")"
same "ina226" "readable ina226 2 W 0.00625 W 35 ms ina226" "$(line "ina226@$bus-0041/power1")"
same "ina3221 channel 1" "readable ina3221 channel 1 2 W 0.02 W" "$(line "ina3221@$bus-0042/channel1" | cut -d' ' -f1-8)"
same "ina3221 channel 2" "readable ina3221 channel 2 1.92 W 0.0384 W" "$(line "ina3221@$bus-0042/channel2" | cut -d' ' -f1-8)"
same "ina3221 channel 3" "readable ina3221 channel 3 0.3296 W 0.013184 W" "$(line "ina3221@$bus-0042/channel3" | cut -d' ' -f1-8)"
same "sensors in all" 5 "$($app sensors --json | tr '{' '\n' | grep -c '"id"')"

# --- GPIO line for the trigger -------------------------------------------------------------------------------------------
sim=/sys/kernel/config/gpio-sim/hil
mkdir -p $sim/bank
echo 8 >$sim/bank/num_lines
echo 1 >$sim/live
chip=$(cat $sim/bank/chip_name)
level=/sys/devices/platform/$(cat $sim/dev_name)/$chip/sim_gpio3/value
note "gpio-sim is $chip"
echo 1 >/sys/kernel/tracing/events/gpio/gpio_value/enable || bad "no gpio trace event"
echo mono >/sys/kernel/tracing/trace_clock

# --- energy: constant 2 W through each way of reading ---------------------------------------------------------------------
energy() { # windows, seconds, more options
    count=$1 length=$2
    shift 2
    $app energy /app/model.eslide /app/input.tsv --windows "$count" --seconds "$length" --idle 0.5 --warm-up 0.2 --json "$@"
}
for sensor in "ina219@$bus-0040/power1" "ina226@$bus-0041/power1" "ina3221@$bus-0042/channel1"; do
    energy 2 0.5 --sensor "$sensor" >/tmp/report 2>/tmp/progress
    same "$sensor: exit code" 0 $?
    same "$sensor: sensor" "$sensor" "$(member /tmp/report sensor)"
    near "$sensor: idle power" 2 "$(member /tmp/report power_w_idle)" 1e-9
    for v in 1 2; do
        near "$sensor: power of $(variant /tmp/report $v name)" 2 "$(variant /tmp/report $v power_w)" 1e-9
    done
done
sed 's/^/HIL-NOTE report| /' /tmp/report

# --- the protocol at length: five windows, trigger edges, raw samples, plot ------------------------------------------------
echo >/sys/kernel/tracing/trace
energy 5 0.5 --sensor "ina226@$bus-0041/power1" --trigger "$chip:3" --pulse 150000 --samples /tmp/samples.csv --plot /tmp/plot.html >/tmp/report 2>/tmp/progress &
run=$!
last=x
: >/tmp/levels
while kill -0 $run 2>/dev/null; do
    now=$(cat "$level")
    [ "$now" = "$last" ] || echo "$now" >>/tmp/levels
    last=$now
    usleep 15000
done
wait $run
same "protocol: exit code" 0 $?
for name in energy_uj_gross_median energy_uj_net_median ci95_low ci95_high windows samples dropped sensor rail power_w_idle inferences lsh_over_dense_energy_ratio; do
    [ -n "$(member /tmp/report $name)" ] || bad "protocol: $name is missing"
done
note "report: $(for name in energy_uj_gross_median ci95_low ci95_high windows samples dropped rail power_w_idle inferences lsh_over_dense_energy_ratio sampling_cpu_share sampling_busy_share; do printf '%s=%s ' $name "$(member /tmp/report $name)"; done)"
same "protocol: windows" 5 "$(member /tmp/report windows)"
same "protocol: bytes allocated while sampling" 0 "$(member /tmp/report sampling_allocated_bytes)"
# 2 W times the time of an inference, window by window; gross is their median
awk -v RS='{' -F'[:,}]' '/"energy_uj_gross":/ { for (i = 1; i < NF; i++) v[$i] = $(i + 1)
    e = 2e6 * v["\"seconds\""] / v["\"inferences\""]; d = (v["\"energy_uj_gross\""] - e) / e; if (d < 0) d = -d; if (d > worst) worst = d; n++ }
    END { print n, (worst < 1e-9 ? "exact" : "off by " worst) }' /tmp/report >/tmp/windows
same "protocol: microjoules per inference of each window are 2 W x time / inferences" "10 exact" "$(cat /tmp/windows)"
same "protocol: events printed" 10 "$(grep -c '^edgeslide: event' /tmp/progress)"
head -n 2 /tmp/progress | sed 's/^/HIL-NOTE progress| /'
# The simulator's own view of the line, polled: idle high, twenty pulses, low again once released
falls=$(tr -d '\n' </tmp/levels | sed 's/10/F/g' | tr -cd F | wc -c)
note "levels seen by the simulator: $(tr -d '\n' </tmp/levels)"
# A poll may miss one on a busy machine; the kernel's trace below misses none.
if [ "$falls" -ge 10 ]; then echo "HIL-OK trigger: $falls falling edges seen polling the simulated line (20 pulses and the release)"; else bad "trigger: only $falls falling edges seen polling the simulated line (20 pulses and the release)"; fi
# The kernel's trace of the line: 20 pulses, none shorter than 150 ms, window starts and ends 0.5 s apart
awk '/gpio_value:/ && / set / { split($0, part, /gpio_value: /); sub(/.* /, "", part[1]); for (i = 1; i <= NF; i++) if ($i ~ /^[0-9]+\.[0-9]+:$/) t = $i + 0
    value = $NF; if (seen && value == 0 && last == 1) { falls++; fall[falls] = t } if (value == 1 && last == 0 && falls && t - fall[falls] < 0.15) short++; last = value; seen = 1 }
    END { for (i = 1; i < falls; i += 2) if (fall[i + 1] - fall[i] < 0.5) early++; print falls + 0, short + 0, early + 0 }' /sys/kernel/tracing/trace >/tmp/edges
same "trigger: falling edges, short pulses, short windows in the kernel's trace" "20 0 0" "$(cat /tmp/edges)"
grep -q '<svg' /tmp/plot.html && same "plot: windows drawn" 10 "$(grep -cE '>(lsh|dense) [1-5]</text>' /tmp/plot.html)"

# --- a load step while it measures -----------------------------------------------------------------------------------------
# 2 W -> 4 W within the window; the report has to agree with the trapezoid over its own raw samples, computed here.
# The trigger's first pulse tells when the window has begun, however slow this machine is.
window_begins() {
    while [ "$(cat "$level")" = 0 ]; do usleep 20000; done
    while [ "$(cat "$level")" = 1 ]; do usleep 20000; done
}
(
    window_begins
    sleep 2
    register 0x41 0x03 0x0280
) &
stepper=$!
energy 1 5 --mode dense --sensor "ina226@$bus-0041/power1" --trigger "$chip:3" --pulse 200000 --samples /tmp/step.csv >/tmp/step 2>/dev/null
same "step: exit code" 0 $?
wait $stepper
joules=$(awk -F, '$3 == "window" { if (n++) e += ($1 - t) * ($2 + p) / 2; t = $1; p = $2 } END { printf "%.6f", e }' /tmp/step.csv)
seen=$(awk -F, '$3 == "window" { print $2 }' /tmp/step.csv | sort -u | tr '\n' ' ')
same "step: powers sampled within the window" "2 4 " "$seen"
reported=$(sed 's/.*"window_results"//' /tmp/step | tr ',' '\n' | sed -n 's/^"energy_j":\(.*\)/\1/p')
near "step: joules, $reported against the samples' own trapezoid" "$joules" "$reported" "$(awk -v e="$joules" 'BEGIN { print 0.005 * e }')"
ina226 0x41

# --- duty cycle, refusal, loss ---------------------------------------------------------------------------------------------
$app energy /app/model.eslide /app/input.tsv --sensor "ina226@$bus-0041/power1" --period 200ms --windows 2 --seconds 1 --capacity 2000 --json >/tmp/duty 2>&1
near "duty cycle: average power" 2 "$(member /tmp/duty power_w_average)" 1e-9
near "duty cycle: battery life" 3.145 "$(member /tmp/duty battery_life_h)" 1e-9 # 2 Ah x 3.7 V x 0.85 / 2 W
$app energy /app/model.eslide /app/input.tsv --estimate >/tmp/estimate
same "estimate: labelled" 2 "$(grep -c 'MODEL, NOT A MEASUREMENT' /tmp/estimate)"
$app energy /app/model.eslide /app/input.tsv --trigger nochip:1 --sensor "ina226@$bus-0041/power1" >/tmp/out 2>&1
same "trigger, no chip: exit code" 5 $?

chmod 400 /sys/class/hwmon/hwmon*/*_input
text=$(su ordinary -c "$app energy /app/model.eslide /app/input.tsv" 2>&1)
same "no permission: exit code" 5 $?
holds "no permission: names the remedy" "$text" "90-edgeslide-power.rules"
same "no permission: one line" 1 "$(echo "$text" | wc -l)"

energy 3 3 --sensor "ina219@$bus-0040/power1" --trigger "$chip:3" --pulse 300000 >/tmp/lost 2>/tmp/lost.err &
run=$!
window_begins
echo 0x40 >"$device/delete_device"
wait $run
same "sensor lost: exit code" 5 $?
holds "sensor lost: says so" "$(cat /tmp/lost.err)" "was lost during"
same "sensor lost: nothing reported" 0 "$(wc -c </tmp/lost)"

note "end"
if [ $failed = 0 ]; then echo "RESULT PASS"; else echo "RESULT FAIL"; fi
poweroff -f
