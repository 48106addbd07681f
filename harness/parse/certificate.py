"""Read when a certificate ends (X.509 in PEM, as /var/lib/docker/swarm/certificates/swarm-node.crt)."""

from __future__ import annotations

from cryptography import x509

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt


def end(pem: bytes) -> int:
    """When the first certificate of a file ends, in seconds since 1970; ObservationError where there is none."""
    try:
        return int(x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc.timestamp())
    except (ValueError, IndexError):
        raise ObservationError(f"expected a certificate in PEM, got {excerpt(pem.decode(errors='replace'))}") from None
