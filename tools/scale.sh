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
#   SCALE_QUERIES      queries, default 20000: hashing is timed on all of them, so that no cache holds what they read, dense on the
#                      first 60, which all take alike, and accuracy is of the first 2000
#   SCALE_KEYS         a label stands in the buckets of this many of its rarest features, default 3
#   SCALE_BUDGET       the most neurons evaluated per query; default the smallest of 8, 12, 16, 24, 32, 48 and so on to 128 with
#                      which hashing answers the first 500 queries at least as well as all neurons do
#   SCALE_ROUNDS       rounds over all widths, default 15
#   SCALE_INPUT_ROWS   how the input layer's weights are stored: int4 (default: one cache line a feature) or int8
#   SCALE_FEATURES     features of a query, default 75, about those of Amazon-670K's rows
#   SCALE_INPUTS       possible input features; default those of Amazon-670K (135909), and of Amazon-3M (337067) from 1,000,000 labels on
#
# scale.json is a list with one object per width: labels, inputs, features, input_rows, keys, budget, p1_lsh, p1_dense, ns_lsh and
# ns_dense (each mode by itself, one right after the other), speedup, growth (how much dearer hashing is than at the first width),
# active_neurons_mean, model_bytes, table_bytes, rss_lsh and rss_dense (resident memory of a process that answers in this mode
# only). Times and their ratios are medians of rounds in which all widths take turns. The task is made up: docs/performance.md,
# "Scale".
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; esac

out=${1:-$root/artifacts/scale}
[ $# -gt 0 ] && shift
widths=("$@")
[ ${#widths[@]} -gt 0 ] || widths=(30000 670091 3000000)
queries=${SCALE_QUERIES:-20000} features=${SCALE_FEATURES:-75} rows=${SCALE_INPUT_ROWS:-int4} rounds=${SCALE_ROUNDS:-15} keys=${SCALE_KEYS:-3}
for number in "$queries" "$rounds" "$features" "$keys" "${SCALE_INPUTS:-1}" "${SCALE_BUDGET:-1}" "${widths[@]}"; do
    case $number in '' | *[!0-9]* | 0*) echo "scale.sh: '$number' is not a number of labels, queries, rounds, features, keys, inputs or neurons (see --help)" >&2; exit 2 ;; esac
done
scored=$((queries < 2000 ? queries : 2000)) timed_densely=$((queries < 60 ? queries : 60))

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

# median: of the numbers on standard input
median() { sort -g | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }

declare -A budgets p1_lsh p1_dense
for labels in "${widths[@]}"; do
    model=$out/scale-$labels.eslide data=$out/scale-$labels.txt
    inputs=${SCALE_INPUTS:-$([ "$labels" -lt 1000000 ] && echo 135909 || echo 337067)}
    for budget in ${SCALE_BUDGET:-8 12 16 24 32 48 64 96 128}; do
        workbench generate "$model" --labels "$labels" --features "$inputs" --row-features "$features" --input-rows "$rows" --keys "$keys" \
            --budget "$budget" --queries "$data" --query-count "$queries"
        [ -z "${SCALE_BUDGET:-}" ] || break
        "$binary" eval "$model" "$data" --no-verify --limit 500 --json > "$out/eval.json"
        awk -v lsh="$(field "$out/eval.json" lsh.p1)" -v dense="$(field "$out/eval.json" dense.p1)" 'BEGIN { exit !(lsh >= dense) }' && break
    done
    "$binary" eval "$model" "$data" --no-verify --limit "$scored" --json > "$out/eval.json"
    budgets[$labels]=$budget p1_lsh[$labels]=$(field "$out/eval.json" lsh.p1) p1_dense[$labels]=$(field "$out/eval.json" dense.p1)
done

# The machine's clock may change at any time: every round measures all widths.
: > "$out/rounds.tmp"
for ((round = 1; round <= rounds; round++)); do
    for labels in "${widths[@]}"; do
        model=$out/scale-$labels.eslide data=$out/scale-$labels.txt
        echo "round $round of $rounds: $labels labels" >&2
        "$binary" bench "$model" "$data" --no-verify --queries "$queries" --rounds 2 --mode lsh --json > "$out/lsh.json"
        "$binary" bench "$model" "$data" --no-verify --queries "$timed_densely" --rounds 1 --mode dense --json > "$out/dense.json"
        echo "$labels $(field "$out/lsh.json" lsh.median_ns) $(field "$out/dense.json" dense.median_ns)" >> "$out/rounds.tmp"
    done
done

# of LABELS EXPRESSION: the median over the rounds; $2 and $3 are this width's two times, f2 is hashing's at the first width in the same round
of() { awk -v labels="$1" -v narrow="${widths[0]}" '$1 == narrow { f2 = $2 } $1 == labels { printf "%.6g\n", '"$2"' }' "$out/rounds.tmp" | median; }

separator=
{
    printf '['
    for labels in "${widths[@]}"; do
        model=$out/scale-$labels.eslide data=$out/scale-$labels.txt
        "$binary" info "$model" --json > "$out/info.json"
        "$binary" bench "$model" "$data" --no-verify --queries "$scored" --rounds 1 --mode lsh --json > "$out/lsh.json"
        "$binary" bench "$model" "$data" --no-verify --queries "$timed_densely" --rounds 1 --mode dense --json > "$out/dense.json"
        printf '%s\n  {"labels":%s,"inputs":%s,"features":%s,"input_rows":"%s","keys":%s,"budget":%s,"p1_lsh":%s,"p1_dense":%s,' "$separator" \
            "$labels" "$(field "$out/info.json" features)" "$features" "$rows" "$keys" "${budgets[$labels]}" "${p1_lsh[$labels]}" "${p1_dense[$labels]}"
        printf '"ns_lsh":%s,"ns_dense":%s,"speedup":%s,"growth":%s,' \
            "$(of "$labels" '$2')" "$(of "$labels" '$3')" "$(of "$labels" '$3 / $2')" "$(of "$labels" '$2 / f2')"
        printf '"active_neurons_mean":%s,"model_bytes":%s,"table_bytes":%s,"rss_lsh":%s,"rss_dense":%s}' \
            "$(field "$out/lsh.json" lsh.active_neurons_mean)" "$(field "$out/info.json" model_bytes)" "$(field "$out/info.json" table_bytes)" \
            "$(field "$out/lsh.json" resident_bytes)" "$(field "$out/dense.json" resident_bytes)"
        separator=,
    done
    printf '\n]\n'
} > "$out/scale.json.tmp"
mv "$out/scale.json.tmp" "$out/scale.json"
rm -f "$out/info.json" "$out/eval.json" "$out/lsh.json" "$out/dense.json" "$out/rounds.tmp"
cat "$out/scale.json"
