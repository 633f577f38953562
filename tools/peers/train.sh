#!/usr/bin/env bash
# Trains on one data set with EdgeSlide and with other programs, in turns on the same cores, and scores all on the same rows.
#
#   tools/peers/train.sh NAME OUTDIR
#
#   NAME     yso-finna-en, wikitext-2, citeulike-t, amazon-book or debian (this machine's package index)
#   OUTDIR   receives train-NAME.json; OUTDIR/train-NAME keeps data, networks and learning curves
#
# The result is a list of {trainer, epochs, seconds, seconds_to_target, p1, p5, active_fraction, rss_bytes, note}; the same
# as a Markdown table goes to standard output. Trainers:
#
#   edgeslide-sampled        active sets; run twice, before and after the others: seconds are the mean
#   edgeslide-full           the full softmax, the reference
#   edgeslide-sampled-short  as many epochs as slide, to compare with it, at a rate for so short a run
#   edgeslide-shipped        the model that quantize makes of edgeslide-sampled, as the device answers with hashing; seconds with
#                            quantizing
#   fasttext-LOSS            Debian's fastText on the same features
#   slide                    the SLIDE C++ reference at $SLIDE_BINARY on the same features; without it there is no such row
#
# p1 and p5 are of test rows. seconds is training time, without start, reading and evaluation where the program tells.
# seconds_to_target is when P@1 and P@5 of held-out rows first came both within 0.3 points of the full softmax's last
# ones; for other programs, which are scored at their end, their seconds if the test rows say so, else null.
#
#   EDGESLIDE_DATA    folder with one folder per data set; default ../shared/data beside the repository
#   EDGESLIDE_WORKBENCH  a built edgeslide-workbench.dll; built if not given
#   SLIDE_BINARY      the SLIDE C++ reference, built for this machine
#   EDGESLIDE_BINARY  the device binary that answers for edgeslide-shipped; published into OUTDIR if not given
#   TRAINERS          which to run: sampled full short shipped fasttext slide; rows of the others are kept from an earlier run
#   FULL_EPOCHS, SAMPLED_EPOCHS, SLIDE_EPOCHS (1), FASTTEXT_EPOCHS   instead of the set's own numbers
#   SLIDE_ROWS        slide and edgeslide-sampled-short get at most this many training rows, evenly spread: an epoch of all takes slide
#                     hours on the largest sets
#   FASTTEXT_LOSSES   hs ns; also softmax and ova, which take hours on wide sets
#   TRAIN_LIMIT       seconds after which a trainer is stopped, 3600; what was reached is reported with a note
#   TEST_ROWS         at most this many test rows, evenly spread, 5000
#   TRAIN_THREADS     threads of every trainer, all cores
set -euo pipefail
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; }
program=peers/train.sh
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[ $# -eq 2 ] || { usage >&2; exit 2; }

# ---- what is trained: data options, options of both modes, of sampled training, of a short one, of the full softmax; how it is quantized ----

name=$1 fasttext_epochs=25
case $name in
debian)
    both=(--batch 512) sampled=(--learning-rate 0.006 --table-negatives 16) short=(--learning-rate 0.02 --table-negatives 16) full=(--learning-rate 0.005)
    quantize=(--top-vote 1 --next-vote 0.2 --true-vote 2)
    sampled_epochs=6 full_epochs=6
    ;;
yso-finna-en)
    # One second moment a row and no first moments in the input layer: of 402,688 features they would be most of the memory.
    both=(--min-count 3 --label-power 0.5)
    sampled=(--batch 1024 --learning-rate 0.016 --negatives 4096 --age-moments false --negative-power 0 --feature-dropout 0.2 --input-momentum false --keep last)
    full=(--batch 1024 --learning-rate 0.008 --feature-dropout 0.2 --weight-moments true)
    # One epoch does not overfit.
    short=(--batch 512 --learning-rate 0.024 --negatives 4096 --age-moments false --negative-power 0 --feature-dropout 0 --input-momentum false --keep last)
    quantize=(--min-count 3 --bucket-size 8)
    sampled_epochs=8 full_epochs=6 fasttext_epochs=10
    ;;
wikitext-2)
    both=(--transform binary --activation linear --feature-dropout 0.2) sampled=(--batch 2048 --learning-rate 0.015 --negatives 2048) short=(--batch 256 --learning-rate 0.012 --negatives 2048 --input-momentum false)
    full=(--batch 1024 --learning-rate 0.007)
    quantize=(--bucket-size 16 --top-vote 2 --next-vote 0.7 --true-vote 1)
    sampled_epochs=5 full_epochs=2 fasttext_epochs=3
    ;;
citeulike-t)
    both=(--transform log1p --idf true --label-power 1 --feature-dropout 0) sampled=(--learning-rate 0.005 --negatives 2048) short=(--learning-rate 0.02 --negatives 2048) full=(--learning-rate 0.005)
    quantize=(--bucket-size 8)
    sampled_epochs=12 full_epochs=12
    ;;
amazon-book)
    both=(--feature-dropout 0.5 --label-power 1) sampled=(--learning-rate 0.005) short=(--learning-rate 0.02) full=(--learning-rate 0.005)
    quantize=(--bucket-size 8)
    sampled_epochs=16 full_epochs=12
    ;;
*) die 2 "unknown data set '$name' (see --help)" ;;
esac
sampled_epochs=${SAMPLED_EPOCHS:-$sampled_epochs} full_epochs=${FULL_EPOCHS:-$full_epochs} fasttext_epochs=${FASTTEXT_EPOCHS:-$fasttext_epochs}
slide_epochs=${SLIDE_EPOCHS:-1} slide_limit=${SLIDE_ROWS:-} limit=${TRAIN_LIMIT:-3600} test_rows=${TEST_ROWS:-5000} threads=${TRAIN_THREADS:-$(nproc)}
for number in "$sampled_epochs" "$full_epochs" "$fasttext_epochs" "$slide_epochs" "${slide_limit:-1}" "$limit" "$test_rows" "$threads"; do
    [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || die 2 "'$number' is not a positive whole number"
done
read -r -a losses <<<"${FASTTEXT_LOSSES:-hs ns}"
read -r -a wanted <<<"${TRAINERS:-sampled full short shipped fasttext slide}"
wanted() { case " ${wanted[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }
[ -z "${SLIDE_BINARY:-}" ] || [ -x "$SLIDE_BINARY" ] || die 2 "SLIDE_BINARY=$SLIDE_BINARY: no such program"
[ "$name" = debian ] && read_options=() || find_data "$name"
need_packages jq || die 1 "jq is needed, and could not be installed"
build_workbench
mkdir -p "$2/train-$name"
out=$(cd "$2" && pwd) work=$(cd "$2/train-$name" && pwd)
rows=$work/rows
mkdir -p "$rows"

# ---- the same rows for everyone: training, held out, test ----

spread() { # FILE ROWS HEADER-LINES: evenly spread lines
    local all
    all=$(($(zcat -f "$1" | wc -l) - $3))
    zcat -f "$1" | awk -v want="$2" -v all="$all" -v header="$3" \
        'NR <= header { if (header && want < all) $1 = want; print; next } all <= want || int((NR - header) * want / all) > kept { kept++; print }'
}
to_file() { "$@" >"$made"; }
split_rows() { workbench data split "$1" "$made" "$work/held.xc.txt" --fraction 0.1; }
case $name in
debian)
    make_debian() { workbench data make "$work/corpus" --source debian >&2 && touch "$made"; }
    make_file "$work/corpus.done" -- make_debian
    # Test rows have labels that no training row has. All get numbers, so that the network has neurons for them and they count
    # as misses.
    label_names() { cut -f1 "$work"/corpus/*.tsv | tr , '\n' | sort -u >"$made"; }
    make_file "$work/labels.txt" "$work/corpus.done" -- label_names
    read_options=(--labels "$work/labels.txt")
    numbered() {
        awk -F'\t' -v OFS='\t' 'NR == FNR { id[$1] = FNR - 1; next }
            { n = split($1, names, ","); $1 = id[names[1]]; for (i = 2; i <= n; i++) $1 = $1 "," id[names[i]]; print }' "$work/labels.txt" "$1"
    }
    for part in train valid test; do
        make_file "$work/$part.all.tsv" "$work/labels.txt" -- to_file numbered "$work/corpus/$part.tsv"
    done
    train_rows=$work/train.all.tsv held_rows=$work/valid.all.tsv test_source=$work/test.all.tsv test_file=$work/test.tsv header=0
    ;;
yso-finna-en | wikitext-2)
    train_rows=$train_file held_rows=${train_file/\/train./\/valid.} test_source=$test_file header=0
    [ "$name" = wikitext-2 ] && test_file=$work/test.txt || test_file=$work/test.tsv
    ;;
*)
    make_file "$work/train.xc.txt" "$train_file" -- split_rows "$train_file"
    train_rows=$work/train.xc.txt held_rows=$work/held.xc.txt test_source=$test_file test_file=$work/test.xc.txt header=1
    ;;
esac
# A line of running text is a paragraph of many rows.
[ "$name" != wikitext-2 ] || test_rows=$((test_rows / 40)) slide_limit=${slide_limit:+$((slide_limit / 57 + 1))}
remember() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ] || printf '%s\n' "$2" >"$1"; }
remember "$work/test.rows" "$test_rows"
make_file "$test_file" "$test_source" "$work/test.rows" -- to_file spread "$test_source" "$test_rows" "$header"
short_rows=$train_rows short_note=
if [ -n "$slide_limit" ]; then
    short_rows=$work/train-short${test_file##*/test}
    remember "$work/short.rows" "$slide_limit"
    make_file "$short_rows" "$train_rows" "$work/short.rows" -- to_file spread "$train_rows" "$slide_limit" "$header"
    short_note="; SLIDE_ROWS=$SLIDE_ROWS"
fi

# ---- running a trainer ----

running=
# A command in the background does not hear of Ctrl-C; without this it would go on, and without its limit.
trap '[ -z "$running" ] || kill -KILL "$running" 2>/dev/null' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command with a time limit; sets wall (seconds), rss (peak, bytes) and stopped (empty, or a note). False if it failed.
measure() { # OUTPUT COMMAND...
    local output=$1 start=$EPOCHREALTIME pid high status=0
    shift
    rss=0 stopped=
    "$@" >"$output" 2>&1 </dev/null &
    pid=$! running=$!
    while kill -0 "$pid" 2>/dev/null; do
        high=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2>/dev/null || true)
        [ -z "$high" ] || rss=$((high * 1024))
        if [ -z "$stopped" ] && [ "${EPOCHREALTIME%.*}" -ge $((${start%.*} + limit)) ]; then
            stopped="stopped after TRAIN_LIMIT=$limit s"
            kill -KILL "$pid"
        fi
        sleep 0.2
    done
    { wait "$pid" || status=$?; } 2>/dev/null
    running=
    wall=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
    [ "$status" -eq 0 ] || [ -n "$stopped" ]
}

# Keeps a row for the result; numbers that are not known are null.
row() { # FILE TRAINER EPOCHS SECONDS P1 P5 ACTIVE RSS NOTE
    jq -n --arg trainer "$2" --argjson epochs "${3:-0}" --argjson seconds "${4:-null}" --argjson p1 "${5:-null}" --argjson p5 "${6:-null}" \
        --argjson active "${7:-null}" --argjson rss "${8:-null}" --arg note "$9" \
        '{trainer: $trainer, epochs: $epochs, seconds: $seconds, seconds_to_target: null, p1: $p1, p5: $p5, active_fraction: $active, rss_bytes: $rss, note: $note}' >"$rows/$1.json.tmp"
    mv "$rows/$1.json.tmp" "$rows/$1.json"
}

log_cell() { # CSV COLUMN: of the last line; empty if there is none
    [ -e "$1" ] || return 0
    awk -F, -v column="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i; next } at { value = $at } END { print value }' "$1"
}

edgeslide() { # FILE TRAINER EPOCHS OPTIONS...
    local file=$1 trainer=$2 epochs=$3 p1= p5= note batches every data=$train_rows
    shift 3
    [ "$file" != short ] || data=$short_rows
    say "$trainer: $epochs epochs"
    # Eight points of the curve to an epoch; evaluations are not counted as training.
    batches=$(($(zcat -f "$data" | wc -l) / 512 + 1))
    every=$((batches / 8 + 1))
    [ "$name" != wikitext-2 ] || every=500
    rm -f "$work/$file.csv" "$work/$file.esnet"
    measure "$work/$file.output" dotnet "$workbench_dll" \
        train "$data" --validation "$held_rows" --out "$work/$file.esnet" --log "$work/$file.csv" --evaluate-every "$every" \
        --threads "$threads" --epochs "$epochs" ${read_options[@]+"${read_options[@]}"} "${both[@]}" "$@" ||
        die 1 "$trainer failed: $(tail -1 "$work/$file.output")"
    note="$*; ${wall%.*} s in all; held-out P@1/P@5 $(log_cell "$work/$file.csv" p1)/$(log_cell "$work/$file.csv" p5)"
    if [ -z "$stopped" ]; then
        workbench eval "$work/$file.esnet" "$test_file" --json ${read_options[@]+"${read_options[@]}"} >"$work/$file.scores" 2>"$work/$file.errors" ||
            die 1 "$trainer cannot be scored: $(tail -1 "$work/$file.errors")"
        p1=$(jq .p1 "$work/$file.scores") p5=$(jq .p5 "$work/$file.scores")
    fi
    row "$file" "$trainer" "$(log_cell "$work/$file.csv" epoch)" "$(log_cell "$work/$file.csv" seconds)" "$p1" "$p5" \
        "$(log_cell "$work/$file.csv" active_fraction)" "$rss" "$note$([ "$file" != short ] || echo "$short_note")${stopped:+; $stopped}"
}

shipped_row() {
    local model=$work/shipped.eslide scores=$work/shipped.scores
    [ -e "$work/sampled.esnet" ] && [ -e "$rows/sampled.json" ] || die 1 "TRAINERS needs sampled first: shipped is made of its network"
    say "edgeslide-shipped"
    binary=${EDGESLIDE_BINARY:-$work/device/edgeslide}
    [ -x "$binary" ] || publish_device "$work/device"
    measure "$work/shipped.output" dotnet "$workbench_dll" \
        quantize "$work/sampled.esnet" --data "$train_rows" --validation "$held_rows" --out "$model" ${read_options[@]+"${read_options[@]}"} "${quantize[@]}" ||
        die 1 "quantizing failed: $(tail -1 "$work/shipped.output")"
    if [ -z "$stopped" ]; then
        workbench eval "$work/sampled.esnet" "$test_file" --model "$model" --binary "$binary" --json ${read_options[@]+"${read_options[@]}"} >"$scores" 2>"$work/shipped.errors" ||
            die 1 "edgeslide-shipped cannot be scored: $(tail -1 "$work/shipped.errors")"
        row shipped edgeslide-shipped "$(jq .epochs "$rows/sampled.json")" "$(jq --argjson more "$wall" '.seconds + $more' "$rows/sampled.json")" "$(jq .p1_int8_lsh "$scores")" \
            "$(jq .p5_int8_lsh "$scores")" "$(jq .active_fraction "$scores")" "$rss" "INT8 with hashing, ${quantize[*]}; active is of answering; quantizing took ${wall%.*} s; on this test INT8 dense has P@1 $(jq .p1_int8_dense "$scores")"
    fi
}

# Other programs get the features of EdgeSlide's network by number ($features_from); whole counts of sparse rows as they are.
convert() { # ROWS OPTIONS...
    local network=(--network "$features_from")
    [ "$header" -eq 0 ] || network=()
    workbench data convert "$1" "$made" ${network[@]+"${network[@]}"} ${read_options[@]+"${read_options[@]}"} "${@:2}" >&2
}
features_from=$train_rows
[ "$header" -eq 1 ] || features_from=$work/sampled.esnet
need_features() { [ -e "$features_from" ] || die 1 "TRAINERS needs $(basename "$features_from" .esnet) first: the features come from its network"; }

fasttext_rows() { # LOSS
    local loss=$1 model=$work/fasttext-$1 p1= p5=
    say "fasttext-$loss: $fasttext_epochs epochs"
    measure "$model.output" fasttext supervised -input "$work/train.ft" -output "$model" -loss "$loss" -dim 128 -lr 0.5 \
        -epoch "$fasttext_epochs" -minCount 1 -thread "$threads" -verbose 0 || die 1 "fasttext failed: $(tail -1 "$model.output")"
    local seconds=$wall peak=$rss note
    note="$(package_version fasttext), dim 128, lr 0.5; seconds with reading and saving"
    if [ -z "$stopped" ]; then
        # Its exact answers: tests of hs search the tree for each row, the others score all labels.
        p1=$(fasttext test "$model.bin" "$work/test.ft" 1 | awk '/^P@1/ { print $2 }')
        p5=$(fasttext test "$model.bin" "$work/test.ft" 5 | awk '/^P@5/ { print $2 }')
    fi
    rm -f "$model.bin" "$model.vec"
    row "fasttext-$loss" "fasttext-$loss" "$fasttext_epochs" "$seconds" "$p1" "$p5" "" "$peak" "$note${stopped:+; $stopped}"
}

slide_row() {
    say "slide: $slide_epochs epochs"
    # Of fewer rows, the features of a network that was trained on as many.
    local features_from=$features_from part=
    if [ -n "$slide_limit" ]; then
        part=-short
        [ "$header" -eq 1 ] && features_from=$short_rows || features_from=$work/short.esnet
        need_features
    fi
    make_file "$work/train$part.xc" "$features_from" "$short_rows" -- convert "$short_rows" --to xc
    make_file "$work/test$part.xc" "$features_from" "$test_file" -- convert "$test_file" --to xc
    slide_rows "$work/train$part.xc" "$work/slide.train"
    slide_rows "$work/test$part.xc" "$work/slide.test" 3200
    rm -f "$work/slide.log"
    slide_config "$work/slide.train" "$work/slide.test" "$work/slide.config" "$work/slide.log" "$work/slide.npz"
    run_slide() { cd "$work" && OMP_NUM_THREADS=$threads exec "$SLIDE_BINARY" slide.config; }
    measure "$work/slide.output" run_slide || die 1 "$SLIDE_BINARY failed: $(tail -1 "$work/slide.output")"
    rm -f "$work/slide.npz"
    local epochs=0 seconds='' p1='' active
    read -r epochs seconds p1 <<<"$(slide_epochs_of "$work/slide.log" | tail -1)" || true
    active=$(awk -v labels="$(awk 'NR == 1 { print $3 }' "$work/slide.train")" '/^Avg sample size/ { sum += $NF; n++ } END { if (n) printf "%.6f", sum / n / labels }' "$work/slide.output")
    row slide slide "${epochs:-0}" "$seconds" "$p1" "" "$active" "$rss" \
        "DWTA K=5 L=50, rate 0.001; ${wall%.*} s in all, with dense tests; P@1 of $(awk 'NR == 1 { print $1 }' "$work/slide.test") of the test rows$short_note${stopped:+; $stopped}"
}

# ---- in turns ----

! wanted sampled || edgeslide sampled edgeslide-sampled "$sampled_epochs" "${sampled[@]}"
! wanted full || edgeslide full edgeslide-full "$full_epochs" --mode full "${full[@]}"
! wanted short || edgeslide short edgeslide-sampled-short "$slide_epochs" "${short[@]}"
! wanted shipped || shipped_row
if wanted fasttext; then
    need_packages fasttext || die 1 "Debian's fasttext is needed, and could not be installed"
    need_features
    make_file "$work/train.ft" "$features_from" -- convert "$train_rows" --to fasttext
    make_file "$work/test.ft" "$features_from" "$test_file" -- convert "$test_file" --to fasttext
    for loss in "${losses[@]}"; do fasttext_rows "$loss"; done
fi
if wanted slide && [ -n "${SLIDE_BINARY:-}" ]; then
    [ -n "$slide_limit" ] || need_features
    slide_row
fi
! wanted sampled || edgeslide sampled-again edgeslide-sampled "$sampled_epochs" "${sampled[@]}"

# ---- the result ----

to_target() { # CSV P1 P5: seconds at the first line that is within 0.3 points of both
    awk -F, -v p1="$2" -v p5="$3" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        $at["p1"] >= p1 - 0.003 && $at["p5"] >= p5 - 0.003 { print $at["seconds"]; exit }' "$1"
}
target1='' target5='' test1='' test5=''
if [ -e "$work/full.csv" ] && [ -e "$rows/full.json" ]; then
    target1=$(log_cell "$work/full.csv" p1) target5=$(log_cell "$work/full.csv" p5)
    test1=$(jq '.p1 // empty' "$rows/full.json") test5=$(jq '.p5 // empty' "$rows/full.json")
fi
result_row() { # FILE
    local file=$rows/$1.json seconds='' runs=''
    [ -e "$file" ] || return 0
    if [ -n "$target1" ] && [ -e "$work/$1.csv" ]; then
        seconds=$(to_target "$work/$1.csv" "$target1" "$target5")
    elif [ -n "$test1" ]; then
        seconds=$(jq --argjson p1 "$test1" --argjson p5 "$test5" \
            'if .p1 != null and .p1 >= $p1 - 0.003 and (.p5 == null or .p5 >= $p5 - 0.003) then .seconds else empty end' "$file")
    fi
    if [ "$1" = sampled ] && [ -e "$rows/sampled-again.json" ]; then
        runs=$rows/sampled-again.json
        [ -z "$seconds" ] || seconds=$(awk -v a="$seconds" -v b="$(to_target "$work/sampled-again.csv" "$target1" "$target5")" 'BEGIN { print b == "" ? a : (a + b) / 2 }')
    fi
    jq -s --argjson target "${seconds:-null}" '
        (map(.seconds)) as $times | .[0] | .seconds_to_target = $target
        | if ($times | length) > 1 then .seconds = ($times | add / length) | .note += "; runs took \($times | map(tostring) | join(" and ")) s" else . end' "$file" ${runs:+"$runs"}
}
for file in sampled shipped full short; do result_row "$file"; done >"$out/train-$name.json.tmp"
for file in "$rows"/fasttext-*.json "$rows/slide.json"; do
    [ ! -e "$file" ] || result_row "$(basename "$file" .json)"
done >>"$out/train-$name.json.tmp"
jq -s . "$out/train-$name.json.tmp" >"$out/train-$name.json.new"
rm -f "$out/train-$name.json.tmp"
mv "$out/train-$name.json.new" "$out/train-$name.json"

printf '%s: %s threads of %s, %s\n\n' "$name" "$threads" "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)" "$(date -u +%F)"
jq -r 'def share: if . == null then "-" else (. * 10000 | round / 10000 | tostring) end;
    def short: if . == null then "-" elif . < 100 then (. * 10 | round / 10 | tostring) else (round | tostring) end;
    "| trainer | epochs | seconds | to target | P@1 | P@5 | active | resident, MB | |", "|---|---|---|---|---|---|---|---|---|",
    (.[] | "| \(.trainer) | \(.epochs) | \(.seconds | short) | \(.seconds_to_target | short) | \(.p1 | share) | \(.p5 | share) | \(.active_fraction | share) | \(if .rss_bytes == null then "-" else .rss_bytes / 1e6 | short end) | \(.note) |")' "$out/train-$name.json"
