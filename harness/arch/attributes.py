"""Build attributes of ARM programs: for which processor the compiler and assembler were allowed to write.

Source: Addenda to, and Errata in, the ABI for the Arm Architecture, "Build attributes". pyelftools reads them too,
but does not come back from lengths that a hostile image may write there; this reader does.
"""

from __future__ import annotations

from harness.errors import ObservationError

TAGS = {
    6: "CPU_arch", 7: "CPU_arch_profile", 8: "ARM_ISA_use", 9: "THUMB_ISA_use", 10: "FP_arch", 11: "WMMX_arch",
    12: "Advanced_SIMD_arch", 28: "ABI_VFP_args", 36: "FP_HP_extension", 42: "MPextension_use", 44: "DIV_use",
    68: "Virtualization_use",
}  # fmt: skip
COMPATIBILITY = 32
# Up to here every tag has its own rule; above, odd ones are texts and even ones numbers.
LAST_ODD_RULE = 32
TEXTS = {4, 5}
WHOLE_FILE = 1
LARGEST = 1 << 32


def attributes(octets: bytes, *, is_little: bool = True) -> dict[str, int]:
    """The public attributes (vendor "aeabi") of a whole file by name; a tag that is left out means 0.

    `octets` are the content of a section `.ARM.attributes`. ObservationError where they end too soon, contradict
    themselves, or hold attributes of single sections, which no linker leaves in a program.
    """
    reader = _Reader(octets, "little" if is_little else "big")
    if reader.take(1) != b"A":
        raise ObservationError(".ARM.attributes: expected format version A")
    found: dict[str, int] = {}
    while reader.rest:
        vendor = reader.block()
        if vendor.text() == b"aeabi":
            while vendor.rest:
                _file_attributes(vendor, found)
    return found


def _file_attributes(vendor: _Reader, found: dict[str, int]) -> None:
    start = vendor.at
    scope, size = vendor.uleb(), vendor.word()
    if scope != WHOLE_FILE:
        raise ObservationError(f".ARM.attributes: expected attributes of the whole file, got scope {scope}")
    body = _Reader(vendor.take(size - (vendor.at - start)), vendor.order)
    while body.rest:
        tag = body.uleb()
        value = _value(body, tag)
        if tag in TAGS and found.setdefault(TAGS[tag], value) != value:
            raise ObservationError(f".ARM.attributes: {TAGS[tag]} is given twice, as {found[TAGS[tag]]} and {value}")


def _value(body: _Reader, tag: int) -> int:
    if tag == COMPATIBILITY:
        body.uleb()
        body.text()
        return 0
    if tag in TEXTS or (tag > LAST_ODD_RULE and tag % 2):
        body.text()
        return 0
    return body.uleb()


class _Reader:
    """Bytes read from front to back, never beyond their end."""

    def __init__(self, octets: bytes, order: str) -> None:
        self.octets, self.order, self.at = octets, order, 0

    @property
    def rest(self) -> int:
        return len(self.octets) - self.at

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.rest:
            raise ObservationError(f".ARM.attributes: expected {count} more bytes, there are {self.rest}")
        self.at += count
        return self.octets[self.at - count : self.at]

    def word(self) -> int:
        return int.from_bytes(self.take(4), "little" if self.order == "little" else "big")

    def uleb(self) -> int:
        value = shift = 0
        while True:
            (octet,) = self.take(1)
            value |= (octet & 0x7F) << shift
            if octet < 0x80:  # noqa: PLR2004 - the bit that says there is more
                return value
            shift += 7
            if value >= LARGEST or shift > 63:  # noqa: PLR2004 - bits
                raise ObservationError(".ARM.attributes: expected a number of at most 32 bits")

    def text(self) -> bytes:
        end = self.octets.find(b"\0", self.at)
        if end < 0:
            raise ObservationError(".ARM.attributes: expected a text that ends")
        found = self.octets[self.at : end]
        self.at = end + 1
        return found

    def block(self) -> _Reader:
        """The part whose length, of itself and what follows, is written here."""
        return _Reader(self.take(self.word() - 4), self.order)
