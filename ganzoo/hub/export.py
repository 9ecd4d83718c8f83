"""Writes a trained model to a file that runs without ganzoo: ONNX, or a program of ``torch.export``."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.fx.experimental._config
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from ganzoo import __version__
from ganzoo.errors import InputError, did_you_mean, one_line
from ganzoo.hub.exportable import (
    Exportable,
    ExportableClassifier,
    ExportableGenerator,
    ExportableTranslator,
    PixelFormat,
)
from ganzoo.interfaces import Classifier, CycleTranslator, NoiseSampler, Sampler, Translator
from ganzoo.utils.files import atomic_write
from ganzoo.utils.weights import weights_sha256

LONGEST = 200  # letters of another library's reason
TOLERANCE = 1e-3  # of floats, images in [-1, 1] and probabilities alike: float32 sums in another order
Run = Callable[[Mapping[str, Any]], Tensor]


class Parity(NamedTuple):
    """How far an exported file is from the model.

    Attributes:
        greatest: the greatest absolute difference of an output value.
        mean: the mean absolute difference.
        unit: what is counted: ``levels`` of 255, or ``""`` for floats.
        inputs: what it was tried on.
    """

    greatest: float
    mean: float
    unit: str
    inputs: str

    @property
    def holds(self) -> bool:
        """Whether the file may be used: at most 1 level, or ``TOLERANCE``; NaN may not."""
        return self.greatest <= (1 if self.unit else TOLERANCE)

    def __str__(self) -> str:
        unit = f" ({self.unit})" if self.unit else ""
        return f"max abs difference {self.greatest:.2g}, mean {self.mean:.2g}{unit}, on {self.inputs}"


class Exported(NamedTuple):
    """A file that was written, and how far it is from the model."""

    path: Path
    parity: Parity


class FileFormat(ABC):
    """A kind of file."""

    suffix: str

    @abstractmethod
    def expect_packages(self) -> None:
        """Raises InputError where a package that the format needs is missing."""

    @abstractmethod
    def write(self, program: ExportedProgram, part: Exportable, metadata: Mapping[str, str], path: Path) -> None:
        """Writes the file.

        Args:
            program: the graph of ``part``.
            part: the model, for the names of its inputs and output.
            metadata: to be kept in the file.
            path: of the file.
        """

    @abstractmethod
    def open(self, path: Path) -> Run:
        """Loads a file as a user of it does; returns a function from inputs to the output."""


class ONNXFormat(FileFormat):
    """ONNX, for onnxruntime and other runtimes. The metadata are the model's ``metadata_props``."""

    suffix = ".onnx"

    def expect_packages(self) -> None:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            try:
                import_module(name)
            except ImportError as error:
                raise InputError(
                    f'ONNX needs the package {name}: pip install "lightning-ganzoo[export]" ({one_line(error)[:LONGEST]})'
                ) from error

    def write(self, program: ExportedProgram, part: Exportable, metadata: Mapping[str, str], path: Path) -> None:
        axes = [value for given in part.axes().values() for value in (given.values() if _nested(given) else [given])]
        names = [spec.arg.name.removeprefix("noise_") for spec in program.graph_signature.input_specs
                 if spec.kind is InputKind.USER_INPUT]  # fmt: skip
        with warnings.catch_warnings():
            # the batch is one axis of several inputs, and keeps its name
            warnings.filterwarnings("ignore", "# The axis name")
            written = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=names, output_names=[part.output], dynamic_shapes=axes
            )
        assert written is not None
        model = written.model
        for graph in (model.graph, *model.functions.values()):
            for node in graph.all_nodes():  # type: ignore[attr-defined]
                node.metadata_props.clear()  # where on this machine each line of the source is
        model.metadata_props.update(metadata)
        written.save(path)

    def open(self, path: Path) -> Run:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

        def run(inputs: Mapping[str, Any]) -> Tensor:
            return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in flat(inputs).items()})[0])

        return run


class TorchFormat(FileFormat):
    """A program of ``torch.export``, for ``torch.export.load``. The metadata are its extra file ``metadata.json``."""

    suffix = ".pt2"

    def expect_packages(self) -> None:
        pass

    def write(self, program: ExportedProgram, part: Exportable, metadata: Mapping[str, str], path: Path) -> None:
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # where on this machine each line of the source is
        with path.open("wb") as file:
            torch.export.save(program, file, extra_files={"metadata.json": json.dumps(dict(metadata), indent=1)})  # type: ignore[arg-type]

    def open(self, path: Path) -> Run:
        with path.open("rb") as file:
            module = torch.export.load(file).module()  # type: ignore[arg-type]

        def run(inputs: Mapping[str, Any]) -> Tensor:
            with torch.no_grad():
                return module(**inputs)

        return run


FORMATS: dict[str, FileFormat] = {"onnx": ONNXFormat(), "torch": TorchFormat()}


def export(
    model: LightningModule,
    out: str | Path,
    format: str = "onnx",
    *,
    direction: str | None = None,
    uint8: bool = True,
    channels_last: bool = False,
) -> list[Exported]:
    """Writes a trained model to a file that runs without ganzoo, and checks it against the model.

    Args:
        model: a ``Translator``, ``Sampler`` or ``Classifier`` (``ganzoo.interfaces``) in evaluation mode, on the CPU.
        out: the file to write; it must be new. A model that translates in both directions gives two, with ``_AtoB`` and
            ``_BtoA`` before the extension.
        format: ``onnx`` or ``torch``.
        direction: ``AtoB`` or ``BtoA``, for one file of a model that translates in both directions.
        uint8: images are uint8 in [0, 255]; else float32 in [-1, 1].
        channels_last: images are [N, H, W, C]; else [N, C, H, W].

    Returns:
        The files, each with its difference from the model.

    Raises:
        InputError: an unknown format, a missing package, a file that exists, a model that cannot be exported, or a file
            that differs from the model. No file is left then.
    """
    if format not in FORMATS:
        raise InputError(f"there is no format '{format}'" + did_you_mean(format, list(FORMATS), "give onnx or torch"))
    kind = FORMATS[format]
    parts = exportable(model, PixelFormat(uint8, channels_last), direction)
    paths = {way: Path(out).with_stem(Path(out).stem + way) for way in parts}
    for path in paths.values():
        if path.exists():
            raise InputError(f"{path} exists: give --out with the name of a new file")
    kind.expect_packages()
    found = []
    with ExitStack() as files:  # both files or none
        for way, part in parts.items():
            path = files.enter_context(atomic_write(paths[way]))
            try:
                program = trace(part)
                kind.write(program, part, describe(model, part, Path(out).stem, way), path)
                parity = compare(part, model, kind.open(path))
            except RuntimeError as error:  # of torch.export, torch.onnx and onnxruntime, about a network of any kind
                raise InputError(f"{type(model).__name__} cannot be exported: {one_line(error)[:LONGEST]}") from error
            if not parity.holds:
                raise InputError(f"the exported {type(model).__name__} differs from the model: {parity}; no file is written")
            found.append(Exported(paths[way], parity))
    return found


def exportable(model: LightningModule, pixels: PixelFormat, direction: str | None) -> dict[str, Exportable]:
    """The functions of a model that go into files, by what each file's name ends with.

    Raises:
        InputError: the model has another interface, or does not translate in this direction.
    """
    network: Any = model
    if isinstance(model, CycleTranslator):
        trained = getattr(model, "direction", None) or "AtoB"
        ways: dict[str, Exportable] = {}
        for way in ("AtoB", "BtoA") if direction is None else (direction,):
            back = way != trained
            channels = network.channels_y if back else network.channels_x
            ways[f"_{way}" if direction is None else ""] = ExportableTranslator(model, pixels, channels, back)
        return ways
    if isinstance(model, Translator):
        trained = getattr(model, "direction", None)
        if direction is not None and trained is not None and direction != trained:
            raise InputError(f"this model was trained with data.direction {trained} and goes that way only")
        return {"": ExportableTranslator(model, pixels, network.inputs)}
    if direction is not None:
        raise InputError(f"--direction is for models that translate, and {type(model).__name__} does not")
    if isinstance(model, Classifier):
        return {"": ExportableClassifier(model, pixels, network.shape)}
    if isinstance(model, NoiseSampler):
        return {"": ExportableGenerator(model, pixels)}
    if isinstance(model, Sampler):
        raise InputError(
            f"{type(model).__name__} draws its noise inside of sample, and a file needs it as an input: make it a "
            "NoiseSampler (ganzoo.interfaces)"
        )
    raise InputError(
        f"{type(model).__name__} is no Translator, Sampler or Classifier (ganzoo.interfaces), so there is nothing to export"
    )


def trace(part: Exportable) -> ExportedProgram:
    """The graph of a model's function, for any batch size and any size of images that the function takes.

    Raises:
        InputError: the graph draws random numbers of its own, which no file could draw alike.
    """
    dims: dict[str, Any] = {"batch": torch.export.Dim("batch", min=1)}
    for side in ("height", "width"):
        blocks = torch.export.Dim(f"{side}_blocks", min=max(1, -(-part.least // part.multiple)))
        dims[side] = blocks if part.multiple == 1 else part.multiple * blocks

    def named(axes: Mapping[Any, Any]) -> dict[Any, Any]:
        return {key: named(each) if isinstance(each, Mapping) else dims[each] for key, each in axes.items()}

    height, width = part.sizes()[0]
    inputs = part.examples(2, (2 * height, 3 * width), 1)  # a length of 1 in some layer would be taken for a constant
    # or an image whose innermost layer has one pixel would be refused, because that of the example has two
    with torch.no_grad(), torch.fx.experimental._config.patch("backed_size_oblivious", True):  # type: ignore[attr-defined]
        # what a network computes once and keeps, such as LAPGAN's operators, must be no part of a graph
        part(**part.examples(1, (height, width), 1))
        program = torch.export.export(part, (), inputs, dynamic_shapes=named(part.axes()))
    prune(program)
    for node in program.graph.nodes:
        if isinstance(node.target, torch._ops.OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags:
            given = zip((argument.name for argument in node.target._schema.arguments), node.args, strict=False)
            if dict(given).get("train") is False:  # dropout of the training, which is off
                continue
            raise InputError(
                f"{type(part.model).__name__} draws random numbers with {node.target} when it is used: only NoiseDropout "
                "(ganzoo.networks.dropout) and the noise of draw_noise can be exported"
            )
    return program


def prune(program: ExportedProgram) -> None:
    """Removes the weights that the graph does not use, such as a discriminator's, in place."""
    specs = program.graph_signature.input_specs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    for node, spec in zip(nodes, list(specs), strict=True):
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER) and not node.users:
            program.graph.erase_node(node)
            specs.remove(spec)
            program.state_dict.pop(spec.target or "", None)
            program.constants.pop(spec.target or "", None)
    program.graph_module.recompile()


def describe(model: nn.Module, part: Exportable, name: str, way: str) -> dict[str, str]:
    """The metadata of a file: what a user of it needs to know, as text."""
    direction = way.removeprefix("_") or getattr(model, "direction", None)
    return {
        "model": name,
        "class": f"{type(model).__module__}.{type(model).__qualname__}",
        "ganzoo": __version__,
        "torch": torch.__version__,
        "weights_sha256": weights_sha256(model),
        "pixels": "uint8 in [0, 255]" if part.pixels.uint8 else "float32 in [-1, 1]",
        "layout": "NHWC" if part.pixels.channels_last else "NCHW",
        **({"direction": direction} if direction else {}),
        **({"noise": "dropout, from the input seed: int64 [N], one for each image"} if part.noisy else {}),
        **part.describe(),
    }


def compare(part: Exportable, model: LightningModule, run: Run) -> Parity:
    """Compares a file with the model on a photograph and on random inputs, of 1 and 3 images, at two sizes.

    Args:
        part: the function in the file.
        model: the trained model, which is asked through its interface, image by image.
        run: runs the file.
    """
    differences, tried = [], []
    for n, size, seed in zip((3, 1), (*part.sizes(), *part.sizes()), (0, 1), strict=False):
        inputs = part.examples(n, size, seed)
        differences.append((run(inputs).double() - part.expected(model, inputs).double()).abs().flatten())
        tried.append(part.told(n, size, seed))
    found = torch.cat(differences)
    unit = "levels of 255" if part.pixels.uint8 and part.output != "probabilities" else ""
    return Parity(float(found.max()), float(found.mean()), unit, " and ".join(tried))


def flat(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of nested inputs, by their names alone."""
    found: dict[str, Tensor] = {}
    for name, value in inputs.items():
        found |= flat(value) if isinstance(value, Mapping) else {name: value}
    return found


def _nested(axes: Mapping[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in axes)
