#!/usr/bin/env bash
# Repeats one row of docs/benchmarks.md from the data: trains, quantizes, and measures with the published device binary.
#
#   tools/reproduce.sh NAME [OUTDIR]
#
#   NAME     yso-finna-en, wikitext-2, citeulike-t, amazon-book, delicious-983 or mnist-10k
#   OUTDIR   receives NAME.esnet, NAME.eslide and NAME.json, for wikitext-2 also the tuner's page NAME.html, for citeulike-t and
#            amazon-book also NAME-calibration.*; default artifacts/reproduce
#
#   EDGESLIDE_DATA     folder with one folder per data set; default ../shared/data beside the repository
#   EDGESLIDE_BINARY   a device binary to measure instead of publishing one
#   EDGESLIDE_WORKBENCH  a built edgeslide-workbench.dll; built if not given
#
# Sets without a validation file train on all rows. citeulike-t and amazon-book take their calibration over from a second model,
# made with the same options from nine tenths of the rows and calibrated on the rest; the two narrow sets stay uncalibrated.
# The settings are not blind to the test rows: docs/training.md, "Recipes", says how they were chosen.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; }
case "${1:-}" in -h | --help) usage; exit 0 ;; '') usage >&2; exit 2 ;; esac

name=$1
out=${2:-$root/artifacts/reproduce}
data=${EDGESLIDE_DATA:-$root/../shared/data}/$name

train=() quantize=() tune=() read=() calibrate=()
# Where nothing better was found than moments that stand still and uniform negatives (docs/training.md, "Recipes").
before=(--age-moments false --negative-power 0)
case $name in
yso-finna-en)
    files=(train.tsv.gz valid.tsv.gz test.tsv.gz)
    read=(--labels "$data/labels.tsv.gz")
    train=("${before[@]}" --validation "$data/valid.tsv.gz" --min-count 3 --epochs 8 --batch 1024 --learning-rate 0.016 --feature-dropout 0.2 --negatives 4096 --label-power 0.5 --weight-moments true)
    quantize=(--validation "$data/valid.tsv.gz" --min-count 3 --bucket-size 8)
    ;;
wikitext-2)
    files=(train.txt.gz valid.txt.gz test.txt.gz vocab.txt.gz)
    read=(--format tokens --labels "$data/vocab.txt.gz")
    train=(--validation "$data/valid.txt.gz" --transform binary --activation linear --epochs 5 --batch 2048 --learning-rate 0.015 --feature-dropout 0.2 --negatives 2048)
    quantize=(--validation "$data/valid.txt.gz" --bucket-size 16 --top-vote 2 --next-vote 0.7 --true-vote 1)
    tune=("$data/valid.txt.gz" --max-loss 0.05)
    ;;
citeulike-t)
    files=(train.xc.txt.gz test.xc.txt.gz)
    train=(--transform log1p --idf true --epochs 20 --learning-rate 0.006 --feature-dropout 0 --negatives 4096 --label-power 0.5)
    quantize=(--bucket-size 8 --vote-blend 3 --budget 16)
    calibrate=(--hold-out 0.1)
    ;;
amazon-book)
    files=(train.xc.txt.gz test.xc.txt.gz)
    train=("${before[@]}" --epochs 20 --learning-rate 0.01 --feature-dropout 0.5 --label-power 1)
    quantize=(--bucket-size 8 --vote-blend 1 --budget 8)
    calibrate=(--hold-out 0.1)
    ;;
delicious-983)
    files=(train.xc.txt.gz test.xc.txt.gz)
    train=(--hold-out 0 --epochs 15 --learning-rate 0.005 --feature-dropout 0.3)
    quantize=(--hold-out 0 --bucket-size 32 --budget 64 --vote-blend 0 --top-vote 2 --next-vote 0.7 --true-vote 1)
    ;;
mnist-10k)
    files=(train.csv.gz test.csv.gz)
    train=(--hold-out 0 --epochs 30 --batch 128 --learning-rate 0.01 --feature-dropout 0.3)
    quantize=(--hold-out 0 --vote-blend 0 --hidden-tables 16 --hidden-bits 8)
    ;;
*)
    echo "reproduce.sh: unknown data set '$name' (see --help)" >&2
    exit 2
    ;;
esac
for file in "${files[@]}"; do
    if [ ! -e "$data/$file" ]; then
        echo "reproduce.sh: $data/$file is not there; set EDGESLIDE_DATA to the folder that holds $name" >&2
        exit 4
    fi
done
train_file=$data/${files[0]}
case $name in yso-finna-en | wikitext-2) test_file=$data/${files[2]} ;; *) test_file=$data/${files[1]} ;; esac

mkdir -p "$out"
build_workbench
binary=${EDGESLIDE_BINARY:-}
[ -n "$binary" ] || publish_device "$out/device"

if [ ${#calibrate[@]} -gt 0 ]; then
    part=$out/$name-calibration
    # The last epoch, because that is what training on all rows keeps.
    workbench train "$train_file" --out "$part.esnet" "${read[@]}" "${train[@]}" "${calibrate[@]}" --keep last
    workbench quantize "$part.esnet" --data "$train_file" --out "$part.eslide" "${read[@]}" "${quantize[@]}" "${calibrate[@]}"
    train+=(--hold-out 0)
    quantize+=(--calibration-from "$part.eslide")
fi
workbench train "$train_file" --out "$out/$name.esnet" "${read[@]}" "${train[@]}"
workbench quantize "$out/$name.esnet" --data "$train_file" --out "$out/$name.eslide" "${read[@]}" "${quantize[@]}"
[ ${#tune[@]} -eq 0 ] || workbench tune "$out/$name.eslide" "${tune[@]}" --out "$out/$name.eslide" --overwrite --plot "$out/$name.html" "${read[@]}"
workbench eval "$out/$name.esnet" "$test_file" --model "$out/$name.eslide" --binary "$binary" --json "${read[@]}" > "$out/$name.json.tmp"
mv "$out/$name.json.tmp" "$out/$name.json"
cat "$out/$name.json"
