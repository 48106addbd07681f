"""Names of images as Docker compares them: `phpsae`, `docker.io/library/phpsae:latest` and so on.

Source: github.com/distribution/reference, normalize.go.
"""

from __future__ import annotations


def full_name(name: str) -> tuple[str, str, str]:
    """Repository with its registry, tag, and digest; a tag that is not there is latest, unless there is a digest."""
    rest, _, digest = name.partition("@")
    head, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    repository = f"{head}{slash}{last}"
    first = repository.partition("/")[0]
    if "/" not in repository:
        repository = f"docker.io/library/{repository}"
    elif "." not in first and ":" not in first and first != "localhost":
        repository = f"docker.io/{repository}"
    repository = repository.replace("index.docker.io/", "docker.io/", 1)
    return repository, tag or ("" if digest else "latest"), digest


def split(reference: str) -> tuple[str, str]:
    """Name and tag as they are written, without a digest; an empty tag where none is written."""
    rest = reference.partition("@")[0]
    head, slash, last = rest.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{head}{slash}{last}", tag


def same_image(want: str, seen: str) -> bool:
    """Whether a service of image `seen` runs what `want` asks for; a digest counts where one is asked for."""
    (want_name, want_tag, want_digest), (name, tag, digest) = full_name(want), full_name(seen)
    if want_name != name or (want_digest and want_digest != digest):
        return False
    return not want_tag or want_tag == tag
