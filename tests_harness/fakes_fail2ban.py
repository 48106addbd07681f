"""The controller as step `fail2ban` sees it when all is well."""

from __future__ import annotations

from pathlib import Path

from harness.parse import fail2ban as words
from harness.parse.ban_orders import PROPERTIES
from harness.parse.units import Unit
from harness.steps import fail2ban
from harness.steps.fail2ban_fixes import AUTH_LOG, OWN_LOG, SYSLOG, UNIT
from harness.steps.fail2ban_look import Daemon, Server, Settings

RUNS = Unit(is_there=True, is_active=True, is_enabled=True, unmet=())
STOPPED = Unit(is_there=True, is_active=False, is_enabled=True, unmet=())
ABSENT = Unit(is_there=False, is_active=False, is_enabled=False, unmet=())
# As the sample of a real one has them.
DUMP = (Path(__file__).parents[1] / "fixtures" / "samples" / "fail2ban-d.txt").read_text(encoding="utf-8")
ORDERS = {
    jail: {
        action: {what: text for what, text in told.items() if what in PROPERTIES} for action, told in actions.items()
    }
    for jail, actions in words.orders(DUMP).items()
}
SSHD = Settings(5, 120, 600, ("iptables",), "22", (AUTH_LOG,), ORDERS["sshd"])
RECIDIVE = Settings(5, 3600, 86_400, ("iptables-allports",), "0:65535", (OWN_LOG,), ORDERS["recidive"])
JAILS = {"sshd": SSHD, "recidive": RECIDIVE}
RULES = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
IGNORED = ("127.0.0.0/8", "172.19.181.0/24")
SERVER = Server(
    {"sshd": (), "recidive": ()}, JAILS, {"sshd": IGNORED, "recidive": IGNORED}, "INFO", OWN_LOG, counts_visits=False
)
DAEMON = Daemon("", JAILS, SERVER, "yes", "yes")


def good_fail2ban() -> dict[str, fail2ban.State]:
    """Both jails run with the documented values, and nobody is banned."""
    units = {UNIT: RUNS, SYSLOG: RUNS}
    logs, exits = (AUTH_LOG, OWN_LOG), ("eth0",)
    return {"cnat": fail2ban.State(units, {}, logs, has_rule=True, rules=RULES, exits=exits, daemon=DAEMON)}
