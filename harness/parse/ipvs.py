"""Whether a kernel can carry a swarm's routing mesh: IP virtual servers, their match, vxlan (runbook L474, L484)."""

from __future__ import annotations

from harness.errors import ObservationError
from harness.parse.excerpt import excerpt

# Each module, how a kernel shows one that is loaded or built in, and the setting it is built by.
PARTS = {
    "ip_vs": ("[ -e /proc/net/ip_vs ]", "IP_VS"),
    "xt_ipvs": ("grep -qsx ipvs /proc/net/ip_tables_matches", "NETFILTER_XT_MATCH_IPVS"),
    "vxlan": ("[ -e /sys/module/vxlan ]", "VXLAN"),
}
# To be asked as root. What is not there yet a module may bring; one that is built in modprobe knows by the list beside
# the modules. Without modules and their list only the kernel's own settings can tell, or nobody: then it is "unclear",
# except for IP_VS, which is always seen where it is built in.
QUESTION = (
    """
set_to() { zcat /proc/config.gz 2>/dev/null | grep -qx "CONFIG_$1=[$2]"; }
tell() {
  if eval "$3" || [ -e "/sys/module/$1" ]; then echo "$1 loaded"
  elif ! command -v modprobe >/dev/null; then exit 127
  elif modprobe -n -q "$1"; then echo "$1 loadable"
  elif set_to "$2" y; then echo "$1 loaded"
  elif [ "$1" = ip_vs ] || [ -e "/lib/modules/$(uname -r)" ] || zcat /proc/config.gz >/dev/null 2>&1
  then echo "$1 absent"
  else echo "$1 unclear"; fi
}
""".lstrip()
    + "; ".join(f"tell {name} {setting} '{sign}'" for name, (sign, setting) in PARTS.items())
)
WORDS = {"loaded", "loadable", "absent", "unclear"}


def ingress_obstacle(text: str) -> str:
    """Why no port can be published in ingress mode, as a sentence's end, or "" where nothing stands in the way.

    `text` is what QUESTION printed; ObservationError for anything else.
    """
    lines = [line.split() for line in text.strip().splitlines()]
    if [line[0] for line in lines] != list(PARTS) or any(len(line) != 2 or line[1] not in WORDS for line in lines):  # noqa: PLR2004
        raise ObservationError(f"looking for IP_VS: expected a word each about {', '.join(PARTS)}, got {excerpt(text)}")
    absent = [name for name, word in lines if word == "absent"]
    if "ip_vs" in absent:
        return "its kernel has no IP_VS, of which a swarm's routing mesh is made"
    return f"its kernel has no {' and no '.join(absent)}, which a swarm's routing mesh needs" if absent else ""
