"""What each rank of a trial job of step `mpi` runs: say where it is, then run the application's programs there.

It is sent to the machines as text (`python3 -c TEXT FOLDER WORK`) and leaves nothing there. FOLDER is made on rank 0's
machine and removed again; WORK is JSON, a list of [file, program, arguments]. Rank 0 prints lines of JSON behind MARK:
one about all ranks, then one for each file that a program wrote. It runs on Python 3.9 and imports nothing of ours.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import shutil
import sys
import zlib
from ipaddress import ip_address
from pathlib import Path

MARK = "@hatcheck "
LARGEST = 4 * 1024 * 1024  # bytes of one file; a larger one is cut, and then does not read
NOBODY = {"0.0.0.0", "::"}  # noqa: S104 - a socket that listens has no peer
VARIABLES = ("OMPI_MCA_btl_tcp_if_include", "OMPI_MCA_oob_tcp_if_include")


def address(word: str) -> str:
    """The address of /proc/net/tcp's `0100007F:1F90`: words of 32 bits in the processor's order, proc(5)."""
    raw = bytes.fromhex(word.partition(":")[0])
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    found = ip_address(raw)
    return str(getattr(found, "ipv4_mapped", None) or found)


def peers(table: str, inodes: set[str]) -> set[str]:
    """The other ends of these sockets, from the text of /proc/net/tcp or tcp6."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return {address(row[2]) for row in rows if row[9] in inodes} - NOBODY


def sockets(pid: int) -> set[str]:
    """The sockets that a process holds, by inode."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # closed since it was listed
        if target.startswith("socket:["):
            found.add(target[len("socket:[") : -1])
    return found


def connected() -> list[str]:
    """Whom this rank and the daemon that started it talk to."""
    inodes = sockets(os.getpid()) | sockets(os.getppid())
    tables = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
    found = (peers(table.read_text(encoding="ascii"), inodes) for table in tables if table.exists())
    return sorted(set().union(*found))


def tell(**words: object) -> None:
    """One line for the harness."""
    print(MARK + json.dumps(words), flush=True)  # noqa: T201 - mpiexec carries it home


def run(work: list[tuple[str, str, list[str]]], folder: Path, *, is_root: bool) -> None:
    """Run each program as if it had been started, and tell what it wrote."""
    for name, program, arguments in work:
        path = folder / name
        sys.argv = [program, *arguments, str(path)]
        runpy.run_path(program, run_name="__main__")
        if is_root:
            packed = zlib.compress(path.read_bytes()[:LARGEST], 1)
            tell(file=name, packed=base64.b64encode(packed).decode())


def main() -> None:
    """One rank."""
    from mpi4py import MPI  # noqa: PLC0415 - there is none where the rest is tested

    world = MPI.COMM_WORLD
    folder, work = Path(sys.argv[1]), json.loads(sys.argv[2])
    # Everybody talks to everybody once, so that all connections that there will be are there.
    world.alltoall(list(range(world.size)))
    own = {
        "host": MPI.Get_processor_name(), "size": world.size, "library": MPI.Get_library_version(),
        "include": [os.environ.get(name, "") for name in VARIABLES], "peers": connected(),
    }  # fmt: skip
    told = world.gather(own, root=0)
    is_root = world.rank == 0
    if is_root:
        tell(ranks=told)
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        run(work, folder, is_root=is_root)
    except BaseException:
        # The others wait for this rank, and what it left would stay.
        shutil.rmtree(folder, ignore_errors=True)
        sys.excepthook(*sys.exc_info())
        world.Abort(1)
        raise
    if is_root:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
