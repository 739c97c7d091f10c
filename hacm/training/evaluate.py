"""What a pretrained encoder is worth, by any protocol, beside its untrained start."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from hacm.config import Config, FinetuneOptions, ProbeOptions, parse_config, parse_options
from hacm.data.store import SequenceStore
from hacm.errors import HacmError
from hacm.files import make_folder, write_json
from hacm.models.encoder import Encoder
from hacm.training.checkpoint import load_encoder
from hacm.training.device import choose_device
from hacm.training.pretrain import build_pretrainer
from hacm.training.protocols import (
    LABELS,
    PROTOCOLS,
    ask,
    labelled_draws,
    never_seen,
    sides_of,
)
from hacm.training.records import CARD, RESULT, read_card, read_evaluation
from hacm.training.run import as_store, read_run_config
from hacm.training.scores import check_scores, save_scores

NAMES = {
    **{"knn": "nearest neighbour", "linear": "linear probe", "finetune": "fine-tuning"},
    **{"validation": "linear probe, validation", "validation_knn": "nearest, validation"},
    **{"semi_1": "1 % of the labels", "semi_10": "10 % of the labels", "transfer": "transfer"},
}
"""Readers and protocols as people call them."""


def evaluate(
    run_dir: str | Path,
    store: SequenceStore | str | Path,
    protocol: str = "linear",
    *,
    split: str | None = None,
    compare: bool = True,
    device: str = "auto",
    progress: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a run's encoder, beside its untrained start.

    In `linear`, `knn` and `validation` the encoder is frozen: features of the training sequences
    are extracted once for each augmented view and kept. `validation` never looks at the test side:
    use it to choose settings. In the other protocols the encoder learns on with labels,
    the untrained one from scratch (at one learning rate for all layers); stopped, they resume.
    Retrieval and all testing use the central crop.

    Args:
        run_dir: a finished pretraining run.
        store: the data, or the path of a store; its layout must be the encoder's. For `transfer`
            they must be other data than those of pretraining, for all other protocols the same.
        protocol: one of `PROTOCOLS`; `hacm/training/protocols.py` says what they are.
        split: another split than that of pretraining; its test sequences that pretraining saw are
            left out, and the result says how many.
        compare: also evaluate the untrained encoder.
        device: see `pretrain`.
        progress: show bars.
        options: fields of `ProbeOptions` where the encoder is frozen, else of `FinetuneOptions`,
            such as `epochs`, `seed`, `views`, `drop_path`.

    Returns:
        for each reader (`linear`, `knn`, or the protocol itself) the accuracy (0..1) of the
        `trained` and the `untrained` encoder; `chance`; how many sequences; what was used and
        asked. Also written to `run_dir/eval/<protocol>/` with the trained encoder's predictions and
        class scores, `result.json` last; asked the same again, it is read from there.

    Raises:
        HacmError: unknown protocol or option, no finished run there, or data, layout or
            configuration are not the encoder's.
    """
    started = time.monotonic()
    store = as_store(store)
    config = read_run_config(run_dir)
    recipe, split = protocol_options(protocol, options), split or config.split
    asked = question(store, split, compare, recipe)
    out = Path(run_dir) / "eval" / protocol
    if (done := finished_result(out, asked)) is not None:
        return done
    trained = load_encoder(run_dir)
    check_run(run_dir, config, trained, store, protocol, split)
    encoders = {"trained": trained}
    if compare:
        encoders["untrained"] = build_pretrainer(store.layout, config).encoder
    sides = sides_of(protocol, store, split)
    left_out = 0
    if protocol not in ("transfer", "validation"):
        sides, left_out = never_seen(sides, store, config.split)
    train_ids, test_ids = store.split(split)[0], np.concatenate([test for _, test in sides])
    if not len(test_ids):
        raise HacmError(
            f"split {split!r} tests nothing but sequences that {run_dir} was pretrained on (its "
            f"split is {config.split!r}): evaluate on that split, or pretrain on this one"
        )
    on = choose_device(device)
    # Checkpoints belong to this very question; asked another one, they are of no use.
    unfinished = out / f"unfinished-{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12]}"
    scores = {
        name: ask(
            protocol,
            encoder.to(on),
            store,
            config,
            sides,
            recipe if name == "trained" and config.objective != "none" else at_one_rate(recipe),
            unfinished / name,
            f"{NAMES[protocol]}, {name} encoder" if progress else None,
        )
        for name, encoder in encoders.items()
    }
    result: dict[str, Any] = {"protocol": protocol, "asked": asked}
    for name, readers in scores.items():
        for reader, values in readers.items():
            check_scores(values, f"{run_dir}, {NAMES[reader]} on the {name} encoder")
            right = values.argmax(-1).numpy() == store.labels[test_ids]
            result.setdefault(reader, {})[name] = float(right.mean())
            if len(right) > 1:
                result.setdefault("draws", {})[name] = right.mean(1).tolist()
    result |= {
        "chance": 1 / len(store.label_names),
        **describe_split(store, (train_ids, test_ids)),
        **{"train": trained_on(protocol, train_ids, store, recipe), "left_out": left_out},
        "data": store.path.name,
        "features": how_features(recipe, protocol),
        "seconds": round(time.monotonic() - started, 3),
    }
    make_folder(out)
    # The first reader is the protocol's own.
    save_scores(out, next(iter(scores["trained"].values())), store, test_ids, split)
    write_json(out / RESULT, result)
    shutil.rmtree(unfinished, ignore_errors=True)
    return result


def question(
    store: SequenceStore, split: str, compare: bool, recipe: ProbeOptions | FinetuneOptions
) -> dict[str, Any]:
    """All that an evaluation's result depends on, beside the run: a result answers one question."""
    return {"data": store.checksum, "split": split, "compare": compare, **recipe.model_dump()}


def protocol_options(protocol: str, options: dict[str, Any]) -> ProbeOptions | FinetuneOptions:
    """A protocol's options, validated.

    Raises:
        HacmError: unknown protocol or option, or a value out of range.
    """
    if protocol not in PROTOCOLS:
        raise HacmError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    if protocol in LABELS:
        return parse_options(FinetuneOptions, options, f"protocol {protocol}")
    return parse_options(ProbeOptions, options, f"protocol {protocol}")


def at_one_rate(recipe: ProbeOptions | FinetuneOptions) -> ProbeOptions | FinetuneOptions:
    """The recipe from scratch: there is nothing in the lower layers to be kept."""
    if isinstance(recipe, FinetuneOptions):
        return recipe.model_copy(update={"layer_decay": 1.0})
    return recipe


def check_run(
    run_dir: str | Path,
    config: Config,
    encoder: Encoder,
    store: SequenceStore,
    protocol: str,
    split: str,
) -> None:
    """Run card, encoder and data must belong together.

    Raises:
        HacmError: they do not; names both sides.
    """
    if encoder.layout != store.layout:
        raise HacmError(
            f"the encoder of {run_dir} was trained on layout {encoder.layout.name!r} "
            f"({encoder.layout.V} joints), but {store.path} holds {store.layout.name!r} "
            f"({store.layout.V} joints)"
        )
    if changed := config.difference(parse_config(encoder.options.model_dump(), str(run_dir))):
        raise HacmError(
            f"{run_dir} holds the encoder of another run: its configuration is not that of {CARD} "
            f"({changed}; {CARD} / encoder)"
        )
    if protocol == "validation" and config.objective == "supervised":
        raise HacmError(
            f"{run_dir} was trained with the labels of all training sequences, so none is left to "
            "validate on: use protocol linear, or finetune on an untrained encoder"
        )
    if protocol == "validation" and split != config.split:
        raise HacmError(
            f"validation divides the training side of the split that {run_dir} was pretrained on, "
            f"{config.split!r}, not of {split!r}: leave split out"
        )
    seen = read_card(run_dir)["data"]
    same = seen["checksum"] == store.checksum
    if protocol != "transfer" and not same:
        raise HacmError(
            f"{run_dir} was pretrained on the data of {seen['path']} (checksum "
            f"{seen['checksum'][:12]}), not on {store.path} ({store.checksum[:12]}): evaluate it "
            "on the same data, or use protocol transfer"
        )
    if protocol == "transfer" and same:
        raise HacmError(
            f"{run_dir} was pretrained on the data of {store.path} itself: transfer needs other "
            "data; on the same data use protocol finetune"
        )


def describe_split(store: SequenceStore, ids: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """How many sequences train and test, and the classes that only one side has."""
    train, test = (set(store.labels[side].tolist()) for side in ids)
    return {
        **{"train": len(ids[0]), "test": len(ids[1])},
        "classes_never_trained": [store.label_names[label] for label in sorted(test - train)],
        "classes_never_tested": [store.label_names[label] for label in sorted(train - test)],
    }


def trained_on(
    protocol: str,
    train_ids: np.ndarray,
    store: SequenceStore,
    recipe: ProbeOptions | FinetuneOptions,
) -> int:
    """How many sequences' labels were used (of each draw)."""
    if isinstance(recipe, ProbeOptions):
        return len(train_ids)
    return len(labelled_draws(LABELS[protocol], train_ids, store.labels, recipe)[0])


def how_features(recipe: ProbeOptions | FinetuneOptions, protocol: str) -> str:
    """Whether features were kept, in words for the result."""
    if isinstance(recipe, FinetuneOptions):
        return "not kept: the encoder learns"
    if protocol == "knn" or recipe.views == 0:
        return "of the central crop, extracted once and kept"
    if recipe.views >= recipe.epochs:
        return "of a new augmented view every epoch"
    return f"of {recipe.views} augmented views, extracted once and kept"


def finished_result(out: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The result on record, if it answers the same question."""
    if not (out / RESULT).exists():
        return None
    result = read_evaluation(out)
    return result if result.get("asked") == asked else None


def summary(result: dict[str, Any]) -> str:
    """A result in a line a reader, and a line for classes that only one side of the split has."""
    lines = []
    names = NAMES | {f"ensemble_{key}": f"ensemble, {name}" for key, name in NAMES.items()}
    for reader, name in names.items():
        if reader in result:
            score, notes = result[reader], [f"chance {100 * result['chance']:.1f} %"]
            if "untrained" in score:
                notes.insert(0, f"untrained encoder {100 * score['untrained']:.1f} %")
            lines.append(f"{name} {100 * score['trained']:.1f} % ({', '.join(notes)})")
    for side in ("trained", "tested"):
        if missing := result.get(f"classes_never_{side}"):
            lines.append(f"never {side}: {', '.join(missing)}")
    return "\n".join(lines)
