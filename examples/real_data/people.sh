#!/usr/bin/env bash
# Reward models from every kind of human feedback at hand, each tested on prompts that it was not trained on.
#
#   examples/real_data/people.sh DATA OUT
#
# DATA is as for run.sh (see README.md). Everything goes to OUT/people; it ends in one table. Each command is printed
# before it runs; with DRY_RUN=1 they are only printed. Called again it goes on where it stopped. TRUING and PYTHON name
# the programs.
set -euo pipefail
[ $# -eq 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
data=$1 out=$2/people
here=$(dirname "$0")
python=${PYTHON:-python}
truing=${TRUING:-truing}

say_and_do() {
    printf '%q ' "$@" && echo
    [ -n "${DRY_RUN:-}" ] || "$@"
}

[ -e "$out/corpus.jsonl.gz" ] || say_and_do "$python" "$here/halves.py" "$data" "$out"

# The base: 5 M parameters, made from nothing, one pass over training texts. No half of what follows is in them.
[ -e "$out/new/model.safetensors" ] ||
    say_and_do "$python" "$here/prepare.py" "$out/corpus.jsonl.gz" --out "$out/new" --hidden 256 --layers 4 --heads 4
say_and_do "$truing" train sft --model "$out/new" --data "$out/corpus.jsonl.gz" --out "$out/base" --resume \
    --set validation_share=0.01 --set max_prompt_tokens=256 --set max_response_tokens=512 --set autocast=true \
    --set batch_size=8 --set epochs=1 --set learning_rate=2e-3 --set evaluate_every=500 --set save_every=500

# No setting was chosen by a result: each run below is the first that was made of its kind.
train() { # RECIPE NAME HALF SETTINGS...
    say_and_do "$truing" train "$1" --model "$out/base/model" --data "$out/$2/$3.jsonl.gz" --out "$out/$2/$3" --resume \
        --set validation_share=0 --set max_prompt_tokens=256 --set autocast=true --set save_every=0 \
        --set sample_every=0 "${@:4}"
}

both_halves() { # RECIPE NAME SETTINGS...
    train "$1" "$2" a "${@:3}"
    train "$1" "$2" b "${@:3}"
    say_and_do "$python" "$here/judge.py" "$out" "$2"
}

some=(--set max_response_tokens=256 --set learning_rate=5e-4)
steps=(--set max_response_tokens=512 --set learning_rate=1e-3 --set batch_size=2)
both_halves reward_scores topical_chat "${some[@]}" --set batch_size=2 --set epochs=4 --set center=3 --set scale=2
both_halves reward pandalm "${some[@]}" --set batch_size=4 --set epochs=2
both_halves reward_labels gsm8k "${some[@]}" --set batch_size=2
both_halves process_reward mr_gsm8k "${steps[@]}"
both_halves process_reward bigbench_mistake "${steps[@]}"
both_halves reward_ranking oasst "${some[@]}" --set batch_size=2
both_halves reward llmfao "${some[@]}" --set batch_size=4

# hh-rlhf has a held-out file of its own; its helpful half is what run.sh is about.
train reward harmless a --set max_response_tokens=256 --set learning_rate=3e-4 --set batch_size=8
say_and_do "$python" "$here/judge.py" "$out" harmless

say_and_do "$python" "$here/table.py" "$out"
