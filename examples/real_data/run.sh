#!/usr/bin/env bash
# SFT, a reward model and DPO on real files, with a model of 10 M parameters made from nothing; then, by people.sh, reward
# models from every kind of human feedback at hand.
#
#   examples/real_data/run.sh DATA OUT
#
# DATA holds the files that README.md names, OUT gets one folder a run. Each command is printed before it runs;
# with DRY_RUN=1 they are only printed. Called again it goes on where it stopped. TRUING and PYTHON name the programs.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
data=$1 out=$2
here=$(dirname "$0")
python=${PYTHON:-python}
truing=${TRUING:-truing}

say_and_do() {
    printf '%q ' "$@" && echo
    [ -n "${DRY_RUN:-}" ] || "$@"
}

alpaca=$data/alpaca/alpaca_sample.jsonl.gz
train=$data/hh_rlhf/helpful_base.train.jsonl.gz
test=$data/hh_rlhf/helpful_base.test.jsonl.gz

# For a model of 10 M parameters on a processor: short texts, small batches, and far larger learning rates than the
# recipes' own, which are for models of billions of parameters.
small=(--set max_prompt_tokens=128 --set max_response_tokens=128 --resume)

say_and_do "$truing" feedback stats "$alpaca" --skip-bad
say_and_do "$truing" feedback stats "$train"

[ -e "$out/base/model.safetensors" ] ||
    say_and_do "$python" "$here/prepare.py" "$alpaca" "$data"/hh_rlhf/*.train.jsonl.gz --out "$out/base"

say_and_do "$truing" train sft --model "$out/base" --data "$alpaca" --out "$out/sft" "${small[@]}" \
    --skip-bad --set batch_size=4 --set epochs=2 --set learning_rate=1e-3 --set evaluate_every=100

say_and_do "$truing" train reward --model "$out/sft" --data "$train" --out "$out/reward" "${small[@]}" \
    --set validation="$test" --set batch_size=8 --set learning_rate=3e-4 --set evaluate_every=100

say_and_do "$truing" train dpo --model "$out/sft" --data "$train" --out "$out/dpo" "${small[@]}" \
    --set validation="$test" --set batch_size=8 --set learning_rate=1e-4 --set evaluate_every=100

say_and_do "$python" "$here/measure.py" "$out" --pairs "$test"

"$here/people.sh" "$data" "$out"
