"""The parts of the lab that are functions of text: no root, no kernel, no nodes."""

import importlib.machinery
import importlib.util
import json
import os
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import LabError, UsageError
from harness.lab import LabStatus, NodeStatus, cli
from harness.lab.base import GUEST, adapt_settings, cache_key, install_guest_files, recipe
from harness.lab.cgroups import groups_of, hierarchies
from harness.lab.layout import CLUSTER_NET, NODES, PORTS, Layout, address_of, cable_of, lab_layout
from harness.lab.mounts import mounts_below, remove_tree
from harness.lab.node import boot_argv, enter_argv, enter_groups_argv
from harness.lab.preflight import foreign_use
from harness.lab.process import board_pid
from harness.lab.repository import index_stanza
from harness.lab.rootfs import Ground, ground_of, hosts_text, interfaces_text, known_hosts_text, write_atomically
from harness.lab.run import run
from harness.lab.sources import keep_lines, keep_stanzas
from harness.lab.wire import Listener, ask

LAYOUT = Layout("hatlab")


def read_clusterctrl() -> ModuleType:
    path = str(GUEST / "rootfs/usr/sbin/clusterctrl")
    spec = importlib.util.spec_from_file_location(
        "clusterctrl", path, loader=importlib.machinery.SourceFileLoader("clusterctrl", path)
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.mark.parametrize("name", ["", "Lab", "9lab", "a_b", "../x", "a" * 13])
def test_a_bad_lab_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HATCHECK_LAB", name or "-")
    with pytest.raises(UsageError, match="cannot name a lab"):
        lab_layout()


def test_the_longest_lab_name_still_makes_link_names_the_kernel_takes() -> None:
    layout = lab_layout("a" * 12)
    assert max(len(layout.uplink), len(layout.direct)) <= 15


def test_two_labs_share_no_path_and_no_kernel_name() -> None:
    one, other = lab_layout("one"), lab_layout("other")
    for text in ("state", "runtime", "hub", "internet", "uplink", "direct", "cgroup", "control_socket", "known_hosts"):
        assert getattr(one, text) != getattr(other, text)
    assert {one.netns(node) for node in NODES}.isdisjoint({other.netns(node) for node in NODES})


def test_addresses_and_cables_are_the_documented_ones() -> None:
    assert [address_of(node) for node in NODES] == [
        "172.19.181.254", "172.19.181.1", "172.19.181.2", "172.19.181.3", "172.19.181.4",
    ]  # fmt: skip
    assert [cable_of(node) for node in PORTS] == ["ethpi1", "ethpi2", "ethpi3", "ethpi4"]


WIRE = Layout("hatlab").wire


def test_labs_of_other_names_have_uplinks_of_their_own() -> None:
    wires = {Layout(name).wire.controller for name in ("hatlab", "hatlab-test", "classroom")}
    assert len(wires) == 3
    assert WIRE.controller == "198.51.100.2"


def test_interfaces_of_a_port_hold_its_address_and_gateway() -> None:
    text = interfaces_text("p3")
    assert "address 172.19.181.3/24" in text
    assert "gateway 172.19.181.254" in text


def test_interfaces_of_the_controller_take_every_cable_and_do_not_wait() -> None:
    text = interfaces_text("cnat")
    assert "bridge_ports regex ethpi.*" in text
    assert "bridge_waitport 0" in text
    assert "eth0" not in text, "the uplink's addresses are the lab's, not the card's"


def test_a_bare_hosts_file_knows_nobody_else() -> None:
    text = hosts_text("p2")
    assert "127.0.1.1\tp2\n" in text
    assert "172.19" not in text
    assert "203.0.113.1\tregistry-1.docker.io\n" in text


def test_known_hosts_names_the_controller_twice() -> None:
    assert known_hosts_text({"cnat": ["ssh-ed25519 AAA"], "p1": ["ssh-ed25519 BBB", "ssh-rsa CCC"]}, WIRE) == (
        "198.51.100.2,172.19.181.254 ssh-ed25519 AAA\n172.19.181.1 ssh-ed25519 BBB\n172.19.181.1 ssh-rsa CCC\n"
    )


SOURCES = {
    "the release": ("deb http://m.example/debian bookworm main contrib", True),
    "updates, with options": ("deb [arch=amd64 signed-by=/k] http://m.example/debian bookworm-updates main", True),
    "old spelling of security": ("deb http://m.example/sec bookworm/updates main", True),
    "source packages": ("deb-src http://m.example/debian bookworm main", False),
    "a comment": ("# deb http://m.example/debian bookworm main", False),
    "another release": ("deb http://m.example/debian trixie main", False),
    "a third party with Debian's suite": ("deb https://t.example/linux bookworm stable", False),
    "a third party with a like name": ("deb https://t.example/apt cloud-bookworm main", False),
}


@pytest.mark.parametrize(("line", "kept"), SOURCES.values(), ids=SOURCES)
def test_only_lines_of_debian_itself_are_kept(line: str, *, kept: bool) -> None:
    assert keep_lines(f"{line}\n", "bookworm") == (line if kept else "")


def test_only_stanzas_of_debian_itself_are_kept() -> None:
    debian = "# main\nTypes: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nComponents: main"
    off = debian.replace("# main", "Enabled: no")
    third = "Types: deb\nURIs: https://t.example\nSuites: nodistro\nComponents: main"
    assert keep_stanzas(f"{third}\n\n{off}\n\n{debian}\n", "bookworm") == debian


def test_an_index_stanza_says_where_the_package_is_and_its_checksum() -> None:
    stanza = index_stanza("Package: x\nVersion: 1\nSize: 999\nDescription: y\n z\n", "x_1_all.deb", b"abc")
    assert "Filename: ./x_1_all.deb\nSize: 3\nSHA256: ba7816bf" in stanza
    assert "999" not in stanza


def test_the_recipe_installs_nothing_of_the_runbook_in_the_base() -> None:
    lists = recipe()
    assert set(lists["base"]).isdisjoint({"fail2ban", "docker.io", "openmpi-bin", "iptables-persistent"})
    assert {"fail2ban", "docker.io", "openmpi-bin", "python3-mpi4py"} <= set(lists["repository"])


def test_packaged_files_are_adapted_or_the_change_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/profile").write_text('  PATH="/usr/local/bin:/usr/bin:/bin:/usr/games"\n')
    (tmp_path / "etc/login.defs").write_text("ENV_PATH\tPATH=/usr/local/bin:/usr/bin:/bin:/usr/games\n")
    (tmp_path / "etc/rsyslog.conf").write_text('module(load="imuxsock")\n')
    with pytest.raises(LabError, match=r"rsyslog\.conf of the base does not hold"):
        adapt_settings(tmp_path)
    assert ":/usr/sbin:/usr/bin:/sbin:/bin:/usr/games" in (tmp_path / "etc/profile").read_text()


def test_guest_files_have_the_modes_they_need(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "etc/ssh").mkdir(parents=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    install_guest_files(tmp_path)
    modes = {
        name: (tmp_path / name).stat().st_mode & 0o777
        for name in ("usr/sbin/clusterhat", "usr/lib/clusterctrl/hotplug", "etc/sudoers.d/010_pi-nopasswd")
    }
    assert list(modes.values()) == [0o755, 0o755, 0o440]


STATUS = LabStatus(
    "hatlab",
    7,
    is_direct=False,
    nodes=(NodeStatus("cnat", has_power=True, is_running=True), NodeStatus("p1", has_power=True, is_running=False)),
)


def test_status_tells_power_from_running() -> None:
    assert cli.status_text(STATUS) == (
        "lab hatlab: up, board 7, no direct wire\ncnat  power on   running\np1    power on   halted\n"
    )


def test_the_cache_key_is_stable() -> None:
    assert cache_key() == cache_key()


def test_a_node_boots_in_its_namespace_with_real_docker_directories() -> None:
    argv = boot_argv(LAYOUT, "p1", Path("/debs"), None)
    assert "--network-namespace-path=/run/netns/hatlab-p1" in argv
    assert "--bind=/var/lib/hatcheck/hatlab/nodes/p1/docker:/var/lib/docker" in argv
    assert "--bind-ro=/debs:/opt/debs" in argv
    assert not [word for word in argv if "clusterctrl" in word], "only the controller has a HAT"
    assert "--bind=/run/hatcheck/hatlab/hat:/run/clusterctrl" in boot_argv(LAYOUT, "cnat", Path("/debs"), None)


def test_words_for_a_node_stay_single_words() -> None:
    argv = enter_argv(42, [Path("/cg")], ["echo", "a b; $(c)"])
    assert argv[-2:] == ["echo", "a b; $(c)"]
    assert argv[argv.index("-t") + 1] == "42"
    assert argv.index("--bounding-set=-sys_time") < argv.index("nsenter"), "the clock is the machine's"


def test_entering_groups_passes_words_unchanged(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    assert run([*enter_groups_argv([tmp_path]), "printf", "%s.", "a b", "--", "$c"]) == b"a b.--.$c."
    assert (tmp_path / "cgroup.procs").read_text() == "0\n"


def test_a_group_that_cannot_be_entered_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="exit code 125"):
        run([*enter_groups_argv([tmp_path / "absent"]), "true"])


MOUNTINFO = r"""
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:25 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
31 22 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw
40 22 0:30 / /run/hatcheck/hatlab/root/p1 rw - overlay hatcheck rw
41 40 0:31 / /run/hatcheck/hatlab/root/p1/with\040space rw - tmpfs t rw
42 22 0:32 / /run/hatcheck/hatlab-test/root/p1 rw - overlay hatcheck rw
""".strip()


def test_mounts_are_listed_deepest_first_and_only_of_this_directory() -> None:
    top = "/run/hatcheck/hatlab"
    expected = [Path(f"{top}/root/p1/with space"), Path(f"{top}/root/p1")]
    assert mounts_below(Path(top), MOUNTINFO) == expected


def test_hierarchies_are_those_of_both_versions() -> None:
    assert hierarchies(MOUNTINFO) == [Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/unified")]


def test_the_groups_of_a_process_that_is_gone_are_none() -> None:
    assert groups_of(2**22 + 1) == []


LINKS = [
    {"ifname": "eth0", "addr_info": [{"family": "inet", "local": "192.0.2.2", "prefixlen": 24}]},
    {"ifname": "hatlab-up", "addr_info": [{"family": "inet", "local": "198.51.100.1", "prefixlen": 30}]},
]
ROUTES = [{"dst": "default", "dev": "eth0"}, {"dst": "192.0.2.0/24", "dev": "eth0"}]
USES = {
    "free": (CLUSTER_NET, ROUTES, ""),
    "our own address": (str(WIRE.net), ROUTES, ""),
    "a route inside": (CLUSTER_NET, [{"dst": "172.19.181.7", "dev": "vpn0"}], "172.19.181.7 on vpn0"),
    "a route around": (CLUSTER_NET, [{"dst": "172.19.0.0/16", "dev": "docker_x"}], "172.19.0.0/16 on docker_x"),
    "an address": ("192.0.2.0/30", [], "192.0.2.2/24 on eth0"),
}


@pytest.mark.parametrize(("net", "routes", "use"), USES.values(), ids=USES)
def test_foreign_use_of_a_network_is_found(net: str, routes: list[dict[str, str]], use: str) -> None:
    assert foreign_use(LINKS, routes, net, own={"hatlab-up"}) == use


def test_the_hat_prints_the_documented_lines_in_order() -> None:
    text = read_clusterctrl().status_text({"p1": True, "p2": False, "p3": True, "p4": True})
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "clusterhat", "clusterctrl", "maxpi", "throttled", "hat_version", "hat_version_major",
        "hat_version_minor", "hat_size", "hat_uuid", "hat_vendor", "hat_product_id", "hat_alert", "hat_hub",
        "hat_wp", "hat_led", "hat_wplink", "hat_xra1200p", "p1", "p2", "p3", "p4",
    ]  # fmt: skip
    assert "clusterctrl:False\n" in text
    assert text.endswith("p1:1\np2:0\np3:1\np4:1\n")


def test_settings_are_read_without_comments_and_quotes() -> None:
    read = read_clusterctrl().settings
    assert read('# TYPE=x\nTYPE="c"\nCLUSTERCTRL_DELAY=0.5\n\nnonsense\n') == {
        "TYPE": "c",
        "CLUSTERCTRL_DELAY": "0.5",
    }


def answering(path: Path) -> Listener:
    def answer(question: dict[str, object]) -> dict[str, object]:
        if question["do"] == "refuse":
            raise UsageError("No, because.")
        return {"heard": question}

    listener = Listener(path, answer)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    return listener


def test_the_board_answers_refuses_and_survives_nonsense(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = answering(path)
    try:
        assert ask(path, {"do": "x"}) == {"heard": {"do": "x"}}
        with pytest.raises(LabError, match=r"^No, because\.$"):
            ask(path, {"do": "refuse"})
        with pytest.raises(LabError, match="not understood"):
            ask(path, {"do": "x" * 10_000})
        assert ask(path, {"do": "y"}) == {"heard": {"do": "y"}}
    finally:
        listener.shutdown()
        listener.server_close()


def test_no_board_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="board does not answer `status`"):
        ask(tmp_path / "nobody", {"do": "status"})


def test_a_stranger_with_the_boards_process_id_is_not_the_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.layout.RUNTIME_HOME", tmp_path)
    LAYOUT.runtime.mkdir()
    start = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    LAYOUT.board_pid.write_text(json.dumps({"pid": os.getpid(), "start": start}))
    assert board_pid(LAYOUT) is None


def test_a_node_counts_as_made_only_while_the_ground_it_was_made_on_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.lab.layout.STATE_HOME", tmp_path)
    state, base, card = LAYOUT.node_state("p1"), tmp_path / "base", tmp_path / "card"
    for folder in (state, base, card / "upper"):
        folder.mkdir(parents=True)
    assert ground_of(LAYOUT, "p1") is None
    (state / "made").write_text(f'{{"base": "{base}", "layers": ["{card}"]}}')
    assert ground_of(LAYOUT, "p1") == Ground(str(base), (str(card),))
    remove_tree(card)
    assert ground_of(LAYOUT, "p1") is None
    (state / "made").write_text('{"base": "/ba')
    assert ground_of(LAYOUT, "p1") is None


def test_a_secret_is_never_readable_by_others_and_replaces_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("old")
    write_atomically(path, "new", 0o600)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_tree_is_removed_and_an_absent_one_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_missing_program_is_named() -> None:
    with pytest.raises(LabError, match="`no-such-program` is not installed"):
        run(["no-such-program"])


WRONG = {
    "no verb": [],
    "unknown verb": ["fly"],
    "no command": ["exec", "p1"],
    "unknown node": ["power", "on", "p9"],
    "bad name": ["--lab", "Bad", "status"],
}


@pytest.mark.parametrize("argv", WRONG.values(), ids=WRONG)
def test_wrong_usage_is_one_sentence_and_exit_4(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 4
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
