#!/usr/bin/env bash
# Measures what width costs: generates models of growing width with planted answers and measures them with the device binary.
#
#   tools/scale.sh [OUTDIR] [LABELS...]
#
#   OUTDIR   receives the models, the queries and scale.json; default artifacts/scale
#   LABELS   widths; default 30000 670091 3000000 (needs 1 GB of disk and 1.5 GB of memory)
#
#   EDGESLIDE_BINARY   a device binary to measure instead of publishing one
#   EDGESLIDE_WORKBENCH  a built edgeslide-workbench.dll; built if not given
#   SCALE_QUERIES      queries, default 2000: as many as tools/reproduce.sh measures
#   SCALE_BUDGET       the most neurons evaluated per query; default the smallest of 8, 16, 32, 64 and 128 with which hashing
#                      answers the first 500 queries at least as well as all neurons do
#   SCALE_FEATURES     features of a query, default 75, about those of Amazon-670K's rows
#   SCALE_INPUTS       possible input features; default those of Amazon-670K (135909), and of Amazon-3M (337067) from 1,000,000 labels on
#
# scale.json is a list with one object per width: labels, inputs, features, budget, p1_lsh, p1_dense, ns_lsh and ns_dense (medians, in turns within one
# run), speedup, ns_lsh_alone (hashing alone, caches as it leaves them), active_neurons_mean, model_bytes, table_bytes, rss_lsh
# and rss_dense (resident memory of a process that answers in this mode only). The task is made up: docs/performance.md, "Scale".
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac

out=${1:-$root/artifacts/scale}
[ $# -gt 0 ] && shift
widths=("$@")
[ ${#widths[@]} -gt 0 ] || widths=(30000 670091 3000000)
queries=${SCALE_QUERIES:-2000} features=${SCALE_FEATURES:-75}
for number in "$queries" "$features" "${SCALE_INPUTS:-1}" "${SCALE_BUDGET:-1}" "${widths[@]}"; do
    case $number in '' | *[!0-9]* | 0*) echo "scale.sh: '$number' is not a number of labels, queries, features, inputs or neurons (see --help)" >&2; exit 2 ;; esac
done

mkdir -p "$out"
build_workbench
binary=${EDGESLIDE_BINARY:-}
[ -n "$binary" ] || publish_device "$out/device"

# field FILE PATH: a number of the binary's JSON; PATH is OBJECT.NAME or NAME. Objects hold no objects in what is asked for here.
field() {
    local text value
    text=$(tr -d ' \n' < "$1")
    case $2 in *.*) text=$(grep -o "\"${2%%.*}\":{[^}]*}" <<< "$text" | head -n 1) ;; esac
    value=$(grep -o "\"${2##*.}\":[-0-9.eE+]*" <<< "$text" | head -n 1)
    [ -n "$value" ] || { echo "scale.sh: there is no $2 in $1" >&2; return 1; }
    printf '%s' "${value##*:}"
}

first=1
: > "$out/scale.json.tmp"
printf '[' >> "$out/scale.json.tmp"
for labels in "${widths[@]}"; do
    model=$out/scale-$labels.eslide data=$out/scale-$labels.txt
    inputs=${SCALE_INPUTS:-$([ "$labels" -lt 1000000 ] && echo 135909 || echo 337067)}
    for budget in ${SCALE_BUDGET:-8 16 32 64 128}; do
        workbench generate "$model" --labels "$labels" --features "$inputs" --row-features "$features" --budget "$budget" --queries "$data" --query-count "$queries"
        [ -z "${SCALE_BUDGET:-}" ] || break
        "$binary" eval "$model" "$data" --no-verify --limit 500 --json > "$out/eval.json"
        awk -v lsh="$(field "$out/eval.json" lsh.p1)" -v dense="$(field "$out/eval.json" dense.p1)" 'BEGIN { exit !(lsh >= dense) }' && break
    done
    "$binary" info "$model" --json > "$out/info.json"
    "$binary" eval "$model" "$data" --no-verify --limit "$queries" --json > "$out/eval.json"
    "$binary" bench "$model" "$data" --no-verify --queries "$queries" --rounds 3 --json > "$out/bench.json"
    "$binary" bench "$model" "$data" --no-verify --queries "$queries" --mode lsh --json > "$out/lsh.json"
    "$binary" bench "$model" "$data" --no-verify --queries 20 --rounds 1 --mode dense --json > "$out/dense.json"
    [ $first = 1 ] || printf ',' >> "$out/scale.json.tmp"
    first=0
    printf '\n  {"labels":%s,"inputs":%s,"features":%s,"budget":%s,"p1_lsh":%s,"p1_dense":%s,"ns_lsh":%s,"ns_dense":%s,"speedup":%s,"ns_lsh_alone":%s,"active_neurons_mean":%s,"model_bytes":%s,"table_bytes":%s,"rss_lsh":%s,"rss_dense":%s}' \
        "$labels" "$inputs" "$features" "$budget" "$(field "$out/eval.json" lsh.p1)" "$(field "$out/eval.json" dense.p1)" \
        "$(field "$out/bench.json" lsh.median_ns)" "$(field "$out/bench.json" dense.median_ns)" "$(field "$out/bench.json" speedup)" \
        "$(field "$out/lsh.json" lsh.median_ns)" "$(field "$out/lsh.json" lsh.active_neurons_mean)" \
        "$(field "$out/info.json" model_bytes)" "$(field "$out/info.json" table_bytes)" \
        "$(field "$out/lsh.json" resident_bytes)" "$(field "$out/dense.json" resident_bytes)" >> "$out/scale.json.tmp"
done
printf '\n]\n' >> "$out/scale.json.tmp"
mv "$out/scale.json.tmp" "$out/scale.json"
rm -f "$out/info.json" "$out/eval.json" "$out/bench.json" "$out/lsh.json" "$out/dense.json"
cat "$out/scale.json"
