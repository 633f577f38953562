#!/usr/bin/env bash
# Copies the published binary and a model to a board over ssh, after checking that they can run there, and tests them.
#
#   firmware-configs/deploy.sh USER@HOST BINARY MODEL [QUERY]
#
# Checks before anything is copied: the binary's architecture against the board's, the newest glibc symbol it needs against
# the board's glibc, free space. Copies under temporary names and renames after the checksums agree, so that a running
# service never sees half a file. Then runs the binary there: version, model checksums, one prediction for QUERY (or the
# model's own facts only), sensors. Undo: ssh USER@HOST rm -r edgeslide (the folder below).
# Settings: EDGESLIDE_REMOTE_DIR (default: edgeslide in the user's home), SSH_OPTIONS (default: -o ConnectTimeout=10).
set -euo pipefail

stop() { echo "deploy.sh: $*" >&2; exit 1; }
if [ $# -lt 3 ] || [ $# -gt 4 ]; then
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
board=$1 binary=$2 model=$3 query=${4:-}
directory=${EDGESLIDE_REMOTE_DIR:-edgeslide}
[[ $directory =~ ^[A-Za-z0-9._/-]+$ ]] || stop "EDGESLIDE_REMOTE_DIR may hold letters, digits and . _ / - only"
read -r -a options <<<"${SSH_OPTIONS:--o ConnectTimeout=10}"
for tool in ssh scp sha256sum od; do command -v "$tool" >/dev/null || stop "$tool is missing here"; done
[ -f "$binary" ] || stop "$binary: no such file; publish first (docs/porting.md)"
[ -f "$model" ] || stop "$model: no such file"
# The commands are meant to be put together here; the folder's name was checked above.
# shellcheck disable=SC2029
remote() { ssh "${options[@]}" "$board" "$@"; }
number() { od -An -t u"$2" -j "$1" -N "$2" "$binary" | tr -d ' '; }

# ELF header: magic, class at byte 4, machine at bytes 18 and 19
[ "$(od -An -c -N 4 "$binary" | tr -d ' ')" = '177ELF' ] || stop "$binary is no Linux binary; publish with -r linux-arm64 or linux-x64"
case $(number 18 2) in
    183) needs=aarch64 ;;
    62) needs=x86_64 ;;
    40) needs=armv7l ;;
    *) stop "$binary is for a machine type that no board here has" ;;
esac
facts=$(remote 'uname -m; getconf GNU_LIBC_VERSION 2>/dev/null || echo none; df -Pk . | tail -n 1 | tr -s " " | cut -d " " -f 4') ||
    stop "$board cannot be reached by ssh"
{ read -r machine; read -r libc; read -r free; } <<<"$facts"
[ "$machine" = "$needs" ] || stop "the binary is for $needs, the board is $machine: publish for it with -r $(case $machine in aarch64) echo linux-arm64 ;; x86_64) echo linux-x64 ;; *) echo linux-arm ;; esac)"
[ "$libc" != none ] || stop "$board has no glibc (Alpine?): publish with a linux-musl runtime identifier"
# Versioned symbols stand in the binary as text: GLIBC_2.17, GLIBC_2.34, ...
newest=$(grep -aoE 'GLIBC_2\.[0-9]+' "$binary" | sed 's/GLIBC_//' | sort -uV | tail -n 1)
has=${libc#glibc }
[ -z "$newest" ] || [ "$(printf '%s\n%s\n' "$newest" "$has" | sort -V | tail -n 1)" = "$has" ] ||
    stop "the binary needs glibc $newest, the board has $has: publish on a system as old as the board's (docs/porting.md)"
size=$((($(stat -c %s "$binary") + $(stat -c %s "$model")) / 1024 + 1024))
[ "$free" -ge "$size" ] || stop "$board has $free KiB free, $size KiB are needed"
echo "$board: $machine, $libc, $free KiB free; the binary needs glibc ${newest:-of any version}"

remote "mkdir -p '$directory'"
for pair in "$binary:edgeslide" "$model:model.eslide"; do
    file=${pair%:*} name=${pair##*:}
    sum=$(sha256sum <"$file" | cut -d ' ' -f 1)
    if [ "$(remote "cat '$directory/$name' 2>/dev/null | sha256sum | cut -d ' ' -f 1")" = "$sum" ]; then
        echo "$name is there already"
        continue
    fi
    scp -q "${options[@]}" "$file" "$board:$directory/.$name.part"
    [ "$(remote "sha256sum <'$directory/.$name.part' | cut -d ' ' -f 1")" = "$sum" ] || stop "$name arrived damaged; the old one is still in place"
    remote "chmod $([ "$name" = edgeslide ] && echo 755 || echo 644) '$directory/.$name.part' && mv '$directory/.$name.part' '$directory/$name'"
    echo "copied $name"
done

echo "self-test:"
remote "cd '$directory' && ./edgeslide --version" || stop "the binary does not start on $board"
remote "cd '$directory' && ./edgeslide info model.eslide" || stop "the model does not open on $board"
if [ -n "$query" ]; then
    answer=$(remote "cd '$directory' && ./edgeslide predict model.eslide --top 3" <<<"$query") || stop "the prediction fails on $board"
    [ -n "$answer" ] || stop "the model knows nothing of '$query'; try another query"
    echo "$answer"
fi
remote "cd '$directory' && ./edgeslide sensors" || echo "no power sensor can be read on $board; see firmware-configs/README.md"
echo "deployed to $board:$directory"
