# PowerShell completion for falcon; made by `falcon completions powershell`, not by hand.

Register-ArgumentCompleter -Native -CommandName falcon -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $valued = @('--against', '--batch-size', '--block-size', '--branch', '--budget', '--chat-template', '--chunks', '--color', '--compare', '--compute-dtype', '--ctx-size', '--device', '--device-map', '--dtype', '--fail-below', '--file', '--format', '--frequency-penalty', '--input-file', '--kernels', '--kl-divergence-base', '--log-file', '--logprobs', '--max-memory', '--max-new-tokens', '--max-shard-size', '--max-tokens', '--min-p', '--model', '--model-name-or-path', '--n-depth', '--n-gen', '--n-predict', '--n-prompt', '--num-samples', '--output', '--output-file', '--percentiles', '--pg', '--plot', '--prefill-chunk', '--prefill-response', '--presence-penalty', '--prompt', '--prompt-cache', '--quantize', '--repeat-last-n', '--repeat-penalty', '--repetition-penalty', '--repetitions', '--revision', '--seed', '--session', '--skip-modules', '--snapshot-memory', '--speculate', '--stop', '--system', '--system-file', '--temp', '--temperature', '--tools', '--top-k', '--top-p', '--torch-dtype', '--turns', '--type', '--typical-p', '--verify-text', '-b', '-c', '-d', '-f', '-i', '-m', '-n', '-o', '-p', '-pg', '-r', '-s', '-t')
    $commands = @{
        'falcon' = [ordered]@{
            'bench' = 'Measure how fast a model is here, beside what this machine can do'
            'cache-prompt' = 'Read a document once, and keep the state behind it'
            'chat' = 'Talk with a model'
            'completions' = 'Print the completion script for bash, zsh, fish or powershell'
            'config' = 'Show what is settled, and where'
            'doctor' = 'Look at this machine: versions, devices, which kernels run and why not the others, memory, disks'
            'generate' = 'Complete a prompt, or a file of prompts'
            'help' = 'Explain a topic. Without one, list the topics'
            'perplexity' = 'Measure how well a model predicts a text'
            'quantize' = 'Write a checkpoint with its weights in 4 or 8 bits'
            'sessions' = 'List, show, export and remove conversations that were kept'
        }
        'falcon config' = [ordered]@{
            'path' = 'Show where config.toml is, or would be'
            'show' = 'Show each setting, its value and where that comes from'
        }
        'falcon sessions' = [ordered]@{
            'export' = 'Write a session to a file, or to stdout'
            'list' = 'List all sessions, the one used last first'
            'prune' = 'Remove states that were not used for long, until the others fit a size'
            'rename' = 'Give a session another name'
            'rm' = 'Remove sessions with their states, for good'
            'show' = 'Show what was said in a session, and its tree if it has branches'
        }
    }
    $options = @{
        'falcon' = [ordered]@{
            '--version' = 'Show the version and exit'
            '-V' = 'Show the version and exit'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon bench' = [ordered]@{
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights, or a list of them'
            '--torch-dtype' = 'Number format of the weights, or a list of them'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which fast operations to use, or a list to compare'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded, or a list to compare'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--random-weights' = 'Make the weights up on the device: MODEL needs a config.json only'
            '--n-prompt' = 'Read prompts of N tokens (512, on a CPU 128; 0: none)'
            '-p' = 'Read prompts of N tokens (512, on a CPU 128; 0: none)'
            '--n-gen' = 'Write N tokens (128, on a CPU 32; 0: none)'
            '-n' = 'Write N tokens (128, on a CPU 32; 0: none)'
            '--pg' = 'Read P tokens, then write N; may be repeated'
            '-pg' = 'Read P tokens, then write N; may be repeated'
            '--n-depth' = 'With N tokens in the state already (0)'
            '-d' = 'With N tokens in the state already (0)'
            '--batch-size' = 'N sequences at once (1)'
            '-b' = 'N sequences at once (1)'
            '--repetitions' = 'Measure each test so often, after a warm-up'
            '-r' = 'Measure each test so often, after a warm-up'
            '--turns' = 'A chat of K turns: the wait for each first token, state carried or not'
            '--state' = 'What it takes to save, load and fork a state, at each --n-depth (default: 512)'
            '--against' = 'Run the same with it, on the same weights, in turn; greedy. Shows the ratio'
            '--greedy' = 'Take the likeliest token, whatever the checkpoint''s own sampling is'
            '--temperature' = 'Draw at this temperature; 0: the likeliest'
            '--temp' = 'Draw at this temperature; 0: the likeliest'
            '--top-k' = 'Draw from the K most likely tokens'
            '--top-p' = 'Draw from the most likely that sum to P'
            '--percentiles' = 'Which percentiles of the time between tokens to show (50,99)'
            '--output' = 'Form of the results; default: a table on a terminal, else md'
            '-o' = 'Form of the results; default: a table on a terminal, else md'
            '--output-file' = 'Write the results to a file, in the form of its ending'
            '--compare' = 'Say what is faster or slower than in an earlier run, beyond the noise'
            '--fail-below' = 'With --compare: exit 1 if a test has less of its old speed than this'
            '--plot' = 'Draw speed over depth, over batch, waits over turns (or .svg, .pdf)'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon cache-prompt' = [ordered]@{
            '--file' = 'The document; what is piped in comes before it'
            '-f' = 'The document; what is piped in comes before it'
            '--output' = 'Where the state goes'
            '-o' = 'Where the state goes'
            '--chat' = 'Use the chat template, or fail if the model has none'
            '--raw' = 'No template; feed the document exactly as it is'
            '--system' = 'The system prompt'
            '--system-file' = 'Read the system prompt from a file'
            '--chat-template' = 'A chat template (jinja) in place of the model''s own'
            '--tools' = 'Tools for the template: a JSON list'
            '--show-prompt' = 'Show on stderr what the model is given, special tokens included'
            '--hide-thinking' = 'Leave out what a model writes between <think> and </think>'
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--torch-dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which implementation of the fast operations to use'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded (falcon quantize writes them packed)'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--stats' = 'Show counts and speeds on stderr at the end'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon chat' = [ordered]@{
            '--stdin-turns' = 'Take one turn from each line of standard input'
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--torch-dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which implementation of the fast operations to use'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded (falcon quantize writes them packed)'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--system' = 'The system prompt'
            '--system-file' = 'Read the system prompt from a file'
            '--chat-template' = 'A chat template (jinja) in place of the model''s own'
            '--tools' = 'Tools for the template: a JSON list'
            '--show-prompt' = 'Show on stderr what the model is given, special tokens included'
            '--hide-thinking' = 'Leave out what a model writes between <think> and </think>'
            '--session' = 'Go on with the conversation of this name, or begin it'
            '--continue' = 'Go on with the last conversation'
            '-c' = 'Go on with the last conversation'
            '--save' = 'Keep the conversation on the disk, turn by turn'
            '--no-save' = 'Keep the conversation on the disk, turn by turn'
            '--markdown' = 'Show answers as Markdown on a terminal'
            '--no-markdown' = 'Show answers as Markdown on a terminal'
            '--vi' = 'Type with the keys of vi'
            '--snapshot-memory' = 'Memory for states to go back to, for /undo, /retry and /goto'
            '--max-tokens' = 'Longest answer in tokens; -1: until the model ends'
            '--max-new-tokens' = 'Longest answer in tokens; -1: until the model ends'
            '--n-predict' = 'Longest answer in tokens; -1: until the model ends'
            '-n' = 'Longest answer in tokens; -1: until the model ends'
            '--temperature' = '0 takes the most likely token; more is freer'
            '--temp' = '0 takes the most likely token; more is freer'
            '--greedy' = 'The same as --temperature 0'
            '--top-k' = 'Keep the K most likely tokens (0: all)'
            '--top-p' = 'Keep the most likely tokens that sum to P (1: all)'
            '--min-p' = 'Keep tokens at least P times as likely as the best (0: all)'
            '--typical-p' = 'Keep the most typical tokens that sum to P (1: all)'
            '--repeat-penalty' = 'Make repeated tokens less likely (1: off)'
            '--repetition-penalty' = 'Make repeated tokens less likely (1: off)'
            '--repeat-last-n' = 'How many tokens back the penalties look (-1: everything)'
            '--presence-penalty' = 'Subtracted once from tokens that have occurred (0: off)'
            '--frequency-penalty' = 'Subtracted for each time a token has occurred (0: off)'
            '--seed' = 'Makes a sampled answer repeatable; random if not given'
            '-s' = 'Makes a sampled answer repeatable; random if not given'
            '--stop' = 'End the answer before this text; may be repeated'
            '--ignore-eos' = 'Go on when the model wants to end'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--stats' = 'Show counts and speeds on stderr at the end'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon completions' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon config' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon config path' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon config show' = [ordered]@{
            '--json' = 'Write one JSON document instead of a table'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon doctor' = [ordered]@{
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--torch-dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which implementation of the fast operations to use'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded (falcon quantize writes them packed)'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--json' = 'Write one JSON document'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon generate' = [ordered]@{
            '--prompt' = 'The same as PROMPT'
            '-p' = 'The same as PROMPT'
            '--file' = 'Read the prompt from a file'
            '-f' = 'Read the prompt from a file'
            '--chat' = 'Use the chat template, or fail if the model has none'
            '--raw' = 'No template; feed the text exactly as it is, last newline included'
            '--prefill-response' = 'Let the answer begin with this text, and continue it'
            '--prompt-cache' = 'Go on from the state in this file, or keep that behind -f or a pipe in it'
            '--input-file' = 'A prompt in each line, as text or JSON; - is stdin'
            '-i' = 'A prompt in each line, as text or JSON; - is stdin'
            '--batch-size' = 'Rows at once (default: what suits the device and fits)'
            '-b' = 'Rows at once (default: what suits the device and fits)'
            '--resume' = 'Go on with --output: rows that are there are not done again'
            '--unordered' = 'Write each row as soon as it has ended'
            '--system' = 'The system prompt'
            '--system-file' = 'Read the system prompt from a file'
            '--chat-template' = 'A chat template (jinja) in place of the model''s own'
            '--tools' = 'Tools for the template: a JSON list'
            '--show-prompt' = 'Show on stderr what the model is given, special tokens included'
            '--hide-thinking' = 'Leave out what a model writes between <think> and </think>'
            '--json' = 'Write one JSON document instead of the text'
            '--echo' = 'Write the prompt before the answer'
            '--stream' = 'Write the text as it is made, or at the end'
            '--no-stream' = 'Write the text as it is made, or at the end'
            '--jsonl' = 'Write one JSON object a line: start, text …, end'
            '--return-ids' = 'Add prompt_ids and completion_ids to the JSON'
            '--output' = 'Write to a file; it appears whole, or stays as it was; rows are added'
            '-o' = 'Write to a file; it appears whole, or stays as it was; rows are added'
            '--extract' = 'Write the first fenced block of the answer only'
            '-x' = 'Write the first fenced block of the answer only'
            '--num-samples' = 'Answer N times, from one reading of the prompt'
            '--logprobs' = 'Add log-probabilities to the JSON, and K alternatives'
            '--speculate' = 'Look up to N tokens up, on a CPU; same answer, sooner if it copies (0: none)'
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--torch-dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which implementation of the fast operations to use'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded (falcon quantize writes them packed)'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--max-tokens' = 'Longest answer in tokens; -1: until the model ends'
            '--max-new-tokens' = 'Longest answer in tokens; -1: until the model ends'
            '--n-predict' = 'Longest answer in tokens; -1: until the model ends'
            '-n' = 'Longest answer in tokens; -1: until the model ends'
            '--temperature' = '0 takes the most likely token; more is freer'
            '--temp' = '0 takes the most likely token; more is freer'
            '--greedy' = 'The same as --temperature 0'
            '--top-k' = 'Keep the K most likely tokens (0: all)'
            '--top-p' = 'Keep the most likely tokens that sum to P (1: all)'
            '--min-p' = 'Keep tokens at least P times as likely as the best (0: all)'
            '--typical-p' = 'Keep the most typical tokens that sum to P (1: all)'
            '--repeat-penalty' = 'Make repeated tokens less likely (1: off)'
            '--repetition-penalty' = 'Make repeated tokens less likely (1: off)'
            '--repeat-last-n' = 'How many tokens back the penalties look (-1: everything)'
            '--presence-penalty' = 'Subtracted once from tokens that have occurred (0: off)'
            '--frequency-penalty' = 'Subtracted for each time a token has occurred (0: off)'
            '--seed' = 'Makes a sampled answer repeatable; random if not given'
            '-s' = 'Makes a sampled answer repeatable; random if not given'
            '--stop' = 'End the answer before this text; may be repeated'
            '--ignore-eos' = 'Go on when the model wants to end'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--stats' = 'Show counts and speeds on stderr at the end'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon help' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon perplexity' = [ordered]@{
            '--model' = 'Hugging Face id, local folder, demo or demo-h1'
            '--model-name-or-path' = 'Hugging Face id, local folder, demo or demo-h1'
            '-m' = 'Hugging Face id, local folder, demo or demo-h1'
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--torch-dtype' = 'Number format of the weights; auto is the checkpoint''s own'
            '--device' = 'Where to run'
            '--device-map' = 'Spread a large model over devices, host memory and disk'
            '--max-memory' = 'Limits for --device-map, such as cpu=2GiB,0=10GiB'
            '--kernels' = 'Which implementation of the fast operations to use'
            '--prefill-chunk' = 'Prompt tokens read at once (default: 512, on a GPU 4096)'
            '--quantize' = 'Pack the weights while they are loaded (falcon quantize writes them packed)'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--compute-dtype' = 'Number format of products with packed weights; auto is that of the model'
            '--ctx-size' = 'Tokens of a piece of the text (default: 512, or the base''s)'
            '-c' = 'Tokens of a piece of the text (default: 512, or the base''s)'
            '--chunks' = 'Score no more than the first N pieces'
            '--kl-divergence-base' = 'Write the log-probabilities of all tokens to a file'
            '--kl-divergence' = 'Compare with the file of --kl-divergence-base'
            '--json' = 'The result as one JSON document'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon quantize' = [ordered]@{
            '--revision' = 'Branch, tag or commit of a Hugging Face id'
            '--offline' = 'Use what is on this machine; never the network'
            '--type' = '4 bits (nf4, fp4) or 8 (int8) for each weight'
            '-t' = '4 bits (nf4, fp4) or 8 (int8) for each weight'
            '--double-quant' = 'Of 4 bits: pack the scales, too'
            '--no-double-quant' = 'Of 4 bits: pack the scales, too'
            '--block-size' = 'Of 4 bits: weights that share a scale'
            '--skip-modules' = 'Leave layers plain whose name ends so (* and ? as in a shell); may be repeated'
            '--quantize-head' = 'Pack lm_head, too'
            '--compute-dtype' = 'Number format in which others shall multiply; auto is that of the weights'
            '--device' = 'Where to pack'
            '--output' = 'The folder to write; it must not be there'
            '-o' = 'The folder to write; it must not be there'
            '--max-shard-size' = 'Of each file, such as 5GB'
            '--resume' = 'Go on where the same command was interrupted or killed'
            '--force' = 'Replace the checkpoint that is in DIR'
            '--dry-run' = 'Show what would become of each tensor; write nothing'
            '--verify' = 'Read DIR again and tell how far it is from MODEL on a text that comes along'
            '--verify-text' = 'Verify on this text (-: standard input)'
            '--json' = 'The result as one JSON document'
            '--quiet' = 'No notices and no progress'
            '-q' = 'No notices and no progress'
            '--no-progress' = 'No progress on stderr'
            '--color' = 'Colours; auto: on a terminal, unless NO_COLOR is set'
            '--log-file' = 'Add what happens, with times, to a file'
            '--debug' = 'Show the traceback of an error, and what libraries have to say'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions export' = [ordered]@{
            '--output' = 'The same as FILE'
            '-o' = 'The same as FILE'
            '--format' = 'The format, if the name of the file does not tell it'
            '--branch' = 'What ends at this branch, not at the head'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions list' = [ordered]@{
            '--json' = 'Write one JSON document instead of text'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions prune' = [ordered]@{
            '--budget' = 'How much may stay, such as 500MiB or 2GB; 4GiB by default, 0: nothing'
            '--json' = 'Write one JSON document instead of text'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions rename' = [ordered]@{
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions rm' = [ordered]@{
            '--yes' = 'Do not ask'
            '-y' = 'Do not ask'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
        'falcon sessions show' = [ordered]@{
            '--branch' = 'What ends at this branch, not at the head'
            '--json' = 'Write one JSON document instead of text'
            '--help' = 'Show this message and exit'
            '-h' = 'Show this message and exit'
        }
    }
    $values = @{
        'falcon bench --model' = @('demo', 'demo-h1')
        'falcon bench --model-name-or-path' = @('demo', 'demo-h1')
        'falcon bench -m' = @('demo', 'demo-h1')
        'falcon bench --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon bench --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon bench --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon bench --device-map' = @('auto')
        'falcon bench --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon bench --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon bench --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon bench --against' = @('transformers')
        'falcon bench --output' = @('md', 'csv', 'json', 'jsonl')
        'falcon bench -o' = @('md', 'csv', 'json', 'jsonl')
        'falcon bench --plot' = @('term', 'FILE.png')
        'falcon bench --color' = @('auto', 'always', 'never')
        'falcon cache-prompt --chat-template' = @('FILE', 'STR')
        'falcon cache-prompt --model' = @('demo', 'demo-h1')
        'falcon cache-prompt --model-name-or-path' = @('demo', 'demo-h1')
        'falcon cache-prompt -m' = @('demo', 'demo-h1')
        'falcon cache-prompt --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon cache-prompt --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon cache-prompt --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon cache-prompt --device-map' = @('auto')
        'falcon cache-prompt --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon cache-prompt --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon cache-prompt --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon cache-prompt --color' = @('auto', 'always', 'never')
        'falcon chat --model' = @('demo', 'demo-h1')
        'falcon chat --model-name-or-path' = @('demo', 'demo-h1')
        'falcon chat -m' = @('demo', 'demo-h1')
        'falcon chat --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon chat --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon chat --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon chat --device-map' = @('auto')
        'falcon chat --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon chat --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon chat --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon chat --chat-template' = @('FILE', 'STR')
        'falcon chat --color' = @('auto', 'always', 'never')
        'falcon doctor --model' = @('demo', 'demo-h1')
        'falcon doctor --model-name-or-path' = @('demo', 'demo-h1')
        'falcon doctor -m' = @('demo', 'demo-h1')
        'falcon doctor --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon doctor --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon doctor --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon doctor --device-map' = @('auto')
        'falcon doctor --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon doctor --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon doctor --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon doctor --color' = @('auto', 'always', 'never')
        'falcon generate --chat-template' = @('FILE', 'STR')
        'falcon generate --model' = @('demo', 'demo-h1')
        'falcon generate --model-name-or-path' = @('demo', 'demo-h1')
        'falcon generate -m' = @('demo', 'demo-h1')
        'falcon generate --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon generate --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon generate --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon generate --device-map' = @('auto')
        'falcon generate --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon generate --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon generate --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon generate --color' = @('auto', 'always', 'never')
        'falcon perplexity --model' = @('demo', 'demo-h1')
        'falcon perplexity --model-name-or-path' = @('demo', 'demo-h1')
        'falcon perplexity -m' = @('demo', 'demo-h1')
        'falcon perplexity --dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon perplexity --torch-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon perplexity --device' = @('auto', 'cuda', 'cpu', 'mps')
        'falcon perplexity --device-map' = @('auto')
        'falcon perplexity --kernels' = @('auto', 'triton', 'torch', 'compile', 'mamba-ssm')
        'falcon perplexity --quantize' = @('none', 'nf4', 'fp4', 'int8')
        'falcon perplexity --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon perplexity --color' = @('auto', 'always', 'never')
        'falcon quantize --type' = @('nf4', 'fp4', 'int8')
        'falcon quantize -t' = @('nf4', 'fp4', 'int8')
        'falcon quantize --compute-dtype' = @('auto', 'bfloat16', 'float16', 'float32')
        'falcon quantize --device' = @('auto', 'cuda', 'cpu')
        'falcon quantize --color' = @('auto', 'always', 'never')
        'falcon sessions export --format' = @('md', 'json', 'jsonl')
    }
    $arguments = @{
        'falcon bench 0' = @('demo', 'demo-h1')
        'falcon chat 0' = @('demo', 'demo-h1')
        'falcon completions 0' = @('bash', 'zsh', 'fish', 'powershell')
        'falcon doctor 0' = @('demo', 'demo-h1')
        'falcon help 0' = @('batch', 'bench', 'cache-prompt', 'chat', 'completions', 'config', 'doctor', 'environment', 'exit-codes', 'generate', 'help', 'models', 'perplexity', 'quantize', 'sampling', 'sessions')
        'falcon perplexity 0' = @('demo', 'demo-h1')
        'falcon quantize 0' = @('demo', 'demo-h1')
    }

    $path = 'falcon'
    $position = 0
    $before = ''
    $elements = $commandAst.CommandElements
    for ($index = 1; $index -lt $elements.Count; $index++) {
        $element = $elements[$index]
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $word = $element.Extent.Text
        if ($before -cin $valued) { $before = ''; continue }
        $before = $word
        if ($word.StartsWith('-')) { continue }
        if ($commands[$path] -and $commands[$path].ContainsKey($word)) { $path = "$path $word" } else { $position++ }
    }

    $candidates = [ordered]@{}
    if ($before -cin $valued) {
        foreach ($word in $values["$path $before"]) { if ($word) { $candidates[$word] = $word } }
    } elseif ($wordToComplete -match '^(--[a-z-]+)=') {
        foreach ($word in $values["$path $($Matches[1])"]) { if ($word) { $candidates["$($Matches[1])=$word"] = $word } }
    } elseif ($wordToComplete.StartsWith('-')) {
        foreach ($name in $options[$path].Keys) { $candidates[$name] = $options[$path][$name] }
    } else {
        if ($position -eq 0 -and $commands[$path]) {
            foreach ($name in $commands[$path].Keys) { $candidates[$name] = $commands[$path][$name] }
        }
        foreach ($word in $arguments["$path $position"]) { if ($word) { $candidates[$word] = $word } }
    }
    $candidates.GetEnumerator() | Where-Object { $_.Key.StartsWith($wordToComplete) } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_.Key, $_.Key, 'ParameterValue', $_.Value)
    }
}
