"""A stand-in for the hub on this machine: the endpoints that huggingface_hub 2.4 calls to upload and download files."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_a_secret_of_the_test"


class Hub:
    """Repositories in memory.

    Attributes:
        commits: of each repository, ``owner/name``: the files of each commit by its id, in order.
        branches: of each repository, the id of the branch's newest commit.
        requests: method and path of every request.
        locked: repositories that nobody may see without the token.
    """

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, dict[str, bytes]]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.requests: list[str] = []
        self.locked: set[str] = set()
        self.url = ""

    def commit(self, repository: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Adds files to a branch and returns the id of the commit."""
        commits = self.commits.setdefault(repository, {})
        branches = self.branches.setdefault(repository, {})
        all_files = {**commits.get(branches.get(branch, ""), {}), **files}
        sha = hashlib.sha1(f"{repository}{len(commits)}".encode()).hexdigest()
        commits[sha] = all_files
        branches[branch] = sha
        return sha

    def resolve(self, repository: str, revision: str) -> str | None:
        """The id of the commit that a revision means."""
        return revision if revision in self.commits[repository] else self.branches[repository].get(revision)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        api = parts[:2] == ["api", "models"]
        repository = "/".join(parts[2:4] if api else parts[:2])
        if repository not in self.hub.commits:
            return self._refuse(401 if not self._knows_me() else 404, "RepoNotFound")
        if repository in self.hub.locked and not self._knows_me():
            return self._refuse(401, "RepoNotFound")
        rest = parts[4:] if api else parts[2:]
        revision = rest[1] if len(rest) > 1 else "main"
        sha = self.hub.resolve(repository, revision)
        if sha is None:
            return self._refuse(404, "RevisionNotFound")
        files = self.hub.commits[repository][sha]
        if api and rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in files.items()
            ]
            return self._answer(tree)
        if api:
            names = [{"rfilename": name} for name in files]
            return self._answer({"id": repository, "sha": sha, "siblings": names, "private": False})
        name = "/".join(rest[2:])
        if name not in files:
            return self._refuse(404, "EntryNotFound")
        content = files[name]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        self._send(200, content, {"Content-Type": "application/octet-stream", **headers})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/validate-yaml":  # of the model card
            return self._answer({"errors": [], "warnings": []})
        if not self._knows_me():
            return self._refuse(401, "")
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts == ["api", "repos", "create"]:
            asked = json.loads(body)
            repository = f"{asked['organization']}/{asked['name']}"
            self.hub.commits.setdefault(repository, {})
            self.hub.branches.setdefault(repository, {})
            return self._answer({"url": f"{self.hub.url}/{repository}", "name": repository})
        repository, what, revision = "/".join(parts[2:4]), parts[4], parts[5]
        if repository not in self.hub.commits:
            return self._refuse(404, "RepoNotFound")
        if what == "preupload":
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False} for each in json.loads(body)["files"]
            ]
            return self._answer({"files": files})
        assert what == "commit"
        lines = [json.loads(line) for line in body.splitlines()]
        added = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
        }
        sha = self.hub.commit(repository, added, revision)
        self._answer({"commitUrl": f"{self.hub.url}/{repository}/commit/{sha}", "commitOid": sha})

    def _knows_me(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _answer(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: int, why: str) -> None:
        self._send(code, b"{}", {"X-Error-Code": why, "Content-Type": "application/json"})

    def _send(self, code: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running_hub() -> Iterator[Hub]:
    """Context: a hub that answers on the loopback address, at ``hub.url``."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
