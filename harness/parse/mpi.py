"""Who an MPI launcher or library says it is (`mpiexec --version`, MPI_Get_library_version); pure."""

from __future__ import annotations

import re

from harness.parse.excerpt import excerpt

# Samples: "mpiexec (OpenRTE) 4.1.4", "mpiexec (Open MPI) 5.0.7", "Open MPI v4.1.4, package: Debian OpenMPI, …",
# "HYDRA build details:" with "    Version:   4.0.2" below, "MPICH Version:\t4.0.2".
SAMPLES = (
    ("Open MPI", re.compile(r"(?:mpiexec|mpirun|orterun)(?:[.]openmpi)? \((?:OpenRTE|Open MPI)\) (\d[\w.]*)")),
    ("Open MPI", re.compile(r"Open MPI v(\d[\w.]*)")),
    ("MPICH", re.compile(r"HYDRA build details:\s+Version:\s+(\d[\w.]*)")),
    ("MPICH", re.compile(r"MPICH Version:\s+(\d[\w.]*)")),
)
OPEN_MPI = "Open MPI"


def identity(text: str) -> str:
    """The family and version that a text gives, like "Open MPI 4.1.4".

    Anything else is shown as it is: a launcher that nobody knows is not the documented one. Empty for no words at all.
    """
    for family, sample in SAMPLES:
        match = sample.match(text.strip())
        if match:
            return f"{family} {match[1]}"
    return excerpt(text) if text.strip() else ""


def is_open_mpi(said: str) -> bool:
    """Whether an identity is of the documented family."""
    return said.startswith(f"{OPEN_MPI} ")
