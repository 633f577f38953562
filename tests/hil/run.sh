#!/usr/bin/env bash
# The published binary against real kernel drivers, without a board.
#
# Boots Debian's own kernel in qemu with a small initramfs: the published `edgeslide`, a model, the ina2xx, ina3221,
# ina2xx-adc, i2c-stub and gpio-sim drivers, and guest.sh as its first process. The guest presets the registers of
# simulated INA219, INA226 and INA3221 chips and checks what `edgeslide sensors` and `edgeslide energy` say about them.
# A second boot with one wrong register has to fail, or the checks prove nothing.
#
#   tests/hil/run.sh [--binary FILE] [--model FILE --input FILE] [--no-control]
#
# Without --binary it publishes the CLI, without --model it trains a tiny one. Downloads (about 240 MB, by apt) and built
# drivers stay in EDGESLIDE_HIL_CACHE, by default artifacts/hil in the source tree; nothing is installed.
# Needs root (device nodes in the initramfs), Debian 12 on x86-64, gcc, make, xz. Ends with RESULT PASS and exit code 0, or
# with RESULT FAIL and another one.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${EDGESLIDE_HIL_CACHE:-$top/artifacts/hil}
binary='' model='' input='' control=1
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$(realpath "$2"); shift 2 ;;
        --model) model=$(realpath "$2"); shift 2 ;;
        --input) input=$(realpath "$2"); shift 2 ;;
        --no-control) control=0; shift ;;
        *) echo "run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
fail() { echo "run.sh: $*" >&2; echo "RESULT FAIL"; exit 1; }

[ -z "$model" ] || [ -f "$input" ] || fail "--model needs --input"
[ "$(uname -m)" = x86_64 ] || fail "runs on x86-64 only (the guest is x86-64)"
[ "$(id -u)" = 0 ] || fail "needs root: it makes device nodes for the guest"
for tool in apt-get dpkg-deb gcc make xz gzip strip awk; do
    command -v "$tool" >/dev/null || fail "needs $tool"
done
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# --- packages: the guest's kernel and tools, qemu with the libraries that this machine lacks -------------------------
apt_state=$cache/apt
host=$cache/host guest=$cache/guest src=$cache/src
apt() {
    command apt-get -qq -o "Dir::State::lists=$apt_state/lists" -o "Dir::State::status=$apt_state/status" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}
lists() { apt-cache -o "Dir::State::lists=$apt_state/lists" -o "Dir::State::status=$apt_state/status" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= "$@"; }

fetch() {
    rm -rf "$cache/debs"
    mkdir -p "$apt_state/lists/partial" "$cache/debs/guest" "$cache/debs/host/partial"
    cp /var/lib/dpkg/status "$apt_state/status"
    apt update
    kernel=$(lists depends linux-image-amd64 | sed -n 's/.*Depends: linux-image-//p' | head -n 1)
    [ -n "$kernel" ] || fail "apt knows no linux-image-amd64"
    local series; series=$(echo "$kernel" | cut -d. -f1,2)
    say "kernel $kernel"
    (cd "$cache/debs/guest" && apt download "linux-image-$kernel" "linux-headers-$kernel" "linux-headers-${kernel%-amd64}-common" \
        "linux-source-$series" busybox-static i2c-tools libi2c0 gpiod libgpiod2 libc6)
    # Downloaded and unpacked, never installed: resolving qemu on a minimal machine would pull upgrades of systemd and udev.
    apt -o "Dir::Cache::archives=$cache/debs/host" install --download-only -y --no-install-recommends \
        qemu-system-x86 ipxe-qemu seabios busybox-static "linux-kbuild-$series" linux-compiler-gcc-12-x86 >/dev/null
    say "packages: $(du -sh "$cache/debs" | cut -f1)"
}

unpack() {
    rm -rf "$host" "$guest" "$src"
    mkdir -p "$host" "$guest" "$src"
    local deb
    for deb in "$cache"/debs/host/*.deb; do
        case ${deb##*/} in *systemd* | udev_* | libudev1*) ;; *) dpkg-deb -x "$deb" "$host" ;; esac
    done
    for deb in "$cache"/debs/guest/*.deb; do
        case ${deb##*/} in
            linux-headers-*) dpkg-deb -x "$deb" "$host" ;;
            linux-source-*)
                dpkg-deb --fsys-tarfile "$deb" | tar -xO --wildcards './usr/src/linux-source-*.tar.xz' |
                    tar -xJ -C "$src" --strip-components=1 --wildcards '*/drivers/hwmon/ina*.c' '*/drivers/gpio/gpio-sim.c' \
                        '*/drivers/gpio/gpiolib.h' '*/drivers/i2c/i2c-stub.c' '*/kernel/irq/irq_sim.c'
                ;;
            *) dpkg-deb -x "$deb" "$guest" ;;
        esac
    done
}

# --- drivers: those that Debian leaves out, from its own source ------------------------------------------------------
drivers() {
    local out=$cache/drivers headers=$host/usr/src/linux-headers-$kernel
    rm -rf "$out"
    mkdir -p "$out"
    cp "$src"/drivers/hwmon/{ina2xx,ina3221}.c "$src"/drivers/gpio/{gpio-sim.c,gpiolib.h} "$src/drivers/i2c/i2c-stub.c" "$out/"
    # irq_to_desc is not exported to modules; generic_handle_irq does the same from outside.
    sed 's/handle_simple_irq(irq_to_desc(\(.*\)));/generic_handle_irq(\1);/' "$src/kernel/irq/irq_sim.c" >"$out/irq_sim_mod.c"
    printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n' >>"$out/irq_sim_mod.c"
    echo 'obj-m := ina2xx.o ina3221.o gpio-sim.o i2c-stub.o irq_sim_mod.o' >"$out/Makefile"
    sed -i "s#^include /usr/src#include $host/usr/src#" "$headers/Makefile"
    make -s -C "$headers" M="$out" -j"$(nproc)" modules >"$out/log" 2>&1 || { tail -n 20 "$out/log" >&2; fail "the drivers do not build"; }
}

stamp=$cache/ready
if [ -f "$stamp" ]; then
    kernel=$(cat "$stamp")
    say "using cached packages and drivers for $kernel"
else
    fetch
    unpack
    drivers
    echo "$kernel" >"$stamp"
    say "drivers built"
fi

# --- what is tested --------------------------------------------------------------------------------------------------
work=$cache/work
rm -rf "$work"
mkdir -p "$work"
if [ -z "$binary" ]; then
    dotnet publish "$top/src/EdgeSlide.Cli" -c Release -f net9.0 -r linux-x64 -o "$work/publish" -v quiet >"$work/publish.log" 2>&1 ||
        { tail -n 20 "$work/publish.log" >&2; fail "publish failed"; }
    binary=$work/publish/edgeslide
    say "published, $(stat -c %s "$binary") bytes"
fi
if [ -z "$model" ]; then
    # 300 answers, each named by two words of its own among common ones: enough for a model, accuracy is not the point.
    awk 'BEGIN { srand(7); for (row = 0; row < 6000; row++) { l = row % 300
        printf "answer%d\tword%d about%d thing%d part%d kind%d\n", l, l, l, rand() * 40, rand() * 40, rand() * 40 } }' >"$work/rows.tsv"
    workbench() { dotnet run --project "$top/tools/EdgeSlide.Workbench" -c Release -v quiet -- "$@" >>"$work/train.log" 2>&1; }
    if ! workbench train "$work/rows.tsv" --epochs 3 --out "$work/tiny.esnet" ||
        ! workbench quantize "$work/tiny.esnet" --data "$work/rows.tsv" --out "$work/tiny.eslide"; then
        tail -n 20 "$work/train.log" >&2
        fail "no model to test with"
    fi
    model=$work/tiny.eslide
    head -n 500 "$work/rows.tsv" >"$work/input.tsv"
    input=$work/input.tsv
    say "model trained, $(stat -c %s "$model") bytes"
fi

# --- initramfs -------------------------------------------------------------------------------------------------------
root=$work/root
mkdir -p "$root"/{bin,lib,lib64,mod,app,dev,proc,sys,tmp,etc}
cp "$guest/bin/busybox" "$guest"/usr/sbin/i2c{set,get} "$guest"/usr/bin/gpio{detect,info} "$root/bin/"
libs=$guest/usr/lib/x86_64-linux-gnu core=$guest/lib/x86_64-linux-gnu
cp -L "$libs"/lib{i2c.so.0,gpiod.so.2} "$core"/lib{c,m}.so.6 "$root/lib/"
cp -L "$core/ld-linux-x86-64.so.2" "$root/lib64/"
modules=$guest/lib/modules/$kernel/kernel
cp "$modules"/fs/configfs/configfs.ko "$modules"/drivers/i2c/i2c-dev.ko "$modules"/drivers/iio/industrialio.ko \
    "$modules"/drivers/iio/buffer/kfifo_buf.ko "$modules"/drivers/iio/adc/ina2xx-adc.ko "$cache"/drivers/*.ko "$root/mod/"
strip -g "$root"/mod/*.ko
install -m 755 "$binary" "$root/app/edgeslide"
cp "$model" "$root/app/model.eslide"
cp "$input" "$root/app/input.tsv"
chmod 644 "$root"/app/model.eslide "$root"/app/input.tsv
printf 'root:x:0:0::/:/bin/sh\nordinary:x:1000:1000::/tmp:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nordinary:x:1000:\n' >"$root/etc/group"
install -m 755 "$here/guest.sh" "$root/init"
mknod "$root/dev/console" c 5 1
mknod "$root/dev/null" c 1 3
(cd "$root" && find . | "$guest/bin/busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/initrd.gz"

# --- boot ------------------------------------------------------------------------------------------------------------
boot() { # name, extra kernel arguments
    # microvm and KVM do not boot everywhere; q35 under software emulation does, with five-level paging off.
    LD_LIBRARY_PATH=$host/usr/lib/x86_64-linux-gnu:$host/lib/x86_64-linux-gnu timeout 900 "$host/usr/bin/qemu-system-x86_64" \
        -L "$host/usr/share/qemu" -L "$host/usr/share/seabios" -L "$host/usr/lib/ipxe/qemu" \
        -M q35 -cpu max,la57=off -accel tcg -smp 2 -m 768 -nodefaults -no-user-config -display none -serial stdio -net none -no-reboot \
        -kernel "$guest/boot/vmlinuz-$kernel" -initrd "$work/initrd.gz" -append "console=ttyS0 panic=-1 quiet random.trust_cpu=on $2" \
        </dev/null 2>&1 | tr -d '\r' >"$work/$1.log" || true
    say "$1: guest ended"
}

boot measure ''
grep -E '^(HIL|RESULT)' "$work/measure.log" || { tail -n 30 "$work/measure.log" >&2; fail "the guest did not come up"; }
grep -q '^RESULT PASS' "$work/measure.log" || fail "see $work/measure.log"
grep -q '^HIL-FAIL' "$work/measure.log" && fail "see $work/measure.log"
if [ "$control" = 1 ]; then
    boot control 'hil.control=1'
    grep -q '^RESULT FAIL' "$work/control.log" || fail "the control, a wrong power register, was not noticed: $work/control.log"
    grep '^HIL-FAIL' "$work/control.log" | sed 's/^/control, as it should: /'
fi
say "done"
echo "RESULT PASS"
