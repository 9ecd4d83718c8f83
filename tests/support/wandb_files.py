"""Reads the file that W&B writes for an offline run, which `wandb sync` uploads."""

import json
from pathlib import Path
from typing import Any

from support.training import wait_for


def wandb_records(run: Path) -> list:
    """W&B's offline file: LevelDB's log format, 32 KiB blocks of records with a header of 7 bytes, after 7 of its own."""
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    # another process writes it, and may still be at it when ours has ended: the record of the exit comes last
    wait_for(lambda: any(record.HasField("exit") for record in wandb_records_now(file)), f"the end of {file}")
    return wandb_records_now(file)


def wandb_records_now(file: Path) -> list:
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts, records = file.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the end of one
            records.append(Record.FromString(parts))
            parts = b""
    return records


def wandb_config(records: list) -> dict[str, Any]:
    """The config of a run, as its records change it one after the other."""
    updates = [update for record in records if record.HasField("config") for update in record.config.update]
    return {update.key or "/".join(update.nested_key): json.loads(update.value_json) for update in updates}
