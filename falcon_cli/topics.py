"""What `falcon help TOPIC` tells. Where a text lists something the program knows, it is made from what the program knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falcon_cli.exit import ExitCode
from falcon_cli.options import settings


@dataclass(frozen=True, slots=True)
class Topic:
    """A line for the list of topics, and the text itself."""

    summary: str
    text: Callable[[], str]


def exit_codes() -> str:
    """The table of exit codes."""
    rows = "\n".join(f"  {int(code):>3}  {code.meaning}" for code in ExitCode)
    return f"""\
Every command ends with one of these exit codes:

{rows}

An error is two lines on stderr: what went wrong, and a hint what to do next.
--debug (or FALCON_DEBUG=1) adds the traceback.
"""


def environment() -> str:
    """Which variables and files falcon reads."""
    width = max(len(setting.variable) for setting in settings().values())
    variables = "\n".join(f"  {setting.variable:<{width}}  --{setting.key}" for setting in settings().values())
    return f"""\
A flag wins over a variable, that over config.toml, and that over the default.
`falcon config show` tells each value in force and where it comes from;
`falcon config path` tells where config.toml is. Its keys are the long options:

  model = "tiiuae/Falcon-H1-0.5B-Instruct"
  max-tokens = 200
  stop = ["###"]

A variable for each setting (an empty one counts as not set):

{variables}

  FALCON_HOME      a folder for config.toml and all that falcon writes

From other programs:

  HF_HOME          where models are kept: the cache of Hugging Face
  HF_TOKEN         who you are to Hugging Face, for gated models
  HF_HUB_OFFLINE   1: no network, like --offline
  NO_COLOR         no colours, as with TERM=dumb
  FORCE_COLOR      colours in pipes, too
  OMP_NUM_THREADS  threads on a CPU; by default one for each physical core
"""


MODELS = """\
MODEL is one of:

  tiiuae/Falcon-H1-0.5B-Instruct   an id on Hugging Face, downloaded once
  ./my-checkpoint                  a local folder in Hugging Face format
  demo, demo-h1                    embedded: tiny, for a first look

What runs: model_type falcon_mamba (falcon-mamba-7b, Falcon3-Mamba-7B) and
falcon_h1 (0.5B to 34B), with weights in safetensors. `-m MODEL` chooses one for
a call; `model = "…"` in config.toml or FALCON_MODEL for all calls.

  --revision REV   a branch, tag or commit of a Hugging Face id
  --offline        use what has been downloaded, and never the network
  --dtype D        bfloat16 or float32; auto is the checkpoint's own
  --device D       cuda, cuda:1, cpu or mps; auto takes the best there is
  --device-map auto --max-memory 0=10GiB,cpu=20GiB
                   spread a model that one device cannot hold

  --quantize nf4   pack the weights in 4 bits while they are loaded (fp4, int8);
                   `falcon quantize` writes them packed, once for all

Models are kept in the cache of Hugging Face (HF_HOME); a gated one needs your
token (HF_TOKEN, or `hf auth login`). Rule of thumb for memory: two bytes for
each parameter in bfloat16, so 14 GB for 7B.

Not offered: LoRA adapters, GGUF files, images.
"""

SAMPLING = """\
Each token is drawn from the model's distribution after, in this order:

  --repeat-penalty X      makes tokens that occurred less likely (1: off)
  --presence-penalty X    subtracted once from tokens that occurred (0: off)
  --frequency-penalty X   subtracted for each time a token occurred (0: off)
  --temperature T         below 1 surer, above 1 freer; 0: always the likeliest
  --top-k K               keep the K likeliest (0: all)
  --top-p P               keep the likeliest that sum to P (1: all)
  --min-p P               keep those at least P times as likely as the best
  --typical-p P           keep the most typical that sum to P (1: all)

--repeat-last-n N says how far back the penalties look (-1: everything).
What you do not give comes from the checkpoint's generation_config.json; where
that says greedy, asking for any of the filters turns sampling on. --greedy is
--temperature 0; penalties hold there, too.

--seed N makes an answer repeatable: each draw depends on the seed and the
position alone. Without it the seed is random, and --json tells it.

An answer ends when the model ends it, at a --stop text (which is not part of
the answer), or after --max-tokens N (1024; -1: no limit). --ignore-eos goes on
when the model wants to end.

With --json-schema, --json-schema-file or --regex only tokens that keep to the
form are drawn, after penalties and before all filters; the answer may end only
where the form does. What --max-tokens cuts off is the beginning of it: the
finish reason is "length", and a note says so. --logprobs are the model's own.
"""

SESSIONS = """\
A model remembers what it has read in a state: of fixed size for FalconMamba,
with a small cache that grows beside it for Falcon-H1. falcon carries this state
through a conversation, so that a new turn reads its own tokens only, however
long the conversation is. --stats shows it: `reused tokens` were in the state,
`prompt eval count` was read anew.

The state is the record of one exact sequence of tokens. A reply is kept as the
tokens that were drawn and is never encoded again. Where a chat template
rewrites what came before (some drop earlier thinking), what changed is read
again, and nothing else.

A chat on a terminal is kept, each answer as soon as it is there, under the name
of the day or one of yours. What was undone or drawn anew stays as a branch.

  falcon chat -c                 go on with the last conversation
  falcon chat --session NAME     with this one, or begin it
  falcon chat --no-save          keep nothing
  falcon sessions list           what is kept; show, export, rm, rename, prune
  /tree /goto /branch            in the chat: all turns, and the way to each

The text is the truth. The state beside it is a cache: one that is damaged, or
of another model, is refused with a sentence, and the text is read again.

Nothing is cut off silently. FalconMamba has no window; Falcon-H1 has a number
of positions, and at its end you get an error with the counts.
"""

BATCH = """\
falcon generate -i prompts.jsonl -o answers.jsonl answers a file of prompts, a
row at a time as slots get free. A line of the input is one of

  {"id": "a", "prompt": "…"}                    by the chat template, if any
  {"id": "b", "messages": [{"role": "user", "content": "…"}], "seed": 7}
  {"custom_id": "c", "body": {"messages": […], "max_tokens": 50}}
  any text: in a .txt file, or where the first line is no JSON object

The third is a row of OpenAI's batches.

A row may set max_tokens, temperature, top_k, top_p, min_p, typical_p,
repeat_penalty, repeat_last_n, presence_penalty, frequency_penalty, seed, stop,
ignore_eos, n, logprobs and tools for itself, and the form of its answer: regex,
json_schema or OpenAI's response_format. A name that is nearly one of these is
an error. A row without an id has the number of its line. `-i -` is a pipe.

A line of the output is {"id", "text", "finish_reason", …} or {"id", "error"}.
Rows of OpenAI's are answered in its shape, with the prompt of a completion fed
as it stands. The exit code is 1 if a row has an error, 0 otherwise.

  --batch-size N   rows at once; by default what suits the device and its memory
  --num-samples N  answers to each row, or "n" in a row, at most 1024; "best" is
                   the one with the highest mean log-probability
  --seed N         each row draws by a seed of its own, made of N and its id: it
                   does not depend on the other rows, and the output tells it
  --unordered      rows are written as they end. By default in the order of the
                   input: what is early waits, in at most 64 MiB
  --resume         rows that stand in --output are not done again, whatever has
                   become of the process that wrote them. To do one again, one
                   with an error, say, remove its line. Ids should differ

Rows are added to --output one by one, whole, and are on the disk in a second.
Ctrl-C keeps those: all rows up to some place, or with --unordered all that have
ended.

A long document in front of all questions is read once:

  falcon cache-prompt -f doc.txt -o doc.fstate
  falcon generate --prompt-cache doc.fstate "What does it say about …?"
  falcon generate --prompt-cache doc.fstate -i questions.txt -o answers.jsonl
"""

TOPICS = {
    "batch": Topic("A file of prompts, and a document that is read once.", lambda: BATCH),
    "environment": Topic("Variables, config.toml, and which of them wins.", environment),
    "exit-codes": Topic("How a command says to its caller what became of it.", exit_codes),
    "models": Topic("Which models run, how to name them, and where they are kept.", lambda: MODELS),
    "sampling": Topic("How the next token is drawn, and when an answer ends.", lambda: SAMPLING),
    "sessions": Topic("How a conversation is carried from turn to turn.", lambda: SESSIONS),
}
