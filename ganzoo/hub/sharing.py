"""Shares saved folders through the Hugging Face hub, by huggingface_hub's file functions. Imports no torch.

The token is the one of the library's own login (``hf auth login``, or ``HF_TOKEN``), and is never shown. ``HF_ENDPOINT`` and
``HF_HUB_OFFLINE`` are the library's, too.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ganzoo import __version__
from ganzoo.errors import InputError, one_line
from ganzoo.hub.folder import FILES, is_saved_folder, read_folder
from ganzoo.utils.files import atomic_folder

PREFIX = "hf:"
LONGEST = 160  # letters of another library's reason


def push(
    folder: str | Path,
    repository: str,
    *,
    revision: str | None = None,
    private: bool | None = None,
    message: str | None = None,
) -> str:
    """Uploads a saved folder to the hub; the repository is made if it is not there.

    The folder is verified first, and only its own files are uploaded.

    Args:
        folder: a saved folder.
        repository: ``owner/name``.
        revision: the branch; the main one if left out.
        private: whether a new repository is private; the owner's default if left out.
        message: of the commit.

    Returns:
        The address of the commit.

    Raises:
        InputError: the folder is no saved folder or is damaged, or the hub refuses it.
    """
    from ganzoo.hub.verifying import verify

    path = Path(folder)
    if not is_saved_folder(path):
        raise InputError(f"{folder} is no saved folder: write one with `ganzoo save CHECKPOINT {folder}`")
    verify(path)
    with _errors(repository, revision) as hub:
        api = hub.HfApi(endpoint=_endpoint(), library_name="ganzoo", library_version=__version__)
        api.create_repo(repository, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repository,
            folder_path=str(path),
            revision=revision,
            allow_patterns=list(FILES),
            commit_message=message or f"{path.resolve().name}, saved by ganzoo {__version__}",
        )
    return str(commit.commit_url)


def pull(repository: str, folder: str | Path, *, revision: str | None = None) -> Path:
    """Downloads a model from the hub into a folder. Only the files of a saved folder are taken, and none of them is run.

    Args:
        repository: ``owner/name``.
        folder: the folder to write; new or empty.
        revision: a branch, a tag or a commit; the main branch if left out.

    Raises:
        InputError: there is no such model, the hub cannot be reached, or the folder cannot be written.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{folder} is not empty: give a new folder")
    cached = download(repository, revision)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            target.rmdir()
        with atomic_folder(target.absolute()) as part:
            for name in FILES:
                if (cached / name).is_file():
                    shutil.copyfile(cached / name, part / name)  # the cache has links
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}") from error
    return target


def download(repository: str, revision: str | None = None) -> Path:
    """Downloads a model's files into the library's cache, or finds them there. Returns the folder in the cache.

    Args:
        repository: ``owner/name``.
        revision: a branch, a tag or a commit; the main branch if left out.

    Raises:
        InputError: there is no such repository or revision, it holds no saved model, or the hub cannot be reached.
    """
    with _errors(repository, revision) as hub:
        found = Path(
            hub.snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(FILES),
                endpoint=_endpoint(),
                library_name="ganzoo",
                library_version=__version__,
            )
        )
    if not is_saved_folder(found):
        raise InputError(f"{PREFIX}{repository} holds no model that `ganzoo save` wrote")
    read_folder(found)
    return found


def parse_address(text: str) -> tuple[str, str | None]:
    """Splits ``hf:owner/name@revision`` into the repository and the revision, None if it has none.

    Raises:
        InputError: it is of another form.
    """
    found = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text)
    if found is None:
        raise InputError(f"{text}: a model on the hub is hf:owner/name, or hf:owner/name@revision")
    return found[1], found[2]


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


@contextmanager
def _errors(repository: str, revision: str | None) -> Iterator[Any]:
    """Context: the library, whose errors become one line without addresses, tokens or advice of its own."""
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise InputError('the hub needs huggingface_hub: pip install "lightning-ganzoo[hub]"') from None
    name = f"{PREFIX}{repository}" + (f"@{revision}" if revision else "")
    login = "log in with `hf auth login`"
    try:
        yield hub
    except errors.GatedRepoError as error:
        raise InputError(f"{name} asks for the owner's permission: ask for it on the hub, and {login}") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{name}: the repository is there, and has no such revision") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(f"{name}: there is no such repository on the hub, or it is private: then {login}") from error
    except errors.HFValidationError as error:
        raise InputError(f"{repository} is no name of a repository: give owner/name") from error
    except errors.LocalEntryNotFoundError as error:
        offline = os.environ.get("HF_HUB_OFFLINE") or isinstance(error.__cause__, errors.OfflineModeIsEnabled)
        why = "the hub is not asked offline (HF_HUB_OFFLINE)" if offline else "the hub cannot be reached"
        raise InputError(f"{name} is not in the cache, and {why}") from error
    except errors.HfHubHTTPError as error:
        code = error.response.status_code
        why = f"it refuses you (HTTP {code}): {login}, with a token that may write" if code in (401, 403) else f"HTTP {code}"
        raise InputError(f"{name}: the hub answers: {why}") from error
    except InputError:
        raise
    except Exception as error:  # of the library's HTTP client, which is another one with each of its versions
        if not type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3", "huggingface_hub", "hf_xet")):
            raise
        raise InputError(f"{name}: the hub cannot be reached ({one_line(error)[:LONGEST]})") from error
