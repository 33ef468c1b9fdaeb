# bash completion for falcon; made by `falcon completions bash`, not by hand.

_falcon() {
    local IFS=$' \t\n' word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    local path=falcon position=0 index taken="" words="" more="" kind=words
    COMPREPLY=()
    # bash cuts --option=value into three words
    if [[ $word == "=" ]]; then
        word=""
    elif [[ $before == "=" ]]; then
        before=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "${COMP_WORDS[index]}" in
        =) continue ;;
        --against|--batch-size|--block-size|--branch|--budget|--chat-template|--chunks|--color|--compare|--compute-dtype|--ctx-size|--device|--device-map|--dtype|--fail-below|--file|--format|--frequency-penalty|--input-file|--json-schema|--json-schema-file|--kernels|--kl-divergence-base|--log-file|--logprobs|--max-memory|--max-new-tokens|--max-shard-size|--max-tokens|--min-p|--model|--model-name-or-path|--n-depth|--n-gen|--n-predict|--n-prompt|--num-samples|--output|--output-file|--percentiles|--pg|--plot|--prefill-chunk|--prefill-response|--presence-penalty|--prompt|--prompt-cache|--quantize|--regex|--repeat-last-n|--repeat-penalty|--repetition-penalty|--repetitions|--revision|--seed|--session|--skip-modules|--snapshot-memory|--speculate|--stop|--system|--system-file|--temp|--temperature|--tools|--top-k|--top-p|--torch-dtype|--turns|--type|--typical-p|--verify-text|-b|-c|-d|-f|-i|-m|-n|-o|-p|-pg|-r|-s|-t)
            ((index++))
            [[ ${COMP_WORDS[index]} == "=" ]] && ((index++))
            ;;
        --) taken=all before="" ;;
        -*) ;;
        *)
            case "$path ${COMP_WORDS[index]}" in
            "falcon bench"|"falcon cache-prompt"|"falcon chat"|"falcon completions"|"falcon config"|"falcon config path"|"falcon config show"|"falcon doctor"|"falcon generate"|"falcon help"|"falcon perplexity"|"falcon quantize"|"falcon sessions"|"falcon sessions export"|"falcon sessions list"|"falcon sessions prune"|"falcon sessions rename"|"falcon sessions rm"|"falcon sessions show") path="$path ${COMP_WORDS[index]}" ;;
            *) ((position++)) ;;
            esac
            ;;
        esac
    done
    case "$path $before" in
    "falcon bench --model"|"falcon bench --model-name-or-path"|"falcon bench -m"|"falcon cache-prompt --model"|"falcon cache-prompt --model-name-or-path"|"falcon cache-prompt -m"|"falcon chat --model"|"falcon chat --model-name-or-path"|"falcon chat -m"|"falcon doctor --model"|"falcon doctor --model-name-or-path"|"falcon doctor -m"|"falcon generate --model"|"falcon generate --model-name-or-path"|"falcon generate -m"|"falcon perplexity --model"|"falcon perplexity --model-name-or-path"|"falcon perplexity -m") kind=model words="demo demo-h1" ;;
    "falcon bench --revision"|"falcon bench --max-memory"|"falcon bench --prefill-chunk"|"falcon bench --n-prompt"|"falcon bench -p"|"falcon bench --n-gen"|"falcon bench -n"|"falcon bench --pg"|"falcon bench -pg"|"falcon bench --n-depth"|"falcon bench -d"|"falcon bench --batch-size"|"falcon bench -b"|"falcon bench --repetitions"|"falcon bench -r"|"falcon bench --turns"|"falcon bench --temperature"|"falcon bench --temp"|"falcon bench --top-k"|"falcon bench --top-p"|"falcon bench --percentiles"|"falcon bench --fail-below"|"falcon cache-prompt --system"|"falcon cache-prompt --revision"|"falcon cache-prompt --max-memory"|"falcon cache-prompt --prefill-chunk"|"falcon chat --revision"|"falcon chat --max-memory"|"falcon chat --prefill-chunk"|"falcon chat --system"|"falcon chat --session"|"falcon chat --snapshot-memory"|"falcon chat --max-tokens"|"falcon chat --max-new-tokens"|"falcon chat --n-predict"|"falcon chat -n"|"falcon chat --temperature"|"falcon chat --temp"|"falcon chat --top-k"|"falcon chat --top-p"|"falcon chat --min-p"|"falcon chat --typical-p"|"falcon chat --repeat-penalty"|"falcon chat --repetition-penalty"|"falcon chat --repeat-last-n"|"falcon chat --presence-penalty"|"falcon chat --frequency-penalty"|"falcon chat --seed"|"falcon chat -s"|"falcon chat --stop"|"falcon doctor --revision"|"falcon doctor --max-memory"|"falcon doctor --prefill-chunk"|"falcon generate --prompt"|"falcon generate -p"|"falcon generate --prefill-response"|"falcon generate --batch-size"|"falcon generate -b"|"falcon generate --system"|"falcon generate --num-samples"|"falcon generate --logprobs"|"falcon generate --speculate"|"falcon generate --json-schema"|"falcon generate --regex"|"falcon generate --revision"|"falcon generate --max-memory"|"falcon generate --prefill-chunk"|"falcon generate --max-tokens"|"falcon generate --max-new-tokens"|"falcon generate --n-predict"|"falcon generate -n"|"falcon generate --temperature"|"falcon generate --temp"|"falcon generate --top-k"|"falcon generate --top-p"|"falcon generate --min-p"|"falcon generate --typical-p"|"falcon generate --repeat-penalty"|"falcon generate --repetition-penalty"|"falcon generate --repeat-last-n"|"falcon generate --presence-penalty"|"falcon generate --frequency-penalty"|"falcon generate --seed"|"falcon generate -s"|"falcon generate --stop"|"falcon perplexity --revision"|"falcon perplexity --max-memory"|"falcon perplexity --prefill-chunk"|"falcon perplexity --ctx-size"|"falcon perplexity -c"|"falcon perplexity --chunks"|"falcon quantize --revision"|"falcon quantize --block-size"|"falcon quantize --skip-modules"|"falcon quantize --max-shard-size"|"falcon sessions export --branch"|"falcon sessions prune --budget"|"falcon sessions show --branch") kind=text ;;
    "falcon bench --dtype"|"falcon bench --torch-dtype"|"falcon bench --compute-dtype"|"falcon cache-prompt --dtype"|"falcon cache-prompt --torch-dtype"|"falcon cache-prompt --compute-dtype"|"falcon chat --dtype"|"falcon chat --torch-dtype"|"falcon chat --compute-dtype"|"falcon doctor --dtype"|"falcon doctor --torch-dtype"|"falcon doctor --compute-dtype"|"falcon generate --dtype"|"falcon generate --torch-dtype"|"falcon generate --compute-dtype"|"falcon perplexity --dtype"|"falcon perplexity --torch-dtype"|"falcon perplexity --compute-dtype"|"falcon quantize --compute-dtype") kind=words words="auto bfloat16 float16 float32" ;;
    "falcon bench --device"|"falcon cache-prompt --device"|"falcon chat --device"|"falcon doctor --device"|"falcon generate --device"|"falcon perplexity --device") kind=words words="auto cuda cpu mps" ;;
    "falcon bench --device-map"|"falcon cache-prompt --device-map"|"falcon chat --device-map"|"falcon doctor --device-map"|"falcon generate --device-map"|"falcon perplexity --device-map") kind=words words="auto" ;;
    "falcon bench --kernels"|"falcon cache-prompt --kernels"|"falcon chat --kernels"|"falcon doctor --kernels"|"falcon generate --kernels"|"falcon perplexity --kernels") kind=words words="auto triton torch compile mamba-ssm" ;;
    "falcon bench --quantize"|"falcon cache-prompt --quantize"|"falcon chat --quantize"|"falcon doctor --quantize"|"falcon generate --quantize"|"falcon perplexity --quantize") kind=words words="none nf4 fp4 int8" ;;
    "falcon bench --against") kind=words words="transformers" ;;
    "falcon bench --output"|"falcon bench -o") kind=words words="md csv json jsonl" ;;
    "falcon bench --output-file"|"falcon bench --compare"|"falcon bench --log-file"|"falcon cache-prompt --file"|"falcon cache-prompt -f"|"falcon cache-prompt --output"|"falcon cache-prompt -o"|"falcon cache-prompt --system-file"|"falcon cache-prompt --tools"|"falcon cache-prompt --log-file"|"falcon chat --system-file"|"falcon chat --tools"|"falcon chat --log-file"|"falcon doctor --log-file"|"falcon generate --file"|"falcon generate -f"|"falcon generate --prompt-cache"|"falcon generate --input-file"|"falcon generate -i"|"falcon generate --system-file"|"falcon generate --tools"|"falcon generate --output"|"falcon generate -o"|"falcon generate --json-schema-file"|"falcon generate --log-file"|"falcon perplexity --kl-divergence-base"|"falcon perplexity --log-file"|"falcon quantize --output"|"falcon quantize -o"|"falcon quantize --verify-text"|"falcon quantize --log-file"|"falcon sessions export --output"|"falcon sessions export -o") kind=file ;;
    "falcon bench --plot") kind=words words="term FILE.png" ;;
    "falcon bench --color"|"falcon cache-prompt --color"|"falcon chat --color"|"falcon doctor --color"|"falcon generate --color"|"falcon perplexity --color"|"falcon quantize --color") kind=words words="auto always never" ;;
    "falcon cache-prompt --chat-template"|"falcon chat --chat-template"|"falcon generate --chat-template") kind=words words="FILE STR" ;;
    "falcon quantize --type"|"falcon quantize -t") kind=words words="nf4 fp4 int8" ;;
    "falcon quantize --device") kind=words words="auto cuda cpu" ;;
    "falcon sessions export --format") kind=words words="md json jsonl" ;;
    *)
        if [[ $word == -* && -z $taken ]]; then
            case "$path" in
            "falcon") words="--version --help" more="-V -h" ;;
            "falcon bench") words="--model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --random-weights --n-prompt --n-gen --pg --n-depth --batch-size --repetitions --turns --state --against --greedy --temperature --top-k --top-p --percentiles --output --output-file --compare --fail-below --plot --quiet --no-progress --color --log-file --debug --help" more="--model-name-or-path -m --torch-dtype --no-double-quant -p -n -pg -d -b -r --temp -o -q -h" ;;
            "falcon cache-prompt") words="--file --output --chat --raw --system --system-file --chat-template --tools --show-prompt --hide-thinking --model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --quiet --no-progress --color --log-file --debug --stats --help" more="-f -o --model-name-or-path -m --torch-dtype --no-double-quant -q -h" ;;
            "falcon chat") words="--stdin-turns --model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --system --system-file --chat-template --tools --show-prompt --hide-thinking --session --continue --save --markdown --vi --snapshot-memory --max-tokens --temperature --greedy --top-k --top-p --min-p --typical-p --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty --seed --stop --ignore-eos --quiet --no-progress --color --log-file --debug --stats --help" more="--model-name-or-path -m --torch-dtype --no-double-quant -c --no-save --no-markdown --max-new-tokens --n-predict -n --temp --repetition-penalty -s -q -h" ;;
            "falcon completions") words="--help" more="-h" ;;
            "falcon config") words="--help" more="-h" ;;
            "falcon config path") words="--help" more="-h" ;;
            "falcon config show") words="--json --help" more="-h" ;;
            "falcon doctor") words="--model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --quiet --no-progress --color --log-file --debug --json --help" more="--model-name-or-path -m --torch-dtype --no-double-quant -q -h" ;;
            "falcon generate") words="--prompt --file --chat --raw --prefill-response --prompt-cache --input-file --batch-size --resume --unordered --system --system-file --chat-template --tools --show-prompt --hide-thinking --json --echo --stream --jsonl --return-ids --output --extract --num-samples --logprobs --speculate --json-schema --json-schema-file --regex --model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --max-tokens --temperature --greedy --top-k --top-p --min-p --typical-p --repeat-penalty --repeat-last-n --presence-penalty --frequency-penalty --seed --stop --ignore-eos --quiet --no-progress --color --log-file --debug --stats --help" more="-p -f -i -b --no-stream -o -x --model-name-or-path -m --torch-dtype --no-double-quant --max-new-tokens --n-predict -n --temp --repetition-penalty -s -q -h" ;;
            "falcon help") words="--help" more="-h" ;;
            "falcon perplexity") words="--model --revision --offline --dtype --device --device-map --max-memory --kernels --prefill-chunk --quantize --double-quant --compute-dtype --ctx-size --chunks --kl-divergence-base --kl-divergence --json --quiet --no-progress --color --log-file --debug --help" more="--model-name-or-path -m --torch-dtype --no-double-quant -c -q -h" ;;
            "falcon quantize") words="--revision --offline --type --double-quant --block-size --skip-modules --quantize-head --compute-dtype --device --output --max-shard-size --resume --force --dry-run --verify --verify-text --json --quiet --no-progress --color --log-file --debug --help" more="-t --no-double-quant -o -q -h" ;;
            "falcon sessions") words="--help" more="-h" ;;
            "falcon sessions export") words="--output --format --branch --help" more="-o -h" ;;
            "falcon sessions list") words="--json --help" more="-h" ;;
            "falcon sessions prune") words="--budget --json --help" more="-h" ;;
            "falcon sessions rename") words="--help" more="-h" ;;
            "falcon sessions rm") words="--yes --help" more="-y -h" ;;
            "falcon sessions show") words="--branch --json --help" more="-h" ;;
            esac
        else
            case "$path $position" in
            "falcon 0") words="bench cache-prompt chat completions config doctor generate help perplexity quantize sessions" ;;
            "falcon bench 0") kind=model words="demo demo-h1" ;;
            "falcon chat 0") kind=model words="demo demo-h1" ;;
            "falcon completions 0") kind=words words="bash zsh fish powershell" ;;
            "falcon config 0") words="path show" ;;
            "falcon doctor 0") kind=model words="demo demo-h1" ;;
            "falcon generate 0") kind=text ;;
            "falcon help 0") kind=words words="batch bench cache-prompt chat completions config doctor environment exit-codes generate help models perplexity quantize sampling sessions" ;;
            "falcon perplexity 0") kind=model words="demo demo-h1" ;;
            "falcon perplexity 1") kind=file ;;
            "falcon quantize 0") kind=model words="demo demo-h1" ;;
            "falcon sessions 0") words="export list prune rename rm show" ;;
            "falcon sessions export 0") kind=text ;;
            "falcon sessions export 1") kind=file ;;
            "falcon sessions rename 0") kind=text ;;
            "falcon sessions rename 1") kind=text ;;
            "falcon sessions rm 0") kind=text ;;
            "falcon sessions show 0") kind=text ;;
            *) kind=text ;;
            esac
        fi
        ;;
    esac
    case "$kind" in
    file) compopt -o default 2>/dev/null ;;
    model) compopt -o filenames -o plusdirs 2>/dev/null ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    if [[ ${#COMPREPLY[@]} == 0 && -n $more ]]; then
        COMPREPLY=($(compgen -W "$more" -- "$word"))
    fi
}

complete -F _falcon falcon
