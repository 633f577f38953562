#!/usr/bin/env bash
# Answers one data set with EdgeSlide and with other programs, side by side in one run on one pinned thread.
#
#   tools/peers/run.sh NAME OUTDIR [--prepare]
#
#   NAME        yso-finna-en, wikitext-2, citeulike-t or amazon-book
#   OUTDIR      receives peers-NAME.json, and keeps trained models and indexes, so that a second run only measures
#   --prepare   train and build all that is missing, measure nothing
#
# The result is a list of {peer, version, p1, p5, psp1, ns_per_query, model_bytes, rss_bytes, note}; the same as a Markdown
# table goes to standard output. docs/peers.md says what is compared and how. Peers that cannot be had are skipped, with the
# reason on standard error. Packages come from Debian; no foreign source is downloaded or built.
#
#   EDGESLIDE_DATA     folder with one folder per data set; default ../shared/data beside the repository
#   EDGESLIDE_MODELS   folder with NAME.esnet, NAME.eslide and NAME.json; default: tools/reproduce.sh makes them in OUTDIR
#   EDGESLIDE_BINARY   the device binary; published into OUTDIR if not given
#   EDGESLIDE_WORKBENCH  a built edgeslide-workbench.dll; built if not given
#   SLIDE_BINARY       the SLIDE C++ reference, built for this machine; skipped without
#   PEERS              only these peers, separated by spaces (the names in the result)
#   PEERS_ROUNDS       interleaved rounds, 5; PEERS_QUERIES  queries in each, 2000; PEERS_CORE  the core to pin to, the last
#   PEERS_WRAP         a command put before trainings and index building, for example "nice" or "flock FILE"
#   FASTTEXT_DIM, FASTTEXT_EPOCHS, FASTTEXT_RATE, FASTTEXT_ROWS   training of fastText; the last is the softmax's and
#                      one-vs-all's number of training rows, whose cost grows with rows x labels x dim
#   SLIDE_ROWS         training rows for SLIDE, 10000
set -euo pipefail
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; }
program=peers/run.sh
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case "${1:-}" in -h | --help) usage; exit 0 ;; esac
[ $# -eq 2 ] || { [ $# -eq 3 ] && [ "$3" = --prepare ]; } || { usage >&2; exit 2; }

name=$1 prepare_only=${3:-}
# Training rows of the full softmax and one-vs-all: as many as one core trains in a few minutes at dim 128.
case $name in
yso-finna-en) epochs=10 softmax_rows=20000 ;;
wikitext-2) epochs=3 softmax_rows=20000 ;;
citeulike-t) epochs=25 softmax_rows=12000 ;;
amazon-book) epochs=25 softmax_rows=20000 ;;
*) die 2 "unknown data set '$name' (see --help)" ;;
esac
dim=${FASTTEXT_DIM:-128} epochs=${FASTTEXT_EPOCHS:-$epochs} rate=${FASTTEXT_RATE:-0.5} softmax_rows=${FASTTEXT_ROWS:-$softmax_rows}
rounds=${PEERS_ROUNDS:-5} queries=${PEERS_QUERIES:-2000} core=${PEERS_CORE:-$(($(nproc) - 1))}
sample=4000
slide_rows_wanted=${SLIDE_ROWS:-10000}
for number in "$dim" "$epochs" "$softmax_rows" "$rounds" "$queries" "$slide_rows_wanted"; do
    [[ $number =~ ^[1-9][0-9]{0,8}$ ]] || die 2 "'$number' is not a positive whole number"
done
[[ $core =~ ^[0-9]{1,4}$ ]] && taskset -c "$core" true 2>/dev/null || die 2 "there is no core '$core' to pin to"
[ -z "${SLIDE_BINARY:-}" ] || [ -x "$SLIDE_BINARY" ] || die 2 "SLIDE_BINARY=$SLIDE_BINARY: no such program"
find_data "$name"
mkdir -p "$2"
out=$(cd "$2" && pwd)
# A preset core type would make OpenBLAS run another processor's kernel.
unset OPENBLAS_CORETYPE
read -r -a wrap <<<"${PEERS_WRAP:-}"
heavy() { ${wrap[@]+"${wrap[@]}"} "$@"; }

wanted() { [ -z "${PEERS:-}" ] || case " $PEERS " in *" $1 "*) ;; *) return 1 ;; esac; }
skipped=()
skip() { # PEER REASON
    say "skipped $1: $2"
    skipped+=("$1: $2")
}

# ---- tools ----

need_packages jq g++ || die 1 "jq and g++ are needed, and could not be installed"
build_workbench
mkdir -p "$out/bin"
drivers=$root/tools/peers/drivers
compile() { # DRIVER PACKAGE LIBRARIES...
    local driver=$1 package=$2
    shift 2
    [ "$package" = - ] || need_packages "$package" || return 1
    # shellcheck disable=SC2016
    make_file "$out/bin/$driver" "$drivers/$driver.cpp" "$drivers/common.hpp" "$drivers/search.hpp" -- \
        bash -c 'g++ -std=c++17 -O3 -march=native -o "$0" "$@"' "$out/bin/new.$driver" "$drivers/$driver.cpp" "$@"
}
compile peak - || die 1 "g++ does not compile $drivers/peak.cpp"

# ---- EdgeSlide ----

models=${EDGESLIDE_MODELS:-$out}
if [ ! -e "$models/$name.esnet" ] || [ ! -e "$models/$name.eslide" ] || [ ! -e "$models/$name.json" ]; then
    [ "$models" = "$out" ] || die 4 "$models does not hold $name.esnet, $name.eslide and $name.json"
    EDGESLIDE_DATA=$(dirname "$(dirname "$train_file")") heavy "$root/tools/reproduce.sh" "$name" "$out" >&2
fi
network=$models/$name.esnet model=$models/$name.eslide measured=$models/$name.json
binary=${EDGESLIDE_BINARY:-$out/device/edgeslide}
if [ ! -x "$binary" ]; then
    [ -z "${EDGESLIDE_BINARY:-}" ] || die 2 "EDGESLIDE_BINARY=$binary: no such program"
    publish_device "$out/device"
fi

# ---- the same rows and weights for everyone ----

arrays=$out/arrays
export_arrays() { workbench export "$network" "$test_file" --out "$arrays" ${read_options[@]+"${read_options[@]}"} && touch "$made"; }
make_file "$arrays.done" "$network" -- export_arrays
# Counts of sparse rows reach fastText as repeated words; of text and running text it gets the network's features.
features=(--network "$network")
case $name in citeulike-t | amazon-book) features=() ;; esac
convert() { workbench data convert "$1" "$made" ${features[@]+"${features[@]}"} ${read_options[@]+"${read_options[@]}"} "${@:2}"; }

# ---- preparing the peers: every step is left out when its result is there and newer than what it is made from ----

names=()
declare -A version command score file note
add() { # PEER VERSION FILE SCORES NOTE COMMAND...
    names+=("$1")
    version[$1]=$2 file[$1]=$3 score[$1]=$4 note[$1]=$5
    command[$1]=$(printf '%q ' "${@:6}")
}
to_file() { "$@" >"$made"; }
options_file() { # TARGET TEXT: changes only when the text does
    [ -e "$1" ] && [ "$(cat "$1")" = "$2" ] || printf '%s\n' "$2" >"$1"
}

fasttext_train() { # LOSS ROWS OPTIONS...
    local input=$out/train.ft vectors=()
    if [ "$1" != hs ]; then
        # Evenly spread rows, and the word vectors of the hierarchical softmax to begin with: a head start. One row more
        # names all labels, so that the model is as wide, and as slow, as one trained on all rows.
        input=$out/train.$1.part
        awk -v want="$2" -v all="$(wc -l <"$out/train.ft")" '
            { for (i = 1; i <= NF && $i ~ /^__label__/; i++) if (!seen[$i]++) line = line $i " " }
            int(NR * want / all) > kept { kept++; print }
            END { print line "f0" }' "$out/train.ft" >"$input"
        vectors=(-pretrainedVectors "$out/fasttext-hs.vec")
    fi
    heavy fasttext supervised -input "$input" -output "$made.model" -loss "$1" -dim "$dim" -lr "$rate" -minCount 1 -thread "$(nproc)" \
        -verbose 0 ${vectors[@]+"${vectors[@]}"} "${@:3}" >&2 || return 1
    [ "$1" = hs ] && mv "$made.model.vec" "$out/fasttext-hs.vec" || rm -f "$made.model.vec" "$input"
    mv "$made.model.bin" "$made"
}

prepare_fasttext() {
    local loss peer text rows all scored
    compile fasttext libfasttext-dev -lfasttext && need_packages fasttext || { skip fasttext "Debian's fasttext and libfasttext-dev cannot be installed"; return; }
    make_file "$out/train.ft" "$network" -- convert "$train_file" --to fasttext
    make_file "$out/test.ft" "$network" -- convert "$test_file" --to fasttext
    all=$(wc -l <"$out/train.ft")
    for loss in hs softmax ova; do
        peer=fasttext-$loss rows=$all text="dim $dim, lr $rate"
        wanted "$peer" || [ "$loss" = hs ] || continue
        if [ "$loss" = hs ]; then
            text+=", $epochs epochs of $all rows"
        else
            [ "$softmax_rows" -gt "$all" ] || rows=$softmax_rows
            text+=", 1 epoch of $rows of $all rows (all would take hours) but all labels, word vectors begun with those of fasttext-hs"
        fi
        options_file "$out/$peer.options" "$text"
        make_file "$out/$peer.bin" "$out/train.ft" "$out/$peer.options" -- fasttext_train "$loss" "$rows" -epoch "$([ "$loss" = hs ] && echo "$epochs" || echo 1)" ||
            { skip "$peer" "fasttext failed"; [ "$loss" != hs ] || return 0; continue; }
        scored=0
        [ "$loss" = hs ] || scored=$sample
        fasttext_scores "$peer" bin "$scored"
        [ "$loss" = hs ] || text+="; accuracy on $(jq .rows "$out/$peer.scores") test rows"
        add "$peer" "$(package_version fasttext)" "$out/$peer.bin" "$out/$peer.scores" "$text; from features to answer, reading the line left out" \
            "$out/bin/fasttext" time "$out/$peer.bin" "$out/test.ft" "$queries"
    done
    wanted fasttext-hs-ftz || return 0
    # Quantizing replaces the input matrix of the model that it finds under the output's name.
    quantize() {
        ln -sf "$out/fasttext-hs.bin" "$made.model.bin"
        heavy fasttext quantize -input "$out/train.ft" -output "$made.model" -qnorm -verbose 0 >&2 && rm -f "$made.model.bin" && mv "$made.model.ftz" "$made"
    }
    make_file "$out/fasttext-hs-ftz.ftz" "$out/fasttext-hs.bin" -- quantize || { skip fasttext-hs-ftz "fasttext quantize failed"; return 0; }
    fasttext_scores fasttext-hs-ftz ftz 0
    add fasttext-hs-ftz "$(package_version fasttext)" "$out/fasttext-hs-ftz.ftz" "$out/fasttext-hs-ftz.scores" "fasttext-hs after 'quantize -qnorm'; from features to answer, reading the line left out" \
        "$out/bin/fasttext" time "$out/fasttext-hs-ftz.ftz" "$out/test.ft" "$queries"
}
fasttext_scores() { # PEER SUFFIX ROWS
    make_file "$out/$1.scores" "$out/$1.$2" "$arrays.done" "$drivers/fasttext.cpp" -- to_file heavy "$out/bin/fasttext" score "$out/$1.$2" "$out/test.ft" "$arrays" "$3"
}


prepare_dense() {
    compile dense libopenblas-dev -lopenblas || { skip openblas-fp32 "Debian's libopenblas-dev cannot be installed"; return; }
    make_file "$out/dense.sample" "$arrays.done" -- to_file "$out/bin/dense" score "$arrays" rows - - "$sample"
    target=$(jq '.p1 - 0.001' "$out/dense.sample")
    wanted openblas-fp32 || return 0
    # Both ways to lay out the matrix are tried; the faster one counts.
    local kind ns best=
    for kind in rows columns; do
        ns=$(pinned "$out/bin/dense" time "$arrays" "$kind" - - "$queries" | jq .ns)
        if [ -z "$best" ] || [ "$ns" -lt "$fastest" ]; then best=$kind fastest=$ns; fi
    done
    jq -c '{p1: .p1_fp32_dense, p5: .p5_fp32_dense, psp1: .psp1_fp32_dense}' "$measured" >"$out/dense.scores"
    dense_kind=$best
    add openblas-fp32 "$(package_version libopenblas-dev)" "$arrays/weights.npy" "$out/dense.scores" \
        "$("$out/bin/dense" core | sed 's/ (.*//') kernel, matrix in $best; from the hidden vector to the five best, first layer left out; bytes are the output layer's" \
        "$out/bin/dense" time "$arrays" "$best" - - "$queries"
}

# Builds the indexes of a peer in the given spaces, finds for each the fastest setting of equal accuracy, and takes the best.
prepare_search() { # PEER DRIVER PACKAGE KIND SPACES...
    local peer=$1 driver=$out/bin/$2 package=$3 kind=$4 space index chosen setting reached sweeps=()
    wanted "$peer" || return 0
    [ -n "${target:-}" ] || { skip "$peer" "its target accuracy needs OpenBLAS"; return; }
    for space in "${@:5}"; do
        index=$out/$peer-$space.index
        build_index() { heavy "$driver" build "$arrays" "$kind-$space" "$made"; }
        make_file "$index" "$arrays.done" -- build_index || { skip "$peer" "building $kind-$space failed"; return 0; }
        make_file "$index.sweep" "$index" -- to_file heavy taskset -c "$core" env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$driver" sweep "$arrays" "$kind-$space" "$index" "$target" "$sample"
        sweeps+=("$index.sweep")
    done
    chosen=$(jq -sc 'sort_by(if .reached then [0, .ns] else [1, -.p1] end)[0]' "${sweeps[@]}")
    kind=$(jq -r .kind <<<"$chosen") setting=$(jq -r .setting <<<"$chosen") reached=$(jq -r .reached <<<"$chosen")
    best_space=${kind##*-}
    index=$out/$peer-$best_space.index
    make_file "$out/$peer.scores" "$index.sweep" -- to_file heavy "$driver" score "$arrays" "$kind" "$index" "$setting" 0
    local text="$kind at $setting"
    [ "$reached" = true ] && text+=", its fastest setting within 0.1 points of FP32's P@1" || text+=", its best: NO setting came within 0.1 points of FP32's P@1"
    add "$peer" "$(package_version "$package")" "$index" "$out/$peer.scores" "$text; from the hidden vector to the five best, first layer left out; bytes are the index's" \
        "$driver" time "$arrays" "$kind" "$index" "$setting" "$queries"
}

prepare_slide() {
    wanted slide || return 0
    [ -n "${SLIDE_BINARY:-}" ] || { skip slide "SLIDE_BINARY does not name the SLIDE C++ reference"; return; }
    local batch features
    # Values reach SLIDE as the network's featurizer makes them. It tests slowly, so it tests on a part of the rows.
    features=(--network "$network")
    run_slide() {
        convert "$train_file" --to xc && slide_rows "$made" "$out/slide.train" "$slide_rows_wanted" || return 1
        convert "$test_file" --to xc && slide_rows "$made" "$out/slide.test" 3200 || return 1
        rm -f "$out/slide.log"
        slide_config "$out/slide.train" "$out/slide.test" "$out/slide.config" "$out/slide.log" "$out/slide.npz"
        (cd "$out" && heavy "$out/bin/peak" "$out/slide.rss" taskset -c "$core" env OMP_NUM_THREADS=1 "$SLIDE_BINARY" "$out/slide.config") >"$out/slide.output" || return 1
        batch=$(sed -n 's/^Batchsize=//p' "$out/slide.config")
        jq -n --arg p1 "$(slide_epochs_of "$out/slide.log" | awk 'END { print $3 }')" --arg ns "$(slide_test_ns "$out/slide.output" "$batch")" \
            --arg rss "$(cat "$out/slide.rss")" '{p1: $p1 | tonumber, p5: null, psp1: null, ns: $ns | tonumber, rss: $rss | tonumber}' >"$made"
    }
    make_file "$out/slide.scores" "$network" "$SLIDE_BINARY" -- run_slide || { skip slide "$SLIDE_BINARY failed; its output is in $out/slide.output"; return; }
    add slide "$(sha256sum "$SLIDE_BINARY" | cut -c1-12)" "$out/slide.npz" "$out/slide.scores" \
        "DWTA K=5 L=50, 0.5% active, 1 epoch of $(head -1 "$out/slide.train" | cut -d' ' -f1) training rows, P@1 on 3,200 test rows; tests all neurons; trains and tests in one process, so it was timed when it was trained, not in the rounds; bytes include Adam's moments" -
}

pinned() { taskset -c "$core" env OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$@"; }

prepare_fasttext
prepare_dense
compile hnsw libhnswlib-dev -fopenmp && prepare_search hnswlib hnsw libhnswlib-dev hnsw ip l2 || skip hnswlib "Debian's libhnswlib-dev cannot be installed"
if compile faiss libfaiss-dev -lfaiss -lopenblas -fopenmp; then
    # The graphs are alike, so the space that was best for hnswlib's is taken for FAISS's, which takes minutes to build.
    # shellcheck disable=SC2086
    prepare_search faiss-hnsw faiss libfaiss-dev hnsw ${best_space:-ip l2}
    for kind in ivf ivfpq; do prepare_search "faiss-$kind" faiss libfaiss-dev "$kind" ip l2; done
else
    skip faiss "Debian's libfaiss-dev cannot be installed"
fi
prepare_slide
[ -z "$prepare_only" ] || exit 0

# ---- measuring: all peers in turn, round after round ----

times=$(mktemp -d)
trap 'rm -rf "$times"' EXIT
for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    pinned "$out/bin/peak" "$times/edgeslide.rss" "$binary" bench "$model" "$test_file" --rounds 1 --queries "$queries" --profile --json >"$times/bench"
    jq .dense.stages.dot_products.ns "$times/bench" >>"$times/dots.ns"
    for mode in lsh dense; do jq ".$mode.median_ns" "$times/bench" >>"$times/edgeslide-$mode.ns"; done
    [ -z "${dense_kind:-}" ] || pinned "$out/bin/dense" gemv "$arrays" "$dense_kind" "$queries" | jq .ns >>"$times/gemv.ns"
    for peer in "${names[@]}"; do
        [ "$peer" != slide ] || continue
        eval "pinned \"\$out/bin/peak\" \"\$times/\$peer.rss\" ${command[$peer]}" | jq .ns >>"$times/$peer.ns"
    done
done
median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

row() { # PEER VERSION SCORES NS BYTES RSS NOTE
    jq -c --arg peer "$1" --arg version "$2" --arg ns "$4" --arg bytes "$5" --arg rss "$6" --arg note "$7" \
        '{peer: $peer, version: $version, p1, p5, psp1, ns_per_query: ($ns | tonumber), model_bytes: ($bytes | tonumber), rss_bytes: ($rss | tonumber), note: $note}' "$3"
}
size_of() { stat -Lc %s "$1"; }
{
    edgeslide=$("$binary" --version) dense_note="INT8, all neurons, kernel $(jq -r .kernel "$times/bench")"
    if [ -e "$times/gemv.ns" ]; then
        # All of a round are measured one after the other; the clock may differ from round to round. The clock is read between
        # blocks of dot products, which costs them some time, so the whole query, without that, may even take less.
        paste "$times/gemv.ns" "$times/dots.ns" "$times/edgeslide-dense.ns" >"$times/rounds.ns"
        awk '{ print $1 / $2 }' "$times/rounds.ns" >"$times/dots.ratio"
        awk '{ print $1 / $3 }' "$times/rounds.ns" >"$times/query.ratio"
        dense_note+="; its dot products take $(awk -v dots="$(median "$times/dots.ns")" -v gemv="$(median "$times/gemv.ns")" \
            -v dots_ratio="$(median "$times/dots.ratio")" -v query_ratio="$(median "$times/query.ratio")" 'BEGIN {
                printf "%.1f us, OpenBLAS sgemv of the same shape %.1f us: in the same round %.1f times as long as these, %.1f times as long as the whole query",
                    dots / 1000, gemv / 1000, dots_ratio, query_ratio }')"
    fi
    for mode in lsh dense; do
        jq -c "{p1: .p1_int8_$mode, p5: .p5_int8_$mode, psp1: .psp1_int8_$mode}" "$measured" >"$times/scores"
        [ "$mode" = lsh ] && text="INT8, selected neurons" || text=$dense_note
        row "edgeslide-$mode" "$edgeslide" "$times/scores" "$(median "$times/edgeslide-$mode.ns")" "$(size_of "$model")" "$(cat "$times/edgeslide.rss")" \
            "$text; from features to answer; resident memory with every page of the file read to check it, both modes in one process"
    done
    for peer in "${names[@]}"; do
        if [ "$peer" = slide ]; then
            row slide "${version[slide]}" "${score[slide]}" "$(jq .ns "${score[slide]}")" "$(size_of "${file[slide]}")" "$(jq .rss "${score[slide]}")" "${note[slide]}"
        else
            row "$peer" "${version[$peer]}" "${score[$peer]}" "$(median "$times/$peer.ns")" "$(size_of "${file[$peer]}")" "$(cat "$times/$peer.rss")" "${note[$peer]}"
        fi
    done
} | jq -s . >"$out/peers-$name.json.tmp"
mv "$out/peers-$name.json.tmp" "$out/peers-$name.json"

printf '%s: %d interleaved rounds of up to %d queries, core %s of %s\n\n' "$name" "$rounds" "$queries" "$core" \
    "$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)"
jq -r '(map(select(.peer == "edgeslide-lsh"))[0].ns_per_query) as $lsh
    | def share: if . == null then "-" else (. * 10000 | round / 10000 | tostring) end;
      def short: if . < 100 then (. * 10 | round / 10) else round end | tostring;
    "| peer | P@1 | P@5 | PSP@1 | us a query | x EdgeSlide LSH | model, MB | resident, MB | |", "|---|---|---|---|---|---|---|---|---|",
    (.[] | "| \(.peer) | \(.p1 | share) | \(.p5 | share) | \(.psp1 | share) | \(.ns_per_query / 1000 | short) | \(.ns_per_query / $lsh | short) | \(.model_bytes / 1e6 | short) | \(.rss_bytes / 1e6 | short) | \(.note) |")' "$out/peers-$name.json"
for reason in ${skipped[@]+"${skipped[@]}"}; do printf '\nSkipped %s\n' "$reason"; done
