"""Topics: falcon itself, memory and speed, settings, installation."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "falcon",
        it="""
            falcon
            (this|the falcon|your|the) (tool|program|command|software|CLI|app|application)
            (the command|the program) falcon
            falcon-cli
        """,
        ask="""
            what (can|could) (I|one|people) do with (falcon|this tool|this program|it)?
            what does (falcon|this tool|this program|this command) do?
            what (is this|is this here|is this thing|have I installed|did I just install|program is this|am I using)?
            (why|for what) (would I|should I|do people) use falcon?
            what is (the purpose|the point|the job|the use) of (falcon|this tool|this software)?
            which models (does falcon run|can falcon run|work with falcon|does falcon support|are supported|can I run|
              does it support)?
            what (models|kinds of models) (does falcon|does this tool|can falcon) (run|support|load|work with|handle)?
        """,
        say="""
            falcon is a command-line tool to chat with and generate from FalconMamba and Falcon-H1 models.
        """,
    ),
    topic(
        "real",
        do="""
            (get|run|use|try|have|load|download|talk to|chat with|find|install|reach|switch to) a (real|better|proper|
              serious|smarter|cleverer|full|useful|more capable|grown-up|good|stronger|true) (model|one|assistant|AI|
              chatbot|LLM)
            (talk|chat) (to|with) (something|someone|somebody) (smarter|cleverer|better|more clever|bigger)
            (replace|exchange|swap|get rid of) (you|the demo|this demo|the demo model) [with|by|for] [a real model]
            (use|try|get) (something|one that is) (better|smarter|more useful|more clever) than (you|this|the demo|this
              demo)
            (run|try|use) Falcon-H1-0.5B [Instruct]
            get (better|real|good|serious|useful) answers
        """,
        it="""
            a (real|better|proper) model
        """,
        ask="""
            (where|how) (is|are|do I find|do I get) (the|a) (real|better|proper|good) (model|models|one)?
            which model should I (use|try|take) (instead|instead of you|first|for real work|for serious work|for a start)?
            (you are|this is) only a demo, (what|where) is the real (one|thing|model)?
            what (else|other model|should I use|model can I use) instead of (you|the demo|this one)?
        """,
        say="""
            Try a real model: `falcon chat tiiuae/Falcon-H1-0.5B-Instruct`.
        """,
    ),
    topic(
        "seven",
        do="""
            (get|run|use|try|have|load|download|chat with|talk to|start) (a|the) (larger|bigger|big|much larger|large|7B|
              largest|7 billion|much bigger|huge|instruct 7B) (model|one|FalconMamba|version)
            (get|run|use|try|load|download|chat with|talk to|start) (falcon-mamba-7b|falcon mamba 7b|the 7B|the 7B model|
              FalconMamba 7B|the seven billion model|FalconMamba-7B|the big FalconMamba)
        """,
        it="""
            falcon-mamba-7b-instruct
        """,
        ask="""
            (is there|do you have|have you got) (a|something) (larger|bigger|7B|big) (model|one|version)?
            I want (something bigger|the 7B|a larger one|the big one|more parameters)
            I have (plenty of memory|a big GPU|lots of memory|a large GPU), which model should I (run|take|use)?
            (which|what) command (runs|starts|loads) the (7B|large|larger|bigger|big) model?
        """,
        say="""
            Run `falcon chat tiiuae/falcon-mamba-7b-instruct`, a model of 7 billion parameters.
        """,
    ),
    topic(
        "quantize",
        do="""
            (shrink|compress|quantize|quantise|reduce|squeeze|make smaller|convert to 4-bit|convert to nf4) (a|the|my|
              this) (model|checkpoint|network|LLM|weights)
            (make|get|have) (a|the|my) model (smaller|fit|fit in memory|lighter|fit on my GPU|need less memory|take less
              memory|use less RAM|take less room|in 4-bit)
            (save|reduce|spare|need less|use less|cut|lower) (memory|RAM|the memory|the memory use|disk space|GPU memory|
              VRAM|the memory footprint) [of a model]
            (make|create|write|produce|get|build|store|save) a (4-bit|nf4|quantized|quantised|smaller|compressed|four
              bit) (model|version|copy|checkpoint) [of a model]
            (use|load|run) (a model in|the model in|) (4-bit|4 bit|four bits|nf4|less precision)
            (convert|turn|bring) (a|my|the) model (to|into) (4-bit|nf4|four bits|a smaller format|4 bits)
            (quantize|quantise)
        """,
        it="""
            [the] (falcon quantize|quantize) [command]
            (quantizing|quantization|quantisation|compressing|shrinking) [a model|of a model]
        """,
        ask="""
            (the|my) model is too (big|large|fat|heavy) for my (memory|RAM|GPU|laptop|machine|computer|card)(, what can I
              do|, can I shrink it|, how to make it smaller|)?
            (which|what) command (quantizes|shrinks|compresses) a model?
            does falcon (quantize|support quantization|do 4-bit|have quantization|support 4-bit)?
        """,
        say="""
            `falcon quantize MODEL -o DIR` writes it in 4-bit nf4, which saves memory.
            Use `falcon quantize MODEL -o DIR`; it makes a 4-bit nf4 model.
        """,
    ),
    topic(
        "nf4",
        it="""
            (nf4|NF4|the nf4 format|nf4 weights|normal float 4|the format nf4|4-bit nf4)
            (the|a) 4-bit (number format|format|number|data type)
        """,
        ask="""
            how (small|large|big) is (nf4|a weight in nf4|an nf4 weight)?
            how many bits (has|does|are in) (nf4|an nf4 weight|nf4 have|nf4 use)?
            what does nf4 stand for?
        """,
        say="""
            nf4 is a 4-bit number format for weights, a quarter of the size of bfloat16.
        """,
    ),
    topic(
        "quality",
        do="""
            (measure|check|verify|see|test|know) (what|how much) (quantizing|quantization|nf4|4-bit|shrinking) (costs|
              loses|costs in quality|harms)
            (measure|check|test|verify) (the quality|the loss|the quality loss|the accuracy) (of a quantized model|after
              quantizing|of quantization|of nf4)
        """,
        it="""
            [the] --verify [option|flag]
            the (loss|quality loss|loss of quality|damage|price) (of quantization|by quantizing|of nf4|in 4-bit|from 4-bit)
        """,
        ask="""
            (does|will|would) (quantizing|quantization|quantisation|4-bit|nf4|shrinking|compressing) (lose|cost|reduce|
              harm|hurt|damage|affect|worsen|degrade) [the] (quality|accuracy|precision|answers|the answers|model|
              intelligence)?
            (is|are) (a quantized model|4-bit models|nf4|a 4-bit model|the quantized one|quantized models) (worse|as good|
              less accurate|dumber|just as good|bad|poorer|still good)?
            how (bad|much worse|much dumber|good) is (a quantized model|4-bit|nf4|quantization|the 4-bit version)?
            how much (quality|accuracy) (do I lose|is lost|does it cost) (by quantizing|in 4-bit|with nf4|with
              quantization)?
            do I (lose|give up) (quality|anything|something|accuracy) (when I quantize|with quantization|with nf4|in 4-bit)?
            what (is|are) the (downside|drawback|disadvantage|cost|catch|price)(s|) of (quantizing|quantization|4-bit|nf4)?
        """,
        say="""
            A little quality is lost; `--verify` measures it.
        """,
    ),
    topic(
        "nf4memory",
        ask="""
            how much (memory|RAM|space|room|GPU memory|VRAM) (does|will|would|can|do) (nf4|4-bit|quantizing|quantization|
              I|a quantized model) (save|need|take|spare|use)?
            how much (memory|RAM|GPU memory|space|VRAM|room) (does|would|will) (a|the) (7B model|7B|model of 7 billion
              parameters|quantized 7B) (need|take|use|occupy|require) [in 4-bit|in nf4|quantized|after quantizing|when
              quantized]?
            how (large|big|small|many GB|many gigabytes) is (a|the) (quantized|4-bit|nf4) (7B|7B model|model)?
            (does|will|can) (a|the) (7B model|7B) fit (in|into|on) (8 GB|6 GB|16 GB|my GPU|12 GB|8 gigabytes) [quantized|
              in 4-bit|with nf4]?
            (how much smaller|by how much smaller|how many times smaller) (is|gets|becomes|will) (a|the) (quantized|4-bit|
              nf4) (model|version) [be]?
            (what|how much) do I (save|gain) (by quantizing|with 4-bit|with nf4|from quantization)?
            (memory|size) (of|needed for|requirement of|needs of) (a|the) (7B|7B model) [in 4-bit|in nf4|quantized]
            (memory savings|savings) (of|with|by) (nf4|quantization|4-bit)
        """,
        say="""
            nf4 takes about a quarter of bfloat16: a 7B model needs about 4 to 5 GB instead of 14 GB.
        """,
    ),
    topic(
        "bench",
        do="""
            (measure|test|time|benchmark|determine|find out|check|quantify|gauge|profile) (the speed|speed|how fast
              falcon is|how fast my machine is|performance|the performance|how fast it runs|the throughput|tokens per
              second|how quick a model is) [of a model|of my machine|here]
            (run|do|make|start|perform) a (benchmark|speed test|speed measurement|performance test)
            benchmark (a model|falcon|my machine|it|my GPU|the model|my CPU)
            (see|know|learn) how fast (a model|falcon|it|the model) (is|runs|writes) [on my machine|on my GPU|here]
        """,
        it="""
            [the] (falcon bench|bench) [command]
            (benchmarking|a benchmark|the benchmark|benchmarks|a speed test)
        """,
        ask="""
            (which|what) command (measures|tests|benchmarks|shows) (speed|the speed|performance|throughput)?
            how fast is (falcon|a model|it|this) (on my machine|here|on my GPU|on this computer)?
        """,
        say="""
            `falcon bench` measures the speed.
            Use `falcon bench` to measure speed.
        """,
    ),
    topic(
        "benchshows",
        ask="""
            what (does|will|can|would) (falcon bench|bench|the benchmark|the bench command|a benchmark) (show|print|
              report|measure|tell me|output|list|display|give me)?
            (which|what) (figures|numbers|values|metrics|quantities|results|things|data) (does|will|do) (falcon bench|
              bench|the benchmark|the bench command) (show|print|report|measure|give)?
            what (figures|numbers|metrics|results) (come|comes|do I get|do I see) (out of|from|in) (falcon bench|bench|
              the benchmark|a benchmark)?
            what is (in|shown in|part of) the (output|report|table|result) of (falcon bench|bench|the benchmark)?
            (output|report|metrics|figures|results) of (falcon bench|bench)
            how do I read (the output|the result|the table|the numbers) of (falcon bench|bench)?
            what do the (figures|numbers) of (falcon bench|bench|the benchmark) (mean|tell me|say)?
        """,
        say="""
            It shows tokens per second, the time to first token, memory, and the share of the machine's limit.
        """,
    ),
    topic(
        "against",
        do="""
            (compare|benchmark|measure) (falcon|it|the speed|the speed of falcon|this tool|performance) (with|to|against)
              (transformers|the transformers library|Hugging Face transformers|the transformers package|HF transformers)
            (see|know|find out|check|measure) (whether|if|how much) falcon is (faster|slower|quicker) than (transformers|
              the transformers library|Hugging Face transformers)
        """,
        it="""
            [the] --against [option|flag]
            (a|the) comparison with transformers
        """,
        ask="""
            is (falcon|it|this tool) (faster|slower|quicker|better) than (transformers|Hugging Face transformers|the
              transformers library|HF)?
            how (does|fast is) (falcon|it) (compare|compared) (to|with|against) (transformers|Hugging Face)?
            falcon (vs|versus|or) transformers[, which is faster]?
        """,
        say="""
            `falcon bench --against transformers` compares the two.
        """,
    ),
    topic(
        "doctor",
        do="""
            (check|test|verify|examine|inspect|diagnose|validate) (the|my|an|this) (installation|setup|install|
              environment|falcon installation|set-up)
            (find out|see|know|learn|understand|check) why (it|falcon|something|a model|my model|everything|generation)
              is (slow|so slow|slower than expected|not fast)
            (find out|see|know|check) (which|what) (kernels|kernel) (run|are used|are running|is used|are active|are in use)
            (see|check|know) (if|whether) (the GPU is used|my GPU is used|falcon is installed correctly|everything is all
              right|the fast kernels run|everything works|my installation is fine)
            diagnose (a problem|problems|falcon|what is wrong|slowness)
        """,
        it="""
            [the] (falcon doctor|doctor) [command]
            kernels [in use]
        """,
        ask="""
            why is (it|falcon|something|this|my model|everything|the model|generation) (slow|so slow|slower than it
              should be|crawling|taking so long)?
            (which|what) kernels (run|are running|are used|are in use|does falcon use)?
            is (my|the) (installation|setup|install) (ok|fine|correct|complete|working|broken|healthy)?
            (it|falcon|generation) is (very|too|so|awfully|terribly) slow(, what is wrong|, why|, what can I check|)
            (which|what) command checks the (installation|setup)?
            (is|are) (my GPU|the fast kernels|the GPU|my graphics card) (really|actually|) (used|in use|active)?
        """,
        say="""
            `falcon doctor` tells: it checks the installation, the kernels that run, and why something is slow.
            Run `falcon doctor`; it shows which kernels run and what makes things slow.
        """,
    ),
    topic(
        "config",
        do="""
            (see|show|list|view|print|display|check|inspect|find|look at) (the|all|my|the current|falcon's|all the)
              (settings|configuration|config|defaults|options that are set|preferences|config file|configuration file)
            (find out|know|see) where (a setting|a value|my settings|the settings|the config file|a default) (comes from|
              come from|is|are|is stored|are stored|lives)
            (store|save|keep|set|make|change) (a default|my defaults|defaults|my settings|a setting|settings|preferences)
              [permanently|for good|for all calls|in a file]
            configure falcon
        """,
        it="""
            [the] (falcon config show|falcon config|config show) [command]
            (config.toml|the config file|the configuration file|the settings|settings|configuration)
            (the order|precedence|priority) of (settings|flags and variables|flags, variables and config.toml)
        """,
        ask="""
            where (are|is|does falcon keep|do I find|can I find|lives) (my|the|its|falcon's) (settings|configuration|
              config|config file|preferences)?
            (what|which) wins, (a flag or a variable|flags or variables|the config file or a flag|config.toml or a flag|a
              variable or the config file)?
            (do|does) (flags|a flag|the command line|a variable|an environment variable) (win over|override|beat|take
              precedence over|go before) (the config file|config.toml|variables|settings)?
            (which|what) settings are (in force|active|used|set|in effect)?
        """,
        say="""
            `falcon config show` shows the settings; flags win over variables, and variables over config.toml.
        """,
    ),
    topic(
        "completion",
        do="""
            (get|enable|install|set up|have|turn on|use|activate|configure|add|switch on) (shell|tab|bash|zsh|fish|
              powershell|command|command-line|) (completion|completions|autocompletion|auto-completion|autocomplete)
            (complete|finish) (commands|options|falcon commands) (with|by) (tab|the tab key|pressing tab)
            make (the tab key|tab|my shell) (work|complete commands|complete falcon)
        """,
        it="""
            [the] (falcon completions|completions) [command]
            (shell|tab|bash|zsh|fish) (completion|completions)
        """,
        ask="""
            does (falcon|it) (have|support|offer|come with|bring) (completion|shell completion|tab completion|
              autocompletion|completions) [for bash|for zsh|for fish]?
            (completion|completions) (for|in) (bash|zsh|fish|powershell|my shell)?
            why does (tab|the tab key) not (work|complete|complete options)?
        """,
        say="""
            `falcon completions bash` prints the script for your shell; zsh, fish and powershell work, too.
        """,
    ),
    topic(
        "help",
        do="""
            (get|find|read|see|show|open|obtain) [some] (help|documentation|the manual|the docs|instructions|more help|
              explanations) [on a topic|for a command|about a command|about an option|on a subject|outside the chat|on
              the command line]
            (read|learn|find out|see) (about|what options has|which options has) (a command|a topic|the options of a
              command|all the options)
            (see|list|find) (the|all) (options|flags) of (a|the) command
            read about a topic
        """,
        it="""
            [the] falcon help [command]
            [the] --help [option|flag]
            (help topics|the help pages|the help system)
        """,
        ask="""
            where (is|do I find|can I find) (help|the help|the documentation|the manual|documentation|more information|
              more help)?
            (is there|do you have) (a manual|help|documentation|a help page|a guide|a handbook)?
            what options (does|has) (a command|a command have|this command have|falcon generate have)?
        """,
        say="""
            `falcon help` and a topic explains it; `--help` behind a command lists its options.
        """,
    ),
    topic(
        "exitcodes",
        do="""
            (see|know|find|read|list|look up|understand|get) (the|all|all the|falcon's) exit codes
            (find out|know|look up) what an exit code means
        """,
        it="""
            [the] (exit codes|exit code|return codes|exit status|exit statuses|return code|return value) [of falcon]
            falcon help exit-codes
            exit code (0|zero)
        """,
        ask="""
            (which|what) (exit codes|return codes) (are there|exist|does falcon have|does falcon use|does it return)?
            what (exit code|return code|does falcon return|exit status) (means|stands for|is|signals|on) success?
            how does (a|my) script (know|see|find out|tell) (if|whether) falcon (worked|failed|succeeded)?
        """,
        say="""
            `falcon help exit-codes` lists the exit codes; 0 is success.
        """,
    ),
    topic(
        "offline",
        do="""
            (work|run|use|use falcon|run falcon|chat|operate|use it) (without|with no) (a network|internet|an internet
              connection|the internet|a connection|network|network access|wifi|the web|going online)
            (work|run|use falcon|be|go|stay|use it|chat) offline
            (use|run) falcon (on a plane|on a train|in a tunnel|without wifi|in a closed network|in an air-gapped network)
            (forbid|prevent|stop|block|avoid|switch off) (downloads|downloading|network access|falcon from going online|
              network use|any download)
        """,
        it="""
            [the] --offline [option|flag]
            (offline mode|offline use|working offline)
        """,
        ask="""
            (does|will|can) (falcon|it|this) (work|run|function) (offline|without internet|without a network|without a
              connection)?
            do I need (the internet|a network|internet|a connection|to be online|wifi) [for this|to run falcon|to chat]?
            (is|must) (internet|a network|a connection) [be] (needed|required|necessary|there)?
            I have no (internet|network|connection|wifi), (can I use falcon|what now|does it work|what can I do)?
        """,
        say="""
            `--offline` works without a network; the models must be downloaded before.
        """,
    ),
    topic(
        "cache",
        do="""
            (find|see|move|locate|change|choose|delete|look at|set|clean up) (the folder of|where falcon keeps|the place
              of|where it stores|the location of|) [the] (downloaded models|models|model files|the cache|model cache|
              downloads|weights)
            (store|keep|put|have|save|place) (the|my|downloaded) (models|model files|downloads|weights) (elsewhere|on
              another disk|in another folder|somewhere else|on an external drive|on a different drive)
        """,
        it="""
            (HF_HOME|the Hugging Face cache|the model cache|the cache folder|the download folder|the cache)
        """,
        ask="""
            where (are|does falcon keep|does falcon store|does it put|do you keep|does falcon save|go|do I find|can I
              find|lie) (the|downloaded|my|all|the downloaded) (models|model files|weights|downloads|model)?
            (in which|what|which) (folder|directory|place) (are|holds|contains|has) (the|my|downloaded) (models|weights|
              files|downloads)?
            where do downloaded (models|files|weights) go?
            where on (my|the) disk (are|do) (the|my) models [live|lie|sit]?
        """,
        say="""
            Models are kept in the Hugging Face cache; `HF_HOME` says where it is.
        """,
    ),
    topic(
        "device",
        do="""
            (choose|select|pick|set|force|say|decide|switch|change|specify) (the device|the CPU|the GPU|CPU or GPU|
              between CPU and GPU|where it runs|where the model runs|which device is used|the processor)
            (run|use|execute|compute|work|load|put|start) (it|falcon|the model|a model|everything) on (the CPU|the GPU|my
              GPU|a GPU|cuda|my graphics card|the graphics card|the processor|CPU only|my CPU)
            (force|make) (falcon|it|the model) (to|) use (the GPU|the CPU|my GPU|cuda|the graphics card)
            (use|employ|exploit|take) (the|my) (GPU|graphics card|CPU|video card)
            not use the GPU
        """,
        it="""
            [the] --device [cuda|cpu] [option|flag]
            the device option
        """,
        ask="""
            (which|what) option (chooses|selects|sets|picks) the (device|GPU|CPU)?
            CPU or GPU(, how do I choose|, where do I say so|)?
        """,
        say="""
            `--device cpu` or `--device cuda` chooses where it runs.
        """,
    ),
    topic(
        "devicemap",
        do="""
            (use|employ|take|run on|work with|spread a model over|split a model over|load a model on|distribute a model
              over|share a model between) (several|two|many|multiple|more than one|all my|both|all|four) (GPUs|graphics
              cards|devices|cards)
            (run|load|use|fit) a model (that is too large|too large|too big|larger than|that does not fit) (for one GPU|
              for my GPU|on one GPU|for one card|for a single GPU|my GPU)
            (spread|split|distribute|divide|shard) (a|the) model [over GPUs|across devices|between GPU and CPU|across
              GPUs|over several devices]
            (offload|put) (a part|parts|some layers|layers) of the model (to|on|onto|in) (the CPU|main memory|disk|the
              host|RAM)
        """,
        it="""
            [the] --device-map [auto] [option|flag]
            (multi-GPU|multiple GPUs|several GPUs) [support]
            offloading
        """,
        ask="""
            does (falcon|it) (support|use|work with|run on|handle) (several|multiple|two|many|more than one) (GPUs|GPU|
              graphics cards)?
            (my|the) model (does not fit on|is too large for|is too big for|does not fit into) (one|a single|one single)
              (GPU|card)
            I have (two|four|several|2|4|eight) GPUs[, how do I use them|, can falcon use them]
        """,
        say="""
            `--device-map auto` spreads a model over several GPUs, or what is too large for one.
        """,
    ),
    topic(
        "dtype",
        do="""
            (choose|select|set|change|pick|specify) (the|a|another) (number format|data type|dtype|precision|numeric
              format|type of the weights|floating point format|type)
            (run|load|use|compute|work) [a model|the model|falcon] (in|with) (float32|bfloat16|full precision|half
              precision|higher precision|32 bits|16 bits|another number format)
            (use|get|have) (more|higher|less|full|half) precision
        """,
        it="""
            [the] --dtype [option|flag]
            (the dtype|the dtype option)
        """,
        ask="""
            (which|what) option (sets|chooses|selects|changes) the (number format|precision|dtype|data type)?
            (which|what) (number formats|precisions|dtypes|data types) (are there|can I use|does falcon support|are
              supported)?
        """,
        say="""
            `--dtype bfloat16` or `--dtype float32` sets the number format.
        """,
    ),
    topic(
        "install",
        do="""
            (install|set up|get) (falcon|falcon-cli|this tool|this|the tool|this program|it)
            (install|set up) (it|falcon) on (another machine|my laptop|a server|Linux|a Mac|Windows|my computer|my
              friend's computer)
        """,
        it="""
            (the installation|installing|installing falcon|installation of falcon)
        """,
        ask="""
            (do|must|does) (I|one|it) (need|have) (to compile|a compiler|to be compiled|to build|to build) [anything|
              something|it|kernels]?
            (is|does) (compiling|a compiler|CUDA toolkit|a build) (needed|required|necessary)?
            what (does it take|is needed|do I need) to install (falcon|it|this)?
            (do|must) I compile (kernels|something|anything|CUDA code|falcon)?
        """,
        say="""
            Install it with `pip install`; there is nothing to compile.
        """,
    ),
    topic(
        "gpu",
        do="""
            (use|run) (falcon|it|this) without a (GPU|graphics card|video card)
            (run|use) (falcon|it) on (a machine without a GPU|a plain laptop|an old laptop)
        """,
        ask="""
            (do|does|must|will) (I|falcon|it|one|this|we) (need|require|have|have to have) a (GPU|graphics card|video
              card|GPU for this|GPU for falcon|big graphics card)?
            is a (GPU|graphics card) (needed|required|necessary|a must|mandatory)?
            (does|will|can) (falcon|it|this) (run|work) (on a CPU|without a GPU|on a laptop|on a CPU only|without a
              graphics card|on my CPU|on a plain processor|on a machine without GPU)?
            I have no (GPU|graphics card), (can I use it|does it work|is that a problem|what now)?
            can a (laptop|CPU|computer without a GPU) run (this|falcon|it|a model)?
            no GPU(, is that ok|, does it work|)?
        """,
        say="""
            No, a GPU is not needed: falcon runs on a CPU, too; a GPU is faster.
        """,
    ),
    topic(
        "unsupported",
        do="""
            (use|load|apply|train|merge|run|add) (a LoRA|LoRA|a LoRA adapter|adapters|LoRA adapters|a GGUF file|GGUF|GGUF
              files|GGUF models|a GGUF model|lora weights)
            (show|send|give|upload|attach|use|describe|draw|generate|make|create) (an image|a picture|images|a photo|
              pictures|photos) [to the model|with falcon]
            (convert|export) (a model|it) (to|from) GGUF
            (load|open|run) a (.gguf|gguf|llama.cpp) file
        """,
        it="""
            (LoRA|GGUF|lora|gguf) [support|files|adapters]
            image (support|input|generation)
        """,
        ask="""
            does (falcon|it|this tool|the tool) (support|know|read|load|handle|understand|accept|take|work with|do) (LoRA|
              GGUF|images|pictures|GGUF files|LoRA adapters|image input|photos|gguf models)?
            (is|are) (LoRA|GGUF|images|pictures|LoRA adapters|GGUF files|photos) (supported|possible|allowed)?
            can (falcon|it|you|the model) (see|read|draw|paint|make|generate|look at) (images|pictures|a picture|an image|
              photos)?
            what about (LoRA|GGUF|images)?
        """,
        say="""
            LoRA, GGUF and images are not supported.
        """,
    ),
    topic(
        "licence",
        it="""
            (the|your|falcon's|its) (licence|license|copyright|terms of use)
            Apache 2.0
        """,
        ask="""
            (under which|what|which) (licence|license) (is|does|has|do|covers) (falcon|it|this|this tool|the tool|the
              code) [have|under|published under|use|released under]?
            is (falcon|it|this|this tool|the code) (open source|free|free software|free to use|open|proprietary|free of
              charge)?
            (may|can) I use (it|falcon|this tool) (commercially|at work|in my company|for free|in a product|for business|
              in a commercial product)?
            (may|can|am I allowed to) I (change|modify|copy|share|redistribute|sell) (falcon|it|the code|the source)?
            how is (falcon|it) licensed?
        """,
        say="""
            falcon is under the Apache 2.0 licence.
        """,
    ),
    topic(
        "debug",
        do="""
            (see|get|show|print|have|view|find) (the|a|the full|the whole|more of the) (traceback|stack trace|details of
              an error|details|backtrace|stacktrace|error details|call stack) [of an error|of a failure|of a crash]
            (report|file|send|submit|document) a (bug|problem|crash|defect|bug report)
            (debug|investigate) (falcon|a problem|an error|a crash|a failure)
            (know|see|learn) more about an error
        """,
        it="""
            [the] --debug [option|flag]
            (debug mode|a traceback|a bug report|debugging)
        """,
        ask="""
            I found a bug(, what now|, how do I report it|, where do I report it|)
            (which|what) option (shows|prints|gives) (the traceback|a traceback|more details|details of an error)?
            falcon (crashed|crashes|broke)(, what should I send|, how do I report it|, how do I see why|, how do I get a
              traceback)?
            where (can|do) I (report|file) (bugs|a bug|problems|an issue)?
        """,
        say="""
            `--debug` shows the traceback of an error; send it along when you report a bug.
        """,
    ),
)
