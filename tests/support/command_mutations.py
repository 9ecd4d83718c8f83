"""Command lines that work, and the same with one thing wrong: each runs in a process of its own, forked from this one.

``python tests/support/command_mutations.py 300 0`` runs 300 of them, drawn with seed 0, and prints those that the
command answers wrongly.
"""

import io
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ganzoo.cli import main
from ganzoo.cli.arguments import parser as evaluate_parser
from ganzoo.cli.merge import parameters
from ganzoo.cli.parser import import_classes

CPU_SECONDS = 20  # that a case may take
MEMORY = 12 * 2**30  # bytes of address space
VALUES = (
    "-1", "0", "nan", ".nan", "inf", "-.inf", "1e12", "1000000000000", "99999999999999999999999", "1.5", "-0.5", "null", "",
    "x", "true", "[]", "[1, 2]", "{a: 1}", "[x, {y: null}]", "ganzoo.GAN", "../nowhere",
)  # fmt: skip
NEVER = ("nan", ".nan", "inf", "-.inf", "1e12", "99999999999999999999999")  # the first four are no number of any option
QUIET = "--trainer.accelerator cpu --trainer.enable_model_summary false --trainer.enable_progress_bar false"
# an epoch as well: --trainer.max_steps -1 is no mistake, and would train for a thousand
LIMITS = "--trainer.max_steps 1 --trainer.max_epochs 1 --trainer.limit_val_batches 1"
SHORT = f"{QUIET} {LIMITS} --trainer.num_sanity_val_steps 0"
ADAM = "{class_path: torch.optim.Adam, init_args: {lr: 1e-3}}"
STEP = "[{class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 3}}]"
BASES = {
    "GAN": f"fit --model GAN --model.shape [1,8,8] --model.hidden 8 --data Digits --data.batch_size 64 {SHORT}",
    "GAN recipes": f"fit --config gan_digits --model.hidden 8 {SHORT} --model.schedules.generator '{STEP}'",
    "CGAN": f"fit --config cgan_digits {SHORT}",
    "DCGAN": f"fit --model DCGAN --model.shape [3,16,16] --model.width 4 --data ImageFolder --data.root a --data.size 16 "
    f"--data.batch_size 4 {SHORT}",
    "Pix2Pix": f"fit --model Pix2Pix --model.depth 5 --model.width 4 --model.patch 16 --data PairedImages --data.root pairs "
    f"--data.size 32 --data.load_size 32 {SHORT}",
    "CycleGAN": f"fit --model CycleGAN --model.blocks 1 --model.width 4 --model.patch 16 --data UnpairedImages --data.root "
    f"a --data.root_b b --data.size 32 --data.load_size 32 {SHORT}",
    "LAPGAN": f"fit --model LAPGAN --model.shape [1,8,8] --model.sizes [4,8] --model.width 4 --model.hidden_G 8 "
    f"--model.hidden_D 8 --data Digits {SHORT}",
    "DANN": f"fit --model DANN --model.shape [3,28,28] --model.classes 2 --data Domains --data.source DomainFolder "
    f"--data.source.root labelled --data.target DomainFolder --data.target.root a --data.size 28 --data.batch_size 4 "
    f"{SHORT}",
    "validate": f"validate --config gan_digits --model.hidden 8 --ckpt_path last.ckpt {QUIET} --trainer.limit_val_batches 1",
    "evaluate": "evaluate last.ckpt --config gan_digits --metrics parzen --n 50",
    "classifier": "classifier --data Digits --out c.pt --epochs 1",
}
CALLBACKS = ("Checkpoints", "Health", "SampleGrid", "Progress", "Quality", "NearestNeighbours", "Compile", "EarlyStopping")
TRAINER = [name for name in parameters("lightning.pytorch.Trainer") if name not in ("callbacks", "logger", "plugins")]
RECIPES = {"torch.optim.Adam": ("lr", "betas", "eps", "weight_decay", "amsgrad"), "torch.optim.SGD": ("lr", "momentum")}


@dataclass
class Case:
    """A command line with one thing wrong.

    Attributes:
        name: of the base, and what is wrong.
        args: of the command.
        files: that it reads, by name.
        refused: whether exit code 0 would be wrong.
    """

    name: str
    args: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    refused: bool = False


@dataclass
class Answer:
    """What the command answered; ``wrong`` is empty where it answered rightly."""

    code: int
    error: str
    seconds: float
    wrong: str


def cases() -> list[Case]:
    """All of them."""
    return [*_values(), *_recipes(), *_callbacks(), *_names(), *_configs()]


def draw(n: int, seed: int) -> list[Case]:
    """So many of them, the same for the same seed."""
    everything = cases()
    return random.Random(seed).sample(everything, min(n, len(everything)))


def answers(n: int, seed: int, folder: Path) -> list[tuple[Case, Answer]]:
    """So many cases, and what the command answers to each.

    In a fresh process: what it forks trains, and torch refuses that in a fork of a process that has run a compiled
    network's backward pass ("Unable to handle autograd's threading in combination with fork-based multiprocessing").

    Args:
        n: how many.
        seed: for the choice.
        folder: an empty one.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_answers, n, seed, folder).result()


def _answers(n: int, seed: int, folder: Path) -> list[tuple[Case, Answer]]:
    home = folder / "home"
    make_home(home)
    return [(case, run(case, home)) for case in draw(n, seed)]


def run(case: Case, home: Path) -> Answer:
    """Runs a case in a fork of this process, in a copy of a folder.

    Args:
        case: to run.
        home: made by :func:`make_home`.
    """
    where = Path(tempfile.mkdtemp(dir=home.parent))
    began = time.monotonic()
    for entry in home.iterdir():
        (where / entry.name).symlink_to(entry)
    for name, content in case.files.items():
        (where / name).write_bytes(content)
    child = os.fork()
    if child == 0:
        _run_here(case.args, where)
    usage = os.wait4(child, 0)
    code, used = os.waitstatus_to_exitcode(usage[1]), usage[2].ru_utime + usage[2].ru_stime
    text = (where / "error").read_text(errors="replace") if (where / "error").exists() else ""
    shutil.rmtree(where)
    lines = [line for line in text.splitlines() if "error" in line.lower() and line.startswith("ganzoo: error")]
    wrong = ""
    if code == -signal.SIGXCPU or code == -signal.SIGALRM:
        wrong = f"hangs ({used:.0f} s)"
    elif "Traceback" in text or code not in (0, 2):
        wrong = f"exit {code}: {text.strip().splitlines()[-1] if text.strip() else ''}"
    elif code == 2 and (len(lines) != 1 or len(lines[0]) > 600 or text.rstrip().splitlines()[-1] != lines[0]):
        wrong = f"exit 2 without its one line: {text[-300:]}"
    elif code == 0 and case.refused:
        wrong = "exit 0 for nonsense"
    return Answer(code, lines[0] if lines else text[-300:], time.monotonic() - began, wrong)


def make_home(home: Path) -> None:
    """Makes a folder with images and a checkpoint."""
    from PIL import Image

    rng = random.Random(0)
    for name, n, size in (("a", 8, (32, 32)), ("b", 8, (32, 32)), ("pairs/train", 4, (64, 32)), ("pairs/val", 2, (64, 32)),
                          ("labelled/one", 4, (32, 32)), ("labelled/two", 4, (32, 32))):  # fmt: skip
        (home / name).mkdir(parents=True)
        for i in range(n):
            pixels = bytes(rng.randrange(256) for _ in range(3 * 8 * 8))
            Image.frombytes("RGB", (8, 8), pixels).resize(size).save(home / name / f"{i}.png")
    torch.set_num_threads(1)
    child = os.fork()
    if child == 0:
        _run_here([*_split(BASES["GAN recipes"]), "--run_dir", "run"], home, limited=False)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError((home / "error").read_text())
    shutil.copy(home / "run/checkpoints/last.ckpt", home / "last.ckpt")
    (home / "error").unlink()


def _run_here(args: Sequence[str], where: Path, limited: bool = True) -> None:
    """Never returns: this is a child."""
    code = 1
    try:
        os.chdir(where)
        os.environ.pop("GANZOO_TRACEBACK", None)
        sys.path.insert(0, str(where))
        if limited:
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(15 * CPU_SECONDS)  # asleep, not at work
        with open("error", "w", buffering=1) as error, redirect_stderr(error), redirect_stdout(io.StringIO()):
            os.dup2(error.fileno(), 2)
            try:
                code = main(list(args))
            except SystemExit as leaving:
                code = leaving.code if isinstance(leaving.code, int) else 1
            except BaseException:
                import traceback

                traceback.print_exc()
    finally:
        os._exit(code)


def _split(line: str) -> list[str]:
    import shlex

    return shlex.split(line)


def _values() -> Iterator[Case]:
    """An option of a base with a value that it was not made for."""
    import_classes()
    for name, line in BASES.items():
        args = _split(line)
        kinds = {"model": _class_of(args, "--model"), "data": _class_of(args, "--data")}
        options = [f"--{part}.{each}" for part, cls in kinds.items() if cls for each in parameters(cls)]
        if args[0] in ("fit", "validate"):
            options += [f"--trainer.{each}" for each in (TRAINER if name == "GAN" else ())]
            options += ["--seed_everything", "--ckpt_path", "--run_dir"]
        elif args[0] == "evaluate":
            options += [f"--{action.dest}" for action in evaluate_parser()._actions if action.option_strings][2:]
        else:
            options += ["--epochs", "--seed", "--out"]
        for option in dict.fromkeys(options):
            kind = _kind(option, kinds)
            for value in VALUES:
                nonsense = value in (NEVER if kind is int else NEVER[:4]) and kind in (int, float)
                yield Case(f"{name}: {option} {value}", [*args, f"{option}={value}"], refused=nonsense)


def _recipes() -> Iterator[Case]:
    args = _split(BASES["GAN"])
    for cls, names in RECIPES.items():
        for option in (*names, "class_path", "init_args", "lrr"):
            for value in VALUES:
                given = [f"--model.optimizers.generator={{class_path: {cls}, init_args: {{lr: 0.01}}}}"]
                given.append(f"--model.optimizers.generator.{option}={value}")
                # a huge eps or weight decay is no mistake
                never = NEVER[:4] if option in ("eps", "weight_decay") else NEVER
                refused = (
                    value in never or option in ("class_path", "lrr") or value in ("-1", "-0.5", "x", "[1, 2]", "{a: 1}")
                )
                yield Case(f"{cls} {option} {value}", [*args, *given], refused=refused and option != "amsgrad")
    for cls in ("LBFGS", "SparseAdam", "Optimizer", "nothing", "Adadelta", "Muon"):
        given = [f"--model.optimizers.generator={{class_path: torch.optim.{cls}}}"]
        yield Case(f"optimizer {cls}", [*args, *given], refused=cls != "Adadelta")
    for option, value in (("step_size", "0"), ("step_size", "-1"), ("gamma", "nan"), ("gamma", ".nan"), ("step_size", "x")):
        given = [f"--model.schedules.generator.0.{option}={value}"]
        yield Case(f"StepLR {option} {value}", [*_split(BASES["GAN recipes"]), *given], refused=True)
    for recipe in ("[]", "{}", "x", "[x]", "[{class_path: StepLR}]", "[{class_path: torch.optim.lr_scheduler.LRScheduler}]",
                   "{generator: 3}", "{nobody: []}",
                   "{generator: [{class_path: torch.optim.lr_scheduler.StepLR}]}"):  # fmt: skip
        yield Case(f"schedules {recipe}", [*args, f"--model.schedules={recipe}"], refused=recipe not in ("{}",))


def _callbacks() -> Iterator[Case]:
    args = _split(BASES["GAN"])
    for cls in CALLBACKS:
        for option in parameters(cls):
            if (cls, option) == ("EarlyStopping", "strict"):
                continue
            for value in VALUES:
                given = ["--trainer.callbacks+", cls, f"--trainer.callbacks.{option}={value}"]
                yield Case(f"{cls} {option} {value}", [*args, *given])
        yield Case(f"two {cls}", [*args, "--trainer.callbacks+", cls, "--trainer.callbacks+", cls])
    for recipe in (
        "[x]",
        "{}",
        "[[]]",
        "3",
        "[null]",
        "{class_path: 3}",
        "{class_path: null}",
        "{init_args: {}}",
        "GAN",
        "''",
    ):
        yield Case(f"callbacks {recipe}", [*args, f"--trainer.callbacks={recipe}"])
        yield Case(f"logger {recipe}", [*args, f"--trainer.logger={recipe}"])


def _names() -> Iterator[Case]:
    """Names misspelt, class paths that are no names."""
    for name, line in BASES.items():
        args = _split(line)
        places = [i for i, arg in enumerate(args) if arg.startswith("--")]
        for i in places:
            word = args[i]
            for wrong in (word[:-1], word + "x", word[:4] + word[5:], word.upper(), word + ".", word.replace(".", "..")):
                if wrong != word and wrong != "--":
                    yield Case(f"{name}: {wrong}", [*args[:i], wrong, *args[i + 1 :]], refused=True)
        yield Case(f"{name}: an option without its value", args[: places[-1] + 1])
    args = _split(BASES["GAN"])
    for option in ("--model", "--data", "--model.loss", "--trainer.strategy", "--trainer.profiler", "--trainer.plugins"):
        for path in ("", "3", "null", "a b", ".", "..", "os.system", "ganzoo", ".GAN", "torch.nn.Linear", "[]", "é",
                     "ganzoo.models", "{class_path: [1]}", "{class_path: ''}", "{class_path: 3, init_args: 4}"):  # fmt: skip
            yield Case(f"{option} {path}", [*args, f"{option}={path}"], refused=option in ("--model", "--data"))
    for command in (
        "",
        "ift",
        "-",
        "--",
        "fit fit",
        "evaluate",
        "compare",
        "classifier",
        "compare x",
        "compare a",
        "list x",
    ):
        yield Case(f"command {command!r}", command.split(" "), refused=True)


def _configs() -> Iterator[Case]:
    good = b"model: {class_path: GAN, init_args: {shape: [1, 8, 8], hidden: 8}}\ndata: Digits\n"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))
    texts = {
        "empty": b"", "only a comment": b"# x", "a list": b"[1, 2]", "a word": b"model", "broken": good + b"x: [",
        "latin1": "# Größe\n".encode("latin1") + good, "utf-16": good.decode().encode("utf-16"), "binary": bytes(range(256)),
        "bomb": bomb.encode(), "itself": b"a: &a [*a]", "deep": b"a: " + b"[" * 3000, "a tag": b"a: !!python/name:os.system",
        "twice": good + good, "null": b"model: null\ndata: null", "numbers": b"model: 3\ndata: 4", "keys": b"1: 2\nnull: 3",
        "loop": b"model: {class_path: GAN, init_args: {hidden: '${model.init_args.hidden}'}}\ndata: Digits",
        "nowhere": b"model: {class_path: GAN, init_args: {hidden: '${x.y}'}}\ndata: Digits",
        "broken reference": b"model: {class_path: GAN, init_args: {hidden: '${x'}}\ndata: Digits",
        "resolver": b"model: {class_path: GAN, init_args: {hidden: '${oc.env:NOT_SET}'}}\ndata: Digits",
        "init_args": b"model: {class_path: GAN, init_args: 3}\ndata: Digits",
        "no class": b"model: {init_args: {}}\ndata: Digits",
        "a date": b"model: {class_path: GAN, init_args: {hidden: 2020-01-01}}\ndata: Digits",
        "merge key": b"x: &x {a: 1}\nmodel: {<<: *x, class_path: GAN}\ndata: Digits", "tabs": b"model:\n\tclass_path: GAN",
        "trainer": b"trainer: [1]", "callbacks": b"trainer: {callbacks: {a: 1}}", "nul": b"model: GAN\0",
        "long": b"model: " + b"x" * 100_000, "surrogate": b'model: "\\ud800"', "control": b'model: "a\\x07b"',
    }  # fmt: skip
    # of a config of `ganzoo fit` the other commands read the data alone: a model without a class, or with a date
    # where a number belongs, is none of theirs
    for name, text in texts.items():
        for line in (
            "fit --config c.yaml",
            "evaluate last.ckpt --config c.yaml --metrics parzen",
            "classifier -c c.yaml --out o",
        ):
            args = _split(line) + (_split(SHORT) if line.startswith("fit") else [])
            refused = args[0] == "fit" or name not in ("no class", "a date")
            yield Case(f"config {name}: {args[0]}", args, {"c.yaml": text}, refused=refused)
    for name in (
        "c.yaml",
        "a",
        "",
        ".",
        "/dev/null",
        "gan_digit",
        "x" * 5000,
        "{",
        "{}",
        "http://x/y.yaml",
        "a\nb",
        "a/../../b",
    ):
        yield Case(f"config {name[:20]!r}", ["fit", "--config", name, *_split(SHORT)], refused=True)


def _class_of(args: Sequence[str], option: str) -> str | None:
    configs = {"gan_digits": ("GAN", "Digits"), "cgan_digits": ("CGAN", "Digits")}
    if option in args:
        return args[args.index(option) + 1]
    if "--config" in args and args[0] in ("fit", "validate"):
        return configs[args[args.index("--config") + 1]][option == "--data"]
    return None


def _kind(option: str, classes: dict[str, str | None]) -> object:
    """The type of an option, where it is a plain number's."""
    section, _, name = option.removeprefix("--").partition(".")
    cls = "lightning.pytorch.Trainer" if section == "trainer" else classes.get(section)
    kind = parameters(cls).get(name) if cls else None
    return next(
        (base for base in (int, float) if isinstance(kind, type) and issubclass(kind, base) and kind is not bool), None
    )


if __name__ == "__main__":
    number, seed = int(sys.argv[1]), int(sys.argv[2])
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    with tempfile.TemporaryDirectory() as folder:
        make_home(Path(folder) / "home")
        drawn = [case for case in draw(10**9, seed) if wanted in case.name][:number]
        print(len(cases()), "cases,", len(drawn), "drawn", flush=True)
        bad = 0
        for case in drawn:
            answer = run(case, Path(folder) / "home")
            bad += bool(answer.wrong)
            if answer.wrong or wanted:
                print(f"{case.name} | {answer.code} {answer.seconds:.1f}s | {answer.wrong or answer.error}", flush=True)
        print(bad, "wrong of", len(drawn))
