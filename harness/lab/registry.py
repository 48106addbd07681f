"""What the lab's Docker Hub is made of, built with the base: Debian's docker-registry and a certificate.

It answers as the real one does: under its own name, with TLS, and to everybody. So the engine of a node needs no
setting at all, and `docker pull`, `push` and `build` work as the runbook has them (L412-470). The nodes know it by
a line in /etc/hosts and by a certificate that the base trusts; its key never leaves this machine.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.errors import LabError
from harness.lab.layout import DOCKER_HUB
from harness.lab.mounts import remove_tree
from harness.lab.rootfs import write_atomically
from harness.lab.run import run

_DAYS = 3650


@dataclass(frozen=True)
class Registry:
    """The parts of a registry in the directory `home` of a base."""

    home: Path

    @property
    def program(self) -> Path:
        """The registry's program."""
        return self.home / "docker-registry"

    @property
    def certificate(self) -> Path:
        """What the nodes trust."""
        return self.home / "hub.crt"

    @property
    def key(self) -> Path:
        """The certificate's private key."""
        return self.home / "hub.key"


def unpack_program(repository: Path, registry: Registry) -> None:
    """Take the program out of its package, so that the package need not be installed anywhere."""
    package = next(repository.glob("docker-registry_*.deb"), None)
    if package is None:
        raise LabError(f"There is no package docker-registry in {repository}; adapt harness/lab/guest/packages.toml.")
    scratch = registry.home / "registry-package"
    run(["dpkg-deb", "--extract", package, scratch])
    (scratch / "usr/bin/docker-registry").rename(registry.program)
    remove_tree(scratch)


def make_certificate(root: Path, registry: Registry) -> None:
    """Make the key and the certificate of Docker Hub with the openssl of `root`, and have `root` trust it."""
    secret, trusted = "/run/hub.key", "/usr/local/share/ca-certificates/lab-docker-hub.crt"
    argv = ["chroot", str(root), "openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-days", str(_DAYS)]
    argv += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=hatcheck lab"]
    argv += ["-addext", f"subjectAltName=DNS:{DOCKER_HUB}", "-keyout", secret, "-out", trusted]
    run(argv)
    run(["chroot", root, "update-ca-certificates"], timeout=120)
    registry.certificate.write_bytes(Path(f"{root}{trusted}").read_bytes())
    write_atomically(registry.key, Path(f"{root}{secret}").read_text(), 0o600)
    Path(f"{root}{secret}").unlink()
