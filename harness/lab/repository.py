"""The local apt repository: packages downloaded for a base, and the index that makes them installable."""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.lab.run import run


def download_packages(root: Path, target: Path, packages: Sequence[str], timeout: float) -> None:
    """Download `packages`, and all that they need beyond what `root` has installed, into `target`.

    The machine's apt does it on the lists of `root` (mmdebstrap left them there), so proxies and
    certificates are the machine's. LabError when a package is not known or not reachable.
    """
    (target / "partial").mkdir(exist_ok=True)
    options = {
        "Dir": root,
        "Dir::State::status": root / "var/lib/dpkg/status",
        "Dir::Cache::archives": target,
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "false",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    # Those that the base has are downloaded too: a node may lose them and want them back.
    run(
        ["apt-get", *words, "install", "--yes", "--quiet", "--download-only", "--reinstall", *packages],
        timeout=timeout,
    )
    (target / "lock").unlink(missing_ok=True)
    (target / "partial").rmdir()


def write_index(target: Path) -> None:
    """Write the `Packages` index of all packages in `target` (a flat repository, see sources.list(5))."""
    with ThreadPoolExecutor() as pool:
        stanzas = list(pool.map(_stanza_of, sorted(target.glob("*.deb"))))
    (target / "Packages").write_text("\n".join(stanzas))


def _stanza_of(package: Path) -> str:
    control = run(["dpkg-deb", "--field", package]).decode()
    return index_stanza(control, package.name, package.read_bytes())


def index_stanza(control: str, name: str, content: bytes) -> str:
    """One paragraph of a Packages file: the control fields of a package, where it is and its checksum."""
    kept = re.sub(r"(?m)^(Filename|Size|SHA256):.*\n", "", control).rstrip("\n")
    checksum = hashlib.sha256(content).hexdigest()
    return f"{kept}\nFilename: ./{name}\nSize: {len(content)}\nSHA256: {checksum}\n"
