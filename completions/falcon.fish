# fish completion for falcon; made by `falcon completions fish`, not by hand.

function __falcon_at --description 'Whether the words so far lead to this command, and to so many arguments of it'
    set -l path
    set -l position 0
    set -l skip no
    for word in (commandline -opc)[2..]
        if test $skip = yes
            set skip no
        else if contains -- $word --color --device --device-map --dtype --file --frequency-penalty --kernels --log-file --max-memory --max-new-tokens --max-tokens --min-p --model --model-name-or-path --n-predict --prefill-chunk --presence-penalty --prompt --repeat-last-n --repeat-penalty --repetition-penalty --revision --seed --stop --temp --temperature --top-k --top-p --torch-dtype --typical-p -f -m -n -p -s
            set skip yes
        else if string match -q -- '-*' $word
            continue
        else if contains -- (string join ' ' $path $word) 'completions' 'config' 'config path' 'config show' 'generate' 'help'
            set -a path $word
        else
            set position (math $position + 1)
        end
    end
    test "$path" = "$argv[1]"; and begin
        test (count $argv) = 1; or test $position = $argv[2]
    end
end

complete -c falcon -f

complete -c falcon -n '__falcon_at "" 0' -a completions -d 'Print the completion script for bash, zsh, fish or powershell'
complete -c falcon -n '__falcon_at "" 0' -a config -d 'Show what is settled, and where'
complete -c falcon -n '__falcon_at "" 0' -a generate -d 'Complete a prompt'
complete -c falcon -n '__falcon_at "" 0' -a help -d 'Explain a topic. Without one, list the topics'
complete -c falcon -n '__falcon_at ""' -l version -s V -d 'Show the version and exit'
complete -c falcon -n '__falcon_at ""' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "completions" 0' -x -a 'bash zsh fish powershell'
complete -c falcon -n '__falcon_at "completions"' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "config" 0' -a path -d 'Show where config.toml is, or would be'
complete -c falcon -n '__falcon_at "config" 0' -a show -d 'Show each setting, its value and where that comes from'
complete -c falcon -n '__falcon_at "config"' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "config path"' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "config show"' -l json -d 'Write one JSON document instead of a table'
complete -c falcon -n '__falcon_at "config show"' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "generate"' -l prompt -s p -x -d 'The same as PROMPT'
complete -c falcon -n '__falcon_at "generate"' -l file -s f -r -F -d 'Read the prompt from a file'
complete -c falcon -n '__falcon_at "generate"' -l raw -d 'Feed the text exactly as it is, last newline included'
complete -c falcon -n '__falcon_at "generate"' -l return-ids -d 'Add prompt_ids and completion_ids to --json'
complete -c falcon -n '__falcon_at "generate"' -l model -l model-name-or-path -s m -x -a 'demo demo-h1 (__fish_complete_directories)' -d 'Hugging Face id, local folder, demo or demo-h1'
complete -c falcon -n '__falcon_at "generate"' -l revision -x -d 'Branch, tag or commit of a Hugging Face id'
complete -c falcon -n '__falcon_at "generate"' -l offline -d 'Use what is on this machine; never the network'
complete -c falcon -n '__falcon_at "generate"' -l dtype -l torch-dtype -x -a 'auto bfloat16 float16 float32' -d 'Number format of the weights; auto is the checkpoint\'s own'
complete -c falcon -n '__falcon_at "generate"' -l device -x -a 'auto cuda cpu mps' -d 'Where to run'
complete -c falcon -n '__falcon_at "generate"' -l device-map -x -a 'auto' -d 'Spread a large model over devices, host memory and disk'
complete -c falcon -n '__falcon_at "generate"' -l max-memory -x -d 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
complete -c falcon -n '__falcon_at "generate"' -l kernels -x -a 'auto triton torch mamba-ssm' -d 'Which implementation of the fast operations to use'
complete -c falcon -n '__falcon_at "generate"' -l prefill-chunk -x -d 'Prompt tokens read at once'
complete -c falcon -n '__falcon_at "generate"' -l max-tokens -l max-new-tokens -l n-predict -s n -x -d 'Longest answer in tokens; -1: until the model ends'
complete -c falcon -n '__falcon_at "generate"' -l temperature -l temp -x -d '0 takes the most likely token; more is freer'
complete -c falcon -n '__falcon_at "generate"' -l greedy -d 'The same as --temperature 0'
complete -c falcon -n '__falcon_at "generate"' -l top-k -x -d 'Keep the K most likely tokens (0: all)'
complete -c falcon -n '__falcon_at "generate"' -l top-p -x -d 'Keep the most likely tokens that sum to P (1: all)'
complete -c falcon -n '__falcon_at "generate"' -l min-p -x -d 'Keep tokens at least P times as likely as the best (0: all)'
complete -c falcon -n '__falcon_at "generate"' -l typical-p -x -d 'Keep the most typical tokens that sum to P (1: all)'
complete -c falcon -n '__falcon_at "generate"' -l repeat-penalty -l repetition-penalty -x -d 'Make repeated tokens less likely (1: off)'
complete -c falcon -n '__falcon_at "generate"' -l repeat-last-n -x -d 'How many tokens back the penalties look (-1: everything)'
complete -c falcon -n '__falcon_at "generate"' -l presence-penalty -x -d 'Subtracted once from tokens that have occurred (0: off)'
complete -c falcon -n '__falcon_at "generate"' -l frequency-penalty -x -d 'Subtracted for each time a token has occurred (0: off)'
complete -c falcon -n '__falcon_at "generate"' -l seed -s s -x -d 'Makes a sampled answer repeatable; random if not given'
complete -c falcon -n '__falcon_at "generate"' -l stop -x -d 'End the answer before this text; may be repeated'
complete -c falcon -n '__falcon_at "generate"' -l ignore-eos -d 'Go on when the model wants to end'
complete -c falcon -n '__falcon_at "generate"' -l json -d 'Write one JSON document instead of the text'
complete -c falcon -n '__falcon_at "generate"' -l stats -d 'Show counts and speeds on stderr at the end'
complete -c falcon -n '__falcon_at "generate"' -l quiet -s q -d 'No notices and no progress'
complete -c falcon -n '__falcon_at "generate"' -l no-progress -d 'No progress on stderr'
complete -c falcon -n '__falcon_at "generate"' -l color -x -a 'auto always never' -d 'Colours; auto: on a terminal, unless NO_COLOR is set'
complete -c falcon -n '__falcon_at "generate"' -l log-file -r -F -d 'Add what happens, with times, to a file'
complete -c falcon -n '__falcon_at "generate"' -l debug -d 'Show the traceback of an error, and what libraries have to say'
complete -c falcon -n '__falcon_at "generate"' -l help -s h -d 'Show this message and exit'
complete -c falcon -n '__falcon_at "help" 0' -x -a 'completions config environment exit-codes generate help models sampling sessions'
complete -c falcon -n '__falcon_at "help"' -l help -s h -d 'Show this message and exit'
