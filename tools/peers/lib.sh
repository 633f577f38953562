# What tools/peers/run.sh and tools/peers/train.sh share; to be sourced. The caller sets `program`, the name in its messages.

# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
export LC_ALL=C

say() { printf '%s\n' "$*" >&2; }
die() { # CODE MESSAGE
    say "$program: $2"
    exit "$1"
}

# Installs what of the given Debian packages is missing; fails if one cannot be had.
need_packages() {
    local package missing=() sudo=()
    for package; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >&2
}

package_version() { dpkg-query -W -f '${Version}' "$1"; }

# Sets train_file, test_file and read_options (for the workbench) of a data set under EDGESLIDE_DATA.
find_data() { # NAME
    local data=${EDGESLIDE_DATA:-$root/../shared/data}/$1 suffix=xc.txt.gz file
    read_options=()
    case $1 in
    yso-finna-en) suffix=tsv.gz read_options=(--labels "$data/labels.tsv.gz") ;;
    wikitext-2) suffix=txt.gz read_options=(--format tokens --labels "$data/vocab.txt.gz") ;;
    citeulike-t | amazon-book | delicious-983) ;;
    *) die 2 "unknown data set '$1' (see --help)" ;;
    esac
    train_file=$data/train.$suffix test_file=$data/test.$suffix
    for file in "$train_file" "$test_file"; do
        [ -e "$file" ] || die 4 "$file is not there; set EDGESLIDE_DATA to the folder that holds $1"
    done
}

# Makes a file from others unless it is there and newer than they are: make_file TARGET SOURCE... -- COMMAND...
# The command writes to the path in $made, which gets the target's name when it has succeeded.
make_file() {
    local target=$1 fresh=1
    shift
    [ -e "$target" ] || fresh=
    while [ "$1" != -- ]; do
        [ -n "$fresh" ] && [ "$1" -nt "$target" ] && fresh=
        shift
    done
    shift
    [ -n "$fresh" ] && return 0
    made=$(dirname "$target")/new.$(basename "$target")
    "$@" || {
        rm -f "$made"
        return 1
    }
    mv "$made" "$target"
}

# ---- the SLIDE C++ reference ----

# Writes rows as SLIDE needs them: the XC format with at least one label and one feature in every row. Anything else makes
# it read the wrong fields. With a third argument, at most that many rows, spread evenly.
slide_rows() { # XC-FILE TARGET [ROWS]
    local usable
    usable=$(awk 'NR > 1 && /^[0-9]/ && NF > 1' "$1" | wc -l)
    awk -v want="${3:-0}" -v usable="$usable" '
        NR == 1 { features = $2; labels = $3; rows = want > 0 && want < usable ? want : usable; print rows, features, labels; next }
        /^[0-9]/ && NF > 1 { if (int(++seen * rows / usable) > kept) { kept++; print } }' "$1" >"$2"
}

# Writes a configuration. SLIDE reads whole batches only, tests on 50 of them after every epoch but the last (20 before the
# first), and crashes if there are fewer, so the batch follows from the test rows.
# Settings by variables: slide_epochs (1), slide_rate (0.001), slide_batch (128 or less), slide_active (share of output
# neurons, 0.005), slide_k (5), slide_l (50), slide_hidden (128).
slide_config() { # TRAIN TEST CONFIG LOG WEIGHTS
    local rows features labels test_rows batch=${slide_batch:-128} step most
    read -r rows features labels <"$1"
    read -r test_rows _ <"$2"
    most=$((test_rows / 50))
    [ "$most" -gt 0 ] || die 4 "$2: SLIDE needs at least 50 test rows, found $test_rows"
    [ "$batch" -le "$most" ] || batch=$most
    [ "$batch" -le "$rows" ] || die 4 "$1: SLIDE needs a batch of rows ($batch), found $rows"
    step=$((batch * 50))
    cat >"$3" <<EOF
numLayer=2
sizesOfLayers=${slide_hidden:-128},$labels
RangePow=6,$((3 * ${slide_k:-5}))
K=2,${slide_k:-5}
L=20,${slide_l:-50}
Sparsity=1,${slide_active:-0.005},1,1
Batchsize=$batch
Rehash=$step
Rebuild=$((step * 20))
InputDim=$features
totRecords=$rows
totRecordsTest=$test_rows
Lr=${slide_rate:-0.001}
Epoch=${slide_epochs:-1}
Stepsize=1000000000
trainData=$1
testData=$2
weight=$5
savedweight=$5
logFile=$4
EOF
}

# Prints one line an epoch from SLIDE's log: epoch, training seconds so far, P@1. Before the last epoch P@1 is over 50 batches.
# The line before the first epoch is the untrained network's.
slide_epochs_of() { # LOG
    awk '/^Epoch/ { epoch = $2; next } NF == 3 && $1 > 0 { print epoch + 1, $2, $3 }' "$1"
}

# Nanoseconds a row when testing, from SLIDE's output: the median batch of those after training.
slide_test_ns() { # OUTPUT BATCH
    awk '/^over all/ { if (n) { delete old; for (i = 0; i < n; i++) old[i] = t[i]; last = n } n = 0 }
         /^Inference takes/ { t[n++] = $3 }
         END { for (i = 0; i < last; i++) print old[i] }' "$1" | sort -n |
        awk -v batch="$2" '{ t[NR] = $1 } END { if (NR) printf "%.0f\n", t[int((NR + 1) / 2)] * 1e6 / batch }'
}
